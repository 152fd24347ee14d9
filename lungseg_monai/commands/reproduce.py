"""`lungseg reproduce`: a paper's tables printed again beside its own figures."""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.terminal import NOTHING, PARTLY, add_command, complain, tell
from lungseg_monai.errors import UsageError

if TYPE_CHECKING:
    from lungseg_monai.reproduce.made import Options

PAPERS = ("kamal",)
TABLES = (2, 3, 4, 5, 6)
# Options that replace a number of the bundle's setting: name on the command line -> key of train.yaml.
NUMBERS = ("epochs", "width", "patches_per_epoch", "batch_size", "seed")


def add(commands: Any) -> None:
    command = add_command(commands, "reproduce", "print a paper's tables again: train, predict and score them", run)
    command.add_argument("paper", choices=PAPERS, metavar="PAPER", help="kamal")
    where = command.add_argument_group("data")
    where.add_argument("--data", type=Path, metavar="PREPARED", help="prepared folder with datalist.json")
    where.add_argument(
        "--phantom",
        type=int,
        metavar="N",
        help="instead of --data: make N phantom patients in OUT/phantom and use them",
    )
    where.add_argument("--out", type=Path, required=True, metavar="OUT", help="where models and tables go")
    where.add_argument(
        "--undrawn",
        choices=("auto", "free", "skip"),
        default="auto",
        help="a case without any tumour ROI is free of tumour, or left out (default: free in a phantom, else left out)",
    )
    _add_numbers(command.add_argument_group("numbers (default: the setting's own)"))
    _add_work(command.add_argument_group("work"))


def _add_numbers(group: Any) -> None:
    group.add_argument("--tables", type=_tables, default=TABLES, metavar="2,3,…", help="default 2,3,4,5,6")
    group.add_argument("--setting", choices=("recommended", "paper", "authors_code"), default="recommended")
    group.add_argument("--epochs", type=_count, metavar="N")
    group.add_argument(
        "--own-epochs", type=_count, metavar="N", help="of the line with our own loss (default: as all the others)"
    )
    group.add_argument("--width", type=_count, metavar="W", help="channels of the first level; 32 in the paper")
    group.add_argument("--spatial-size", type=_count, metavar="S", help="pixels a row and column; 256 in the paper")
    group.add_argument("--patches-per-epoch", type=_count, metavar="N")
    group.add_argument("--batch-size", type=_count, metavar="N")
    group.add_argument("--seed", type=int, metavar="S")


def _add_work(group: Any) -> None:
    group.add_argument("--stride", type=_count, default=1, metavar="N", help="of the windows in prediction (default 1)")
    group.add_argument("--device", default="auto", metavar="D", help="auto (default), cpu, cuda, cuda:1, mps")
    group.add_argument("--threads", type=_count, metavar="N", help="on the CPU (default: all cores)")
    group.add_argument("--amp", action="store_true", help="train in mixed precision, on CUDA")
    group.add_argument("--cache-gb", type=float, metavar="GB", help="memory for volumes while training")


def run(arguments: argparse.Namespace) -> int:
    if (arguments.data is None) == (arguments.phantom is None):
        raise UsageError("give --data PREPARED, or --phantom N to make patients with known truth")
    with _ending_as_interrupted():
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from lungseg_monai.reproduce.kamal_paper import BUNDLE, kamal
    from lungseg_monai.reproduce.run import reproduce
    from lungseg_monai.reproduce.write import as_dict, markdown, write_all

    def say(text: str) -> None:
        if not arguments.quiet:
            print(text, file=sys.stderr, flush=True)  # noqa: T201

    _limit_threads(arguments.threads)
    if arguments.phantom is not None:
        from lungseg_monai.reproduce.phantom import make_phantom

        arguments.data = make_phantom(arguments.out / "phantom", arguments.phantom, arguments.seed or 0, say)
    make_plan = partial(kamal, own_epochs=arguments.own_epochs)
    done = reproduce(make_plan, BUNDLE, _options(arguments), write_all, say)
    files = write_all(done)
    written = "\n".join(["Written:", *(f"  {path}" for path in files)])
    told = tell(arguments, f"{markdown(done)}\n{written}", as_dict(done))
    for problem in done.problems:
        complain("lungseg", problem, PARTLY)
    if not done.scored:
        return NOTHING
    return PARTLY if done.problems else told


def _options(arguments: argparse.Namespace) -> "Options":
    from lungseg_monai.reproduce.made import Options

    asked = {name: getattr(arguments, name) for name in NUMBERS if getattr(arguments, name) is not None}
    if arguments.spatial_size is not None:
        asked["spatial_size"] = [arguments.spatial_size, arguments.spatial_size]
    return Options(
        data=arguments.data,
        out=arguments.out,
        tables=arguments.tables,
        setting=arguments.setting,
        given=asked,
        machine=_machine(arguments),
        stride=arguments.stride,
        device=arguments.device,
        threads=arguments.threads,
        undrawn=arguments.undrawn,
        command=shlex.join(["lungseg", *sys.argv[1:]]),
    )


def _machine(arguments: argparse.Namespace) -> dict[str, Any]:
    """Keys of train.yaml about this machine. All models train on the same volumes: they are kept for the next one."""
    asked: dict[str, Any] = {"cache_dir": str(arguments.out.resolve() / "volumes")}
    if arguments.cache_gb is not None:
        asked["cache_gb"] = arguments.cache_gb
    return {**asked, "amp": True} if arguments.amp else asked


def _limit_threads(threads: int | None) -> None:
    """Of this process too, which predicts. Before NumPy and torch begin."""
    from lungseg_monai.reproduce.training import THREAD_LIMITS

    for name in THREAD_LIMITS if threads else ():
        os.environ[name] = str(threads)


@contextmanager
def _ending_as_interrupted() -> Iterator[None]:
    """A polite kill stops as Ctrl-C does: the training writes down where it stopped."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: signals are somebody else's
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tables(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise argparse.ArgumentTypeError(f"wanted numbers with commas between, as 2,3, got {text!r}") from None


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"wanted a whole number from 1, got {text!r}")
    return int(text)
