"""scores.csv, scores_slices.csv, scores_tumors.csv and scores.json (docs/reference/scores.md), each written whole."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.nifti import atomic_file
from lungseg_monai.evaluation.metrics import OVERLAP_METRICS

CASE_KEYS = ("case_id", "section", "label")
CONVENTION_KEYS = ("convention", "reference_convention")  # beside every score of a radiograph
SLICE_KEYS = (*CASE_KEYS, "slice", "reference_voxels", "predicted_voxels")
STAMP = ("empty", "warning")  # ends every row, so that no row is read without its policy and its warning
ON_REQUEST = ("tolerance_mm",)  # part of the stamp where it was asked for


def write_scores(scores: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the files into `folder`; returns their paths. Raises data_prep's OutputError."""
    policy = {name: scores[name] for name in STAMP}
    stamp = policy | {name: scores[name] for name in ON_REQUEST if name in scores}
    tumors = scores["tumors"]["cases"] if "tumors" in scores else []
    kind = ("kind",) if tumors else ()
    pictures = scores.get("kind") == "pictures"
    keys = (*CASE_KEYS, *CONVENTION_KEYS) if pictures else CASE_KEYS
    content = {"scores.csv": _csv(scores["cases"], (*keys, *scores["metrics"]), stamp)}
    if not pictures:
        content["scores_slices.csv"] = _csv(scores["slices"], (*SLICE_KEYS, *kind, *OVERLAP_METRICS), policy)
    if tumors:  # their conventions are their own: --empty has no say
        content["scores_tumors.csv"] = _csv(tumors, tuple(tumors[0]), {"warning": scores["warning"]})
    content["scores.json"] = json.dumps(scores, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    for name, text in content.items():
        with atomic_file(folder / name) as stream:
            stream.write(text.encode("utf-8"))
    return [folder / name for name in content]


def scores_folder(predictions: Path) -> Path:
    """Where scores go unless told: into the run that the predictions belong to, else beside the predictions."""
    folder = predictions.parent if predictions.is_file() else predictions
    return folder.resolve().parent if (folder.resolve().parent / "run.json").is_file() else folder


def _csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], stamp: Mapping[str, Any]) -> str:
    """An empty field is a score that was not computed."""
    text = io.StringIO()
    writer = csv.DictWriter(text, (*columns, *stamp), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**{column: row[column] for column in columns}, **stamp} for row in rows)
    return text.getvalue()
