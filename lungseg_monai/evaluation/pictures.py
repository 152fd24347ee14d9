"""Scores of masks of radiographs: those of Table 2 of the chest X-ray paper, accuracy, and how far contours lie apart.

Everything is per image at its own size; `summarise_pictures` then takes means over images. Pure functions on numpy.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import EvaluationError
from lungseg_monai.evaluation.bootstrap import Bootstrap, intervals
from lungseg_monai.evaluation.metrics import BoolArray, Empty, Score, count_slices, overlap_scores
from lungseg_monai.evaluation.summary import describe
from lungseg_monai.evaluation.surface import surface_scores

PICTURE_METRICS = ("dice", "iou", "mse", "mse_probability", "accuracy", "hd95_px", "hd95_mm")
LOWER_IS_BETTER = ("mse", "mse_probability", "hd95_px", "hd95_mm")
WORST_SHARE = 0.05
WORST = "worst_5_percent"


def picture_scores(
    predicted: BoolArray,
    reference: BoolArray,
    probability: NDArray[np.floating] | None = None,
    spacing_mm: Sequence[float] | None = None,
    empty: Empty = "one",
) -> dict[str, Score]:
    """PICTURE_METRICS of two masks (H, W) bool of one image; None is what could not be computed.

    mse: mean squared difference of the two masks as 0 and 1 (Table 2's formula; equal to 1 - accuracy).
    mse_probability: the same of `probability` (H, W) in 0 ... 1 and the reference, where it is given. hd95_px, hd95_mm:
    95th percentile Hausdorff distance of the contours, in pixels and, where `spacing_mm` (between rows, between
    columns) is known, in mm; None where a mask is empty. empty: Dice and IoU of two empty masks, 1 or None.
    Raises EvaluationError where shapes differ, or for a probability outside 0 ... 1.
    """
    _check_shapes(predicted, reference, probability)
    both = predicted[:, :, None], reference[:, :, None]
    overlap = overlap_scores(count_slices(*both)[0], empty)
    accuracy = overlap["accuracy"]
    return {
        "dice": overlap["dice"],
        "iou": overlap["iou"],
        "mse": None if accuracy is None else 1.0 - accuracy,
        "mse_probability": None if probability is None else _squared(probability, reference),
        "accuracy": accuracy,
        "hd95_px": _hd95(predicted, reference, (1.0, 1.0)),
        "hd95_mm": None if spacing_mm is None else _hd95(predicted, reference, spacing_mm),
    }


def summarise_pictures(cases: Sequence[Mapping[str, Any]], bootstrap: Bootstrap | None = None) -> dict[str, Any]:
    """Rows of `picture_scores` -> metric -> its numbers over images, for the metrics that the rows have.

    n, not_computed, mean, median, std, p05; worst_5_percent: the mean of the worst twentieth of the images (rounded up,
    so at least one), the lowest of shares, the highest of errors and distances; mean_interval and median_interval: 95 %
    by bootstrap over patients, images of one "group" (else each its own) together, None for fewer than two.
    """
    metrics = [metric for metric in PICTURE_METRICS if any(metric in case for case in cases)]
    return {metric: _numbers(cases, metric, bootstrap or Bootstrap()) for metric in metrics}


def worst_mean(values: Sequence[float], lower_is_better: bool = False) -> Score:
    """The mean of the worst WORST_SHARE of `values`, of one at least; None without any."""
    if not len(values):
        return None
    ascending = np.sort(np.asarray(values, np.float64))
    count = ceil(WORST_SHARE * len(ascending) - 1e-9)
    return float(ascending[-count:].mean() if lower_is_better else ascending[:count].mean())


def _numbers(cases: Sequence[Mapping[str, Any]], metric: str, bootstrap: Bootstrap) -> dict[str, Any]:
    groups: dict[Any, list[float]] = {}
    for number, case in enumerate(cases):
        of_group = groups.setdefault(case.get("group") or ("alone", number), [])
        if case[metric] is not None:
            of_group.append(case[metric])
    values = [value for of_group in groups.values() for value in of_group]
    mean, median = intervals(list(groups.values()), bootstrap)
    return describe(case[metric] for case in cases) | {
        WORST: worst_mean(values, metric in LOWER_IS_BETTER),
        "mean_interval": mean and list(mean),
        "median_interval": median and list(median),
    }


def _hd95(predicted: BoolArray, reference: BoolArray, spacing_mm: Sequence[float]) -> Score:
    """surface.py's, of the middle one of three equal slices: where a volume ends its slices are surface all over."""
    thick = [np.repeat(mask[:, :, None], 3, axis=2) for mask in (predicted, reference)]
    return surface_scores(thick[0], thick[1], (*spacing_mm, 1.0), slices=[(1, 2)])["hd95_mm"]


def _squared(probability: NDArray[np.floating], reference: BoolArray) -> float:
    low, high = float(probability.min()), float(probability.max())
    if not (low >= 0 and high <= 1):  # not so for NaN either
        raise EvaluationError(f"probabilities from {low:.4g} to {high:.4g}; wanted 0 to 1")
    return float(np.mean((probability.astype(np.float64) - reference) ** 2))


def _check_shapes(predicted: BoolArray, reference: BoolArray, probability: NDArray[np.floating] | None) -> None:
    for name, values in (("the prediction", predicted), ("the probability", probability)):
        if values is not None and (values.shape != reference.shape or values.ndim != 2):
            raise EvaluationError(
                f"{name} has {list(values.shape)} pixels (rows, columns), the reference {list(reference.shape)}. Bring "
                "the prediction to the original image's size; scores never resample."
            )
