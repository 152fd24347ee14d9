"""Masks against their reference, by lungseg's own evaluation; a system's scores in a few numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.systems.plan import FINDS, System

METRICS = ("dice", "iou", "hd95_mm")
Row = dict[str, Any]


def score(system: System, folder: Path, reference: Path, wanted: Sequence[str]) -> list[Row]:
    """A row for each wanted case: case, drawn (its reference holds something), METRICS, or the reason of a failure.

    Volume scores. Of two empty masks there is no Dice; something found where there is nothing has Dice 0.
    """
    from lungseg_monai.evaluation.scores import Extras, evaluate

    label, parts = FINDS[system.finds]
    labels = {label: parts} if system.segment is not None else None
    found = evaluate(folder, reference, labels=labels, empty="skip", extras=Extras(absent="empty"))
    drawn = {one["case_id"] for one in found["slices"] if one["reference_voxels"]}
    scored = {one["case_id"]: {name: one[name] for name in METRICS} for one in found["cases"]}
    reasons = {one["case_id"]: one["reason"] for one in found["refused"]}
    rows = []
    for case in wanted:
        told = scored.get(case) or {"failed": reasons.get(case, "no prediction")}
        rows.append({"case": case, "drawn": case in drawn, **told})
    return rows


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Means over the cases whose reference holds something; what was missed, and found where there is nothing."""
    scored = [one for one in rows if "failed" not in one]
    drawn = [one for one in scored if one["drawn"]]
    found: dict[str, Any] = {"n": len(drawn), "failed": len(rows) - len(scored)}
    for name in METRICS:
        values = [one[name] for one in drawn if one[name] is not None]
        found[name] = float(np.mean(values)) if values else None
    found["lowest"] = min((one["dice"] for one in drawn), default=None)
    found["missed"] = sum(one["dice"] == 0 for one in drawn)
    found["empty"] = len(scored) - len(drawn)
    found["false_alarms"] = sum(one["dice"] is not None for one in scored if not one["drawn"])
    return found


def median_seconds(seconds: Mapping[str, float]) -> float | None:
    return float(np.median(list(seconds.values()))) if seconds else None
