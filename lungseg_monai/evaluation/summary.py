"""Many scores in a few numbers, with slices that hold no reference told apart, so that they hide in no average."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lungseg_monai.evaluation.metrics import OVERLAP_METRICS, Score

Row = Mapping[str, Any]
SECTION_ORDER = ("training", "validation", "test")


def summarise(cases: Sequence[Row], slices: Sequence[Row], case_metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of scores -> a row for each label, section, level, choice of slices and metric."""
    rows = []
    for label, section in groups(cases):
        mine = select(slices, label, section)
        levels = [
            ("case", "all", select(cases, label, section), case_metrics),
            ("slice", "all", mine, OVERLAP_METRICS),
            ("slice", "with_label", [row for row in mine if row["reference_voxels"]], OVERLAP_METRICS),
            ("slice", "without_label", [row for row in mine if not row["reference_voxels"]], OVERLAP_METRICS),
        ]
        for level, which, chosen, metrics in levels:
            key = {"label": label, "section": section, "level": level, "slices": which}
            rows += [key | {"metric": metric} | describe(row[metric] for row in chosen) for metric in metrics]
    return rows


def describe(scores: Iterable[Score]) -> dict[str, Any]:
    """n and not_computed (None), then mean, median, std (of the population, ddof 0) and 5th percentile of the rest."""
    everything = list(scores)
    values = [score for score in everything if score is not None]
    counts = {"n": len(values), "not_computed": len(everything) - len(values)}
    if not values:
        return counts | dict.fromkeys(("mean", "median", "std", "p05"))
    return counts | {
        "mean": float(np.mean(values)),
        "median": float(np.median(values)),
        "std": float(np.std(values)),
        "p05": float(np.percentile(values, 5)),
    }


def groups(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """The (label, section) pairs that occur, labels as they come, sections in the order of SECTION_ORDER."""
    found = dict.fromkeys((row["label"], row["section"]) for row in rows)
    labels = list(dict.fromkeys(label for label, _ in found))
    return sorted(found, key=lambda pair: (labels.index(pair[0]), _order(pair[1])))


def select(rows: Iterable[Row], label: str, section: str) -> list[Row]:
    return [row for row in rows if row["label"] == label and row["section"] == section]


def blank_pairs(slices: Iterable[Row]) -> dict[str, int]:
    """How the slices of one label and section fall by whether reference and prediction hold anything.

    Gao reports half of all DSC as 0 and shows pairs of blank masks among the best: these numbers say which is which.
    """
    counts = {"slices": 0, "blank_reference": 0, "both_blank": 0, "false_positive": 0, "missed": 0}
    for row in slices:
        blank, predicted = not row["reference_voxels"], bool(row["predicted_voxels"])
        counts["slices"] += 1
        counts["blank_reference"] += blank
        counts["both_blank"] += blank and not predicted
        counts["false_positive"] += blank and predicted
        counts["missed"] += not blank and not predicted
    return counts


def _order(section: str) -> tuple[int, str]:
    return (SECTION_ORDER.index(section) if section in SECTION_ORDER else len(SECTION_ORDER), section)
