"""`lungseg train`: the short form of `python -m monai.bundle run training`, which it shows and runs."""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from data_prep.terminal import DONE, PARTLY, add_command, tell
from lungseg_monai.commands.train_folds import train_folds, wants_all
from lungseg_monai.errors import UsageError

# What this command itself says in the long form: its own option -> the bundle's key.
OURS = {"data": "dataset_dir", "out": "output_dir", "setting": "setting", "resume": "resume"}
TAKEN = {"config_file", "meta_file", "run_id"}


def add(commands: Any) -> None:
    command = add_command(commands, "train", "train a bundle's network, by python -m monai.bundle run training", run)
    command.usage = "%(prog)s BUNDLE [--data PREPARED] [--out RUN] [--setting NAME] [--resume] [--KEY VALUE ...]"
    command.epilog = (
        "Every key of the bundle's configs/train.yaml is an option too: --epochs 30 --spatial_size '[128, 128]'. "
        "--fold all trains every fold of the split, one after another. "
        f"{command.epilog}"
    )
    command.allow_abbrev = False  # --res would else be taken for --resume, and not for a misspelt key
    command.add_argument("bundle", metavar="BUNDLE", help="its name: lungseg bundles")
    command.add_argument(
        "--data",
        metavar="PREPARED",
        help="what lungseg-prep wrote (default ./prepared; ct_lungs needs none); DICOM folders with NPZ masks, as in "
        "Gao's data set, are prepared first, into PREPARED_prepared",
    )
    command.add_argument("--out", metavar="RUN", help="folder of the run (default ./runs/BUNDLE/<time>)")
    command.add_argument("--setting", metavar="NAME", help="of the bundle's settings (default recommended)")
    command.add_argument("--resume", action="store_true", help="go on with RUN, or with the newest run")
    _take_all(command)


def _take_all(command: argparse.ArgumentParser) -> None:
    """What the parser does not know becomes `rest`; argparse alone would refuse it before the bundle is asked."""
    parse = command.parse_known_args

    def parse_known_args(args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        found, rest = parse(args, namespace)
        found.rest = rest
        return found, []

    command.parse_known_args = parse_known_args  # type: ignore[method-assign]


def run(arguments: argparse.Namespace) -> int:
    from lungseg_monai.bundle import bundle_path

    configs = bundle_path(arguments.bundle) / "configs"
    long_form(configs, arguments)  # before data are prepared: what is misspelt
    stopped = prepare(arguments)
    if stopped:
        return stopped
    if wants_all(arguments.rest):
        return train_folds(configs, arguments, long_form)
    said = long_form(configs, arguments)
    shown = shlex.join(["python", "-m", "monai.bundle", *said])
    if arguments.json:
        told = tell(arguments, "", {"bundle": arguments.bundle, "command": shown})
        if told != DONE:
            return told
    elif not arguments.quiet:
        print(f"$ {shown}", file=sys.stderr, flush=True)  # noqa: T201
    if find_spec("monai") is None:  # main says what to install
        raise ModuleNotFoundError("No module named 'monai'", name="monai")
    if arguments.json or arguments.quiet:  # what the training prints is no result of this command
        _turn_away(to_stderr=arguments.json)
    return become([sys.executable, "-m", "monai.bundle", *said])


def prepare(arguments: argparse.Namespace) -> int:
    """Where --data is Gao's data set as it came, prepare it beside itself and take that; 0, or why training can't be.

    Cases that can't be prepared are named and left out.
    """
    from data_prep.npz_dataset import is_npz_dataset

    if not arguments.data or not is_npz_dataset(Path(arguments.data)):
        return DONE
    from data_prep.cli import main

    source = Path(arguments.data).resolve()
    prepared = source.with_name(f"{source.name}_prepared")
    if not arguments.quiet:
        print(f"$ {shlex.join(['lungseg-prep', 'npz', str(source), str(prepared)])}", file=sys.stderr, flush=True)  # noqa: T201
    code = main(["npz", str(source), str(prepared), "--quiet"])
    arguments.data = str(prepared)
    return DONE if code in (DONE, PARTLY) else code


def long_form(configs: Path, arguments: argparse.Namespace) -> list[str]:
    """Arguments of `python -m monai.bundle` that train the bundle with these `configs`. Raises UsageError."""
    keys = check_rest(arguments.rest)
    given = {key: getattr(arguments, option) for option, key in OURS.items()}
    for option, key in OURS.items():
        if given[key] and key in keys:
            raise UsageError(f"--{option} and --{key} both say where or how to train: give one of them")
    said = ["run", "training", "--config_file", str(configs / "train.yaml")]
    said += ["--meta_file", str(configs / "metadata.json")]
    for key, value in given.items():
        if value:
            said += [f"--{key}", str(value)]  # of --resume: True, as MONAI reads Python's literals
    return said + list(arguments.rest)


def check_rest(rest: Sequence[str]) -> list[str]:
    """The keys of `--KEY VALUE`, `--KEY=VALUE` and `--KEY`.

    Raises UsageError for a value without a key, which MONAI would take for something else, and for a key that this
    command says itself. Whether the bundle has the keys, the bundle says.
    """
    keys: list[str] = []
    open_key = False
    for argument in rest:
        if argument.startswith("--") and len(argument) > 2:
            name, equals, _ = argument[2:].partition("=")
            keys.append(name.replace("-", "_"))
            open_key = not equals
        elif open_key:
            open_key = False
        else:
            raise UsageError(
                f"{argument!r} has no --KEY before it; a list is one value, in quotes: --spatial_size '[128, 128]'"
            )
    for key in keys:
        if key in TAKEN:
            raise UsageError(f"--{key} is for the long form, python -m monai.bundle run training: type that one")
    return keys


def become(command: list[str]) -> int:
    """Run `command` in this process's place, so that streams, signals and exit code are its own; never returns.

    On Windows, which can't do that, it runs below this process, and its exit code comes back.
    """
    if os.name == "nt":
        return subprocess.call(command)
    os.execv(command[0], command)


def _turn_away(to_stderr: bool) -> None:
    """What is printed from now on goes to stderr, or nowhere."""
    sys.stdout.flush()
    os.dup2(2 if to_stderr else os.open(os.devnull, os.O_WRONLY), 1)
