"""Scores of a run's saved masks, as `lungseg evaluate` writes them, in the few figures that a table shows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lungseg_monai.errors import DatasetError
from lungseg_monai.evaluation.predictions import JOURNAL
from lungseg_monai.evaluation.summary import blank_pairs, describe, select
from lungseg_monai.io import read_json

ELEVATED = 0.9  # our reading of "elevated DSC values", section 3.2.1
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Threshold:
    """Masks are where the probability is above this, on the image's own grid."""

    value: float = 0.5

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def score_run(run: Path, data: Path) -> dict[str, Any]:
    """RUN/scores.json, made where it is older than the predictions. Raises EvaluationError and DatasetError."""
    from lungseg_monai.evaluation.scores import evaluate
    from lungseg_monai.evaluation.tables import write_scores

    path, journal = run / "scores.json", run / "predictions" / JOURNAL
    if path.is_file() and path.stat().st_mtime >= journal.stat().st_mtime:
        try:
            kept: dict[str, Any] = read_json(path)
            return kept
        except DatasetError:
            pass  # damaged: score again
    scores = evaluate(run / "predictions", data)
    write_scores(scores, run)
    return scores


def summary_of(scores: Mapping[str, Any], label: str) -> dict[str, Any]:
    """Of each section that was scored: volumes, slices with and without lung, and how the paper would count."""
    sections = dict.fromkeys(row["section"] for row in scores["cases"])
    return {
        name: _section(select(scores["cases"], label, name), select(scores["slices"], label, name)) for name in sections
    }


def _section(cases: Rows, slices: Rows) -> dict[str, Any]:
    held = [row for row in slices if row["reference_voxels"]]
    blank = blank_pairs(slices)
    zero = blank["both_blank"] + blank["false_positive"] + sum(row["dice"] == 0 for row in held)
    return {
        "volume_dice": describe(row["dice"] for row in cases),
        "volume_iou": describe(row["iou"] for row in cases),
        "hd95_mm": describe(row["hd95_mm"] for row in cases),
        "lowest_volume_dice": min((row["dice"] for row in cases if row["dice"] is not None), default=None),
        "slice_dice": describe(row["dice"] for row in held),
        "accuracy": describe(row["accuracy"] for row in slices),
        "slices": len(slices),
        "slices_with_lung": len(held),
        "blank_left_blank": blank["both_blank"],
        "false_positive": blank["false_positive"],
        "dice_0_as_the_paper": zero,
        "elevated": sum(row["dice"] > ELEVATED for row in held),
        "lowest_are_blank": _lowest_are_blank(slices),
    }


def _lowest_are_blank(slices: Rows) -> dict[str, int]:
    """Of the slices with a DSC of 0 (two blanks count 1), how many hold no lung."""
    zero = [row for row in slices if row["dice"] == 0]
    return {"dice_0": len(zero), "blank": sum(not row["reference_voxels"] for row in zero)}
