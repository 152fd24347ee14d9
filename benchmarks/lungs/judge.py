"""What counts as right and what as a failure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.lungs.sample import Sample

RIGHT, LEFT = 1, 2
GOOD_DICE = 0.90
LITTLE_ML = 20.0  # of lung: less isn't judged by Dice, and as much as that may be found where there is none
KINDS = {"low": "Dice under 0.90", "missed": "not found at all", "swapped": "sides swapped", "false": "none there"}


@dataclass(frozen=True)
class Verdict:
    """dice: by side, only of lungs of at least LITTLE_ML. failures: of KINDS. severity: of the worst flag, if any."""

    dice: dict[int, float]
    truth_ml: dict[int, float]
    found_ml: dict[int, float]
    failures: tuple[str, ...]
    flagged: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def worst(self) -> float:
        """The lower Dice; below 0 where lung was found that isn't there."""
        if "false" in self.failures:
            return -sum(self.found_ml.values())
        return min(self.dice.values(), default=1.0)


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """2 |A and B| / (|A| + |B|); 1 for two empty masks."""
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * float(np.count_nonzero(one & other)) / total if total else 1.0


def judge(labels: NDArray[np.uint8], sample: Sample, flagged: tuple[str, ...] = (), seconds: float = 0.0) -> Verdict:
    """labels: on the sample's grid."""
    voxel_ml = abs(float(np.linalg.det(sample.affine_ras[:3, :3]))) / 1000
    table = np.bincount(3 * sample.truth.ravel() + labels.ravel(), minlength=9).reshape(3, 3)  # [truth, found]
    truth_ml = {side: float(table[side].sum()) * voxel_ml for side in (RIGHT, LEFT)}
    found_ml = {side: float(table[:, side].sum()) * voxel_ml for side in (RIGHT, LEFT)}
    scores: dict[int, float] = {}
    failures = []
    for side, other in ((RIGHT, LEFT), (LEFT, RIGHT)):
        if truth_ml[side] < LITTLE_ML:
            if found_ml[side] > truth_ml[side] + LITTLE_ML:
                failures.append("false")
            continue
        scores[side] = 2 * float(table[side, side]) / float(table[side].sum() + table[:, side].sum())
        if table[side, other] > table[side, side]:
            failures.append("swapped")
        elif not table[side, side]:
            failures.append("missed")
        elif scores[side] < GOOD_DICE:
            failures.append("low")
    return Verdict(scores, truth_ml, found_ml, tuple(failures), flagged, seconds)
