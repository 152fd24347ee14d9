"""`lungseg reproduce`: a paper's tables printed again beside its own figures."""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.terminal import NOTHING, PARTLY, add_command, complain, tell
from lungseg_monai.commands import reproduce_khan
from lungseg_monai.errors import UsageError

if TYPE_CHECKING:
    from lungseg_monai.reproduce.made import Options
    from lungseg_monai.reproduce.papers import Paper

KAMAL_TABLES = (2, 3, 4, 5, 6)
GAO_TABLES = ("training", "alpha", "improvements")
NETWORKS = ("unet", "fcnn", "deeplabv3", "resnet50_unet")
# Options that replace a number of the bundles' setting: name on the command line -> key of train.yaml.
NUMBERS = ("epochs", "width", "patches_per_epoch", "batch_size", "seed")


def add(commands: Any) -> None:
    what = "print a paper's tables again: train, predict and score them"
    command = commands.add_parser("reproduce", help=what, description=f"{what[0].upper()}{what[1:]}.")
    papers = command.add_subparsers(dest="paper", required=True, metavar="PAPER")
    kamal = add_command(papers, "kamal", "tumours in CT by a recurrent 3D-DenseUNet: Tables 2 to 6", run)
    _add_kamal(kamal, *_groups(kamal))
    gao = add_command(papers, "gao", "lungs in CT by a 2D U-Net: its training, alpha, what it asks for", run)
    _add_gao(gao, *_groups(gao))
    cxr = add_command(papers, "cxr", "lungs in radiographs by U-Net, FCNN and DeepLabV3: Table 2", run)
    _add_radiographs(cxr, *_groups(cxr))
    _add_networks(cxr)
    kuppili = add_command(papers, "kuppili", "lungs in radiographs by a U-Net on ResNet50: its IoU", run)
    _add_radiographs(kuppili, *_groups(kuppili))
    kuppili.set_defaults(networks=("resnet50_unet",), ablate=None)
    reproduce_khan.add(papers)


def _groups(command: argparse.ArgumentParser) -> tuple[Any, Any]:
    """What all papers ask: groups of data and of numbers."""
    where = command.add_argument_group("data")
    where.add_argument("--data", type=Path, metavar="PREPARED", help="prepared folder with datalist.json")
    where.add_argument("--out", type=Path, required=True, metavar="OUT", help="where models and tables go")
    numbers = command.add_argument_group("numbers (default: the setting's own)")
    numbers.add_argument("--epochs", type=_count, metavar="N")
    numbers.add_argument("--spatial-size", type=_count, metavar="S", help="pixels a row and column")
    numbers.add_argument("--batch-size", type=_count, metavar="N")
    numbers.add_argument("--seed", type=int, metavar="S")
    _add_work(command.add_argument_group("work"))
    return where, numbers


def _add_work(group: Any) -> None:
    group.add_argument(
        "--jobs",
        type=_count,
        default=1,
        metavar="N",
        help="models worked on side by side, each with its share of the cores: several with one thread each use a "
        "machine better than one with all (default 1)",
    )
    group.add_argument("--device", default="auto", metavar="D", help="auto (default), cpu, cuda, cuda:1, mps")
    group.add_argument(
        "--threads",
        type=_count,
        metavar="N",
        help="of each model on the CPU (default: all cores, shared out by --jobs)",
    )
    group.add_argument("--amp", action="store_true", help="train in mixed precision, on CUDA")
    group.add_argument("--cache-gb", type=float, metavar="GB", help="memory for images while training, of each model")


def _add_kamal(command: argparse.ArgumentParser, where: Any, numbers: Any) -> None:
    command.set_defaults(networks=None, ablate=None)
    where.add_argument(
        "--phantom", type=_count, metavar="N", help="instead of --data: make N phantom patients in OUT/phantom"
    )
    where.add_argument(
        "--undrawn",
        choices=("auto", "free", "skip"),
        default="auto",
        help="a case without any tumour ROI is free of tumour, or left out (default: free in a phantom, else left out)",
    )
    numbers.add_argument("--tables", type=_tables, default=KAMAL_TABLES, metavar="2,3,…", help="default 2,3,4,5,6")
    numbers.add_argument("--setting", choices=("recommended", "paper", "authors_code"), default="recommended")
    numbers.add_argument(
        "--own-epochs", type=_count, metavar="N", help="of the line with our own loss (default: as all the others)"
    )
    numbers.add_argument("--width", type=_count, metavar="W", help="channels of the first level; 32 in the paper")
    numbers.add_argument("--patches-per-epoch", type=_count, metavar="N")
    numbers.add_argument(
        "--stride", type=_count, default=1, metavar="N", help="of the windows in prediction (default 1)"
    )


def _add_gao(command: argparse.ArgumentParser, where: Any, numbers: Any) -> None:
    command.set_defaults(stride=1, undrawn="auto", own_epochs=None, patches_per_epoch=None)
    where.add_argument(
        "--phantom", type=_count, metavar="N", help="instead of --data: make N phantom patients in OUT/phantom"
    )
    numbers.add_argument(
        "--tables", type=_words, metavar="training,…", help=f"of {','.join(GAO_TABLES)} (default: all)"
    )
    numbers.add_argument("--setting", choices=("paper", "recommended"), default="paper", help="default paper")
    numbers.add_argument("--width", type=_count, metavar="W", help="channels of the first level")


def _add_radiographs(command: argparse.ArgumentParser, where: Any, numbers: Any) -> None:
    unset = dict.fromkeys(("tables", "own_epochs", "width", "patches_per_epoch"))
    command.set_defaults(stride=1, undrawn="auto", **unset)
    where.add_argument(
        "--phantom",
        type=_count,
        metavar="N",
        help="instead of --data: make N radiographs in OUT/phantom",
    )
    numbers.add_argument("--setting", choices=("recommended", "paper"), default="recommended")
    numbers.add_argument("--n-filters", type=_count, metavar="N", help="channels of the networks' first block")


def _add_networks(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("what")
    group.add_argument(
        "--networks",
        type=_networks,
        metavar="unet,…",
        help=f"of {','.join(NETWORKS)} (default: all; with --ablate the U-Net)",
    )
    group.add_argument(
        "--ablate",
        choices=("preprocessing",),
        help="in place of the paper's table: one network by pre-processing, each step of the paper's left out in turn",
    )


def run(arguments: argparse.Namespace) -> int:
    if (arguments.data is None) == (arguments.phantom is None):
        raise UsageError("give --data PREPARED, or --phantom N to make cases with known truth")
    with _ending_as_interrupted():
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.jobs > 1 and arguments.threads is None:
        arguments.threads = max(_cores() // arguments.jobs, 1)
    _limit_threads(arguments.threads)
    from lungseg_monai.reproduce.papers import asked_for
    from lungseg_monai.reproduce.run import reproduce
    from lungseg_monai.reproduce.write import as_dict, markdown, write_all

    def say(text: str) -> None:
        if not arguments.quiet:
            print(text, file=sys.stderr, flush=True)  # noqa: T201

    paper = asked_for(arguments)
    if arguments.phantom is not None:
        arguments.data = paper.make_phantom(arguments.out / "phantom", arguments.phantom, arguments.seed or 0, say)
    done = reproduce(paper.make_plan, paper.bundles, _options(arguments, paper), write_all, say)
    files = write_all(done)
    written = "\n".join(["Written:", *(f"  {path}" for path in files)])
    told = tell(arguments, f"{markdown(done)}\n{written}", as_dict(done))
    for problem in done.problems:
        complain("lungseg", problem, PARTLY)
    if not done.scored:
        return NOTHING
    return PARTLY if done.problems else told


def _options(arguments: argparse.Namespace, paper: "Paper") -> "Options":
    from lungseg_monai.reproduce.made import Options

    asked = {name: getattr(arguments, name) for name in NUMBERS if getattr(arguments, name) is not None}
    if arguments.spatial_size is not None:
        asked["spatial_size"] = [arguments.spatial_size, arguments.spatial_size]
    return Options(
        data=arguments.data,
        out=arguments.out,
        tables=arguments.tables,
        setting=arguments.setting,
        given={**asked, **paper.given},
        machine={**paper.machine, **_machine(arguments)},
        stride=arguments.stride,
        device=arguments.device,
        threads=arguments.threads,
        undrawn=arguments.undrawn,
        jobs=arguments.jobs,
        command=shlex.join(["lungseg", *sys.argv[1:]]),
    )


def _machine(arguments: argparse.Namespace) -> dict[str, Any]:
    """Keys of train.yaml about this machine."""
    asked: dict[str, Any] = {} if arguments.cache_gb is None else {"cache_gb": arguments.cache_gb}
    return {**asked, "amp": True} if arguments.amp else asked


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _limit_threads(threads: int | None) -> None:
    """Of this process too, which predicts, and of those that it starts. Before NumPy and torch begin."""
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


def _words(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    unknown = [name for name in names if name not in GAO_TABLES]
    if unknown:
        raise argparse.ArgumentTypeError(f"wanted some of {','.join(GAO_TABLES)}, got {unknown[0]!r}")
    return names


def _networks(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    unknown = [name for name in names if name not in NETWORKS]
    if unknown:
        raise argparse.ArgumentTypeError(f"wanted some of {','.join(NETWORKS)}, got {unknown[0]!r}")
    return names


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"wanted a whole number from 1, got {text!r}")
    return int(text)
