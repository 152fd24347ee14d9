"""What a run folder holds, read tolerantly: what is missing becomes a note with the command that makes it."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

from lungseg_monai.errors import DatasetError, LungsegError, NothingToDoError, ReportError, UsageError
from lungseg_monai.evaluation.predictions import JOURNAL, Predictions, find_predictions
from lungseg_monai.evaluation.reference import PreparedReference, read_prepared
from lungseg_monai.evaluation.tables import CASE_KEYS, SLICE_KEYS
from lungseg_monai.io import read_json

CURVE_COLUMNS = ("loss", "accuracy", "dice")
SUMMARY_KEYS = ("label", "section", "level", "slices", "metric", "n", "not_computed", "mean", "median", "std", "p05")
Content = TypeVar("Content")


@dataclass(frozen=True)
class Note:
    """Something the report lacks, the command that makes it (or an empty string), and whether a file is damaged."""

    what: str
    command: str = ""
    damaged: bool = False


@dataclass
class Run:
    """What there is of a run. curves: split -> column -> [(epoch, value)]."""

    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, dict[str, list[tuple[int, float]]]] = field(default_factory=dict)
    scores: dict[str, Any] | None = None
    predictions: Predictions | None = None
    dataset: PreparedReference | None = None
    notes: list[Note] = field(default_factory=list)


def read_run(folder: Path, dataset: Path | None = None) -> Run:
    """Read RUN; `dataset` is the PREPARED folder for pictures, by default the one that run.json names.

    Raises NothingToDoError where neither run.json nor scores.json is there, UsageError where `dataset` is given but no
    prepared folder, ReportError for a segmentation.
    """
    if not folder.is_dir():
        raise NothingToDoError(f"{folder} is no folder: give the run's folder, the one that holds run.json")
    if not (folder / "run.json").is_file():
        if (folder / "segment.json").is_file():
            raise ReportError(f"{folder} holds a segmentation (segment.json): lungseg report {quote(str(folder))}")
        if not (folder / "scores.json").is_file():
            raise NothingToDoError(
                f"{folder} holds neither run.json nor scores.json: give the folder that training wrote (--output_dir), "
                "or score predictions first: lungseg evaluate PREDICTIONS REFERENCE"
            )
    if dataset is not None and not (_prepared_folder(dataset) / "dataset.json").is_file():
        raise UsageError(f"--dataset {dataset} is no prepared folder: it holds no dataset.json")
    run = Run(folder)
    train = "python -m monai.bundle run training --config_file configs/train.yaml --meta_file configs/metadata.json"
    run.facts = _part(run, "settings, versions and seeds", train, folder / "run.json", read_json) or {}
    run.curves = _part(run, "curves of loss and accuracy", train, folder / "curves.csv", read_curves) or {}

    prepared = dataset or _dataset_of(run)
    evaluate = f"lungseg evaluate {quote(str(folder / 'predictions'))} {quote(str(prepared or 'PREPARED'))}"
    infer = "python -m monai.bundle run --config_file configs/inference.yaml"
    files = folder / "scores.json", folder / "predictions" / JOURNAL
    tables = folder.resolve().parent.parent / "tables.html"
    if folder.resolve().parent.name == "models" and tables.is_file() and not any(file.is_file() for file in files):
        run.notes.append(Note(f"scores and pictures of predictions: lungseg reproduce keeps this model's in {tables}"))
    else:
        run.scores = _part(run, "scores", evaluate, files[0], read_scores)
        run.predictions = _part(run, "pictures of predictions", infer, files[1], _predictions)
    report = f"lungseg report {quote(str(folder))} --dataset PREPARED"
    described = _prepared_folder(prepared) / "dataset.json" if prepared else Path()
    run.dataset = _part(run, "pictures of images", report, described, _prepared)
    return run


def read_curves(path: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """curves.csv -> split -> column -> [(epoch, value)]; fields that hold no number are left out.

    Raises DatasetError: missing, unreadable, or without a single number.
    """
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                epoch = _number(row.get("epoch"))
                for column in CURVE_COLUMNS:
                    value = _number(row.get(column))
                    if epoch is not None and value is not None:
                        points = curves.setdefault(row.get("split") or "training", {}).setdefault(column, [])
                        points.append((int(epoch), value))
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"{path} can't be read ({error})") from error
    if not curves:
        raise DatasetError(f"{path} holds no row with an epoch and a loss")
    return curves


def read_scores(path: Path) -> dict[str, Any]:
    """scores.json. Raises DatasetError: missing, unreadable, or without what a report shows of it."""
    scores = read_json(path)
    try:
        if scores["empty"] not in ("one", "skip"):
            raise ValueError(f"empty is {scores['empty']!r}, one or skip is wanted")
        for name, keys in (
            ("cases", (*CASE_KEYS, *scores["metrics"])),
            ("slices", (*SLICE_KEYS, "dice", "accuracy")),
            ("summary", SUMMARY_KEYS),
            ("refused", ("case_id", "section", "label", "reason")),
        ):
            for row in scores[name]:
                for key in keys:
                    row[key]
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is damaged ({type(error).__name__}: {error})") from error
    return {"warning": None, "labels": {}} | scores


def _part(run: Run, what: str, command: str, file: Path, read: Callable[[Path], Content]) -> Content | None:
    """What `read` makes of `file`; or None, with a note in the report, where it can't."""
    try:
        return read(file)
    except LungsegError as error:
        missing = file != Path() and not file.is_file()
        told = f"{file} is not there" if missing else str(error)
        run.notes.append(Note(f"{what}: {told}", command, damaged=file.is_file()))
        return None


def _dataset_of(run: Run) -> Path | None:
    name = run.facts.get("dataset_dir")
    return Path(name) if isinstance(name, str) and name else None


def _prepared_folder(given: Path) -> Path:
    return given.parent if given.name == "dataset.json" else given


def _prepared(file: Path) -> PreparedReference:
    if file == Path():
        raise DatasetError("run.json names no dataset_dir")
    return read_prepared(file.parent)


def _predictions(file: Path) -> Predictions:
    if not file.is_file():
        raise DatasetError(f"{file} is not there")
    return find_predictions(file)


def _number(text: str | None) -> float | None:
    """A finite number, or None."""
    try:
        value = json.loads(text or "null")
    except ValueError:
        return None
    return float(value) if isinstance(value, int | float) and abs(value) < float("inf") else None
