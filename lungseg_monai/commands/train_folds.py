"""`lungseg train BUNDLE --fold all`: one training for each fold of the split, and how to predict with all of them."""

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from lungseg_monai.errors import DatasetError, UsageError

OPTION = "fold"


def wants_all(rest: Sequence[str]) -> bool:
    """Whether `rest` says --fold all."""
    return f"--{OPTION}=all" in rest or (f"--{OPTION}", "all") in pairwise(rest)


def train_folds(
    configs: Path,
    arguments: argparse.Namespace,
    long_form: Callable[[Path, argparse.Namespace], list[str]],
) -> int:
    """Train every fold into OUT/fold0, OUT/fold1, ...; the first exit code that is not 0 ends it and is returned.

    With --resume a fold that is done is left as it is, and one that was begun goes on. Shows each command before it is
    run, and at the end the one that predicts with all folds. Raises UsageError, DatasetError for a split without folds.
    """
    if arguments.json:
        raise UsageError("--fold all runs several trainings: give --json with one fold, as --fold 0")
    out = Path(arguments.out or Path("runs", arguments.bundle, time.strftime("%Y%m%d-%H%M%S")))
    data = arguments.data or "prepared"
    folds = folds_of(Path(data))
    rest = _without_all(arguments.rest)
    for fold in folds:
        run = out / f"fold{fold}"
        begun = (run / "checkpoints" / "last.pt").is_file()
        if arguments.resume and _done(run):
            continue
        given = {**vars(arguments), "out": str(run), "resume": arguments.resume and begun, "rest": rest}
        if not given["resume"]:
            given["rest"] = [*rest, f"--{OPTION}", str(fold)]
        said = long_form(configs, argparse.Namespace(**given))
        _show(arguments, shlex.join(["python", "-m", "monai.bundle", *said]))
        code = subprocess.call([sys.executable, "-m", "monai.bundle", *said])
        if code:
            return code
    runs = repr([str(out / f"fold{fold}") for fold in folds])
    predict = ["run", "--config_file", str(configs / "inference.yaml"), "--dataset_dir", str(data)]
    predict += ["--output_dir", str(out), "--checkpoint", runs, "--sections", "['test']"]
    _show(arguments, shlex.join(["python", "-m", "monai.bundle", *predict]), "all folds together, on the test list:\n")
    return 0


def folds_of(prepared: Path) -> list[int]:
    """The folds of datalist.json. Raises DatasetError where there is none."""
    path = prepared / "datalist.json"
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["training"]
        folds = sorted({int(entry[OPTION]) for entry in entries if OPTION in entry})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} can't be read ({type(error).__name__}): give --data PREPARED") from error
    if not folds:
        raise DatasetError(f"{path} has no folds: write them with `lungseg-prep split --folds K`")
    return folds


def _without_all(rest: Sequence[str]) -> list[str]:
    kept = [one for one in rest if one != f"--{OPTION}=all"]
    while f"--{OPTION}" in kept:
        place = kept.index(f"--{OPTION}")
        del kept[place : place + 2]
    return kept


def _done(run: Path) -> bool:
    try:
        return bool(json.loads((run / "run.json").read_text(encoding="utf-8"))["status"] == "done")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _show(arguments: argparse.Namespace, command: str, before: str = "") -> None:
    if not arguments.quiet:
        print(f"{before}$ {command}", file=sys.stderr, flush=True)  # noqa: T201
