"""Overlap scores from counts of voxels. Pure functions on numpy."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
Empty = Literal["one", "skip"]
Score = float | None

OVERLAP_METRICS = ("dice", "iou", "accuracy", "precision", "recall")


@dataclass(frozen=True)
class Counts:
    """How voxels fall: both masks set, only the prediction, only the reference, neither."""

    both: int
    predicted_only: int
    reference_only: int
    neither: int

    @property
    def predicted(self) -> int:
        return self.both + self.predicted_only

    @property
    def reference(self) -> int:
        return self.both + self.reference_only

    @property
    def total(self) -> int:
        return self.predicted + self.reference_only + self.neither

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.both + other.both,
            self.predicted_only + other.predicted_only,
            self.reference_only + other.reference_only,
            self.neither + other.neither,
        )


def count_slices(predicted: BoolArray, reference: BoolArray) -> list[Counts]:
    """Two (I, J, K) masks -> K counts, one for each slice of the third axis."""
    both = np.count_nonzero(predicted & reference, axis=(0, 1))
    in_predicted = np.count_nonzero(predicted, axis=(0, 1))
    in_reference = np.count_nonzero(reference, axis=(0, 1))
    size = predicted.shape[0] * predicted.shape[1]
    return [
        Counts(int(b), int(p - b), int(r - b), int(size - p - r + b))
        for b, p, r in zip(both, in_predicted, in_reference, strict=True)
    ]


def overlap_scores(counts: Counts, empty: Empty) -> dict[str, Score]:
    """Dice, IoU, binary accuracy, precision and recall, each from 0 to 1, or None where not computed.

    Two empty masks: Dice and IoU are 1 (`empty` is one) or None (skip). A false positive on an empty reference
    makes Dice and IoU 0 under both. Precision without a prediction and recall without a reference are None.
    Dice as Gao section 2.5: 2 TP / (2 TP + FP + FN).
    """
    of_nothing = 1.0 if empty == "one" else None
    union = counts.predicted + counts.reference_only
    return {
        "dice": _ratio(2 * counts.both, counts.predicted + counts.reference, of_nothing),
        "iou": _ratio(counts.both, union, of_nothing),
        "accuracy": _ratio(counts.both + counts.neither, counts.total, None),
        "precision": _ratio(counts.both, counts.predicted, None),
        "recall": _ratio(counts.both, counts.reference, None),
    }


def volume_errors(counts: Counts, voxel_mm3: float) -> dict[str, Score]:
    """Predicted minus reference volume, in ml and in percent of the reference (None where that is empty)."""
    difference = counts.predicted - counts.reference
    return {
        "volume_error_ml": difference * voxel_mm3 / 1000,
        "volume_error_percent": _ratio(100 * difference, counts.reference, None),
    }


def _ratio(numerator: int, denominator: int, of_nothing: Score) -> Score:
    return numerator / denominator if denominator else of_nothing
