"""Which labels of a case in dataset.json are whole: one rule for training and for scores."""

from collections.abc import Iterable, Mapping
from typing import Any

Roi = Mapping[str, Any]
NEVER_DRAWN = "no contours"  # dataset.json's reason for an entry of an RTSTRUCT without a single contour


def lost_labels(rois: Iterable[Roi]) -> dict[str, str]:
    """label -> which ROI makes it incomplete, and why.

    A label is lost with any of its ROIs that was drawn but can't be used: half a lung is no lung. A ROI that was never
    drawn (an empty entry of a template) takes nothing away where another one of its label is usable. That `planes.in`
    is 0 does not say so: the contours of a ROI in another frame of reference are not counted.
    """
    there = list(rois)
    usable = {roi["label"] for roi in there if is_usable(roi)}
    lost: dict[str, str] = {}
    for roi in there:
        empty = roi.get("reason") == NEVER_DRAWN and roi["label"] in usable
        if roi["label"] and not is_usable(roi) and not empty:
            lost.setdefault(
                roi["label"],
                f"the ROI {roi.get('name')} ({roi['label']}) was refused by lungseg-prep: {roi.get('reason')}",
            )
    return lost


def is_usable(roi: Roi) -> bool:
    return roi["status"] == "ok" and bool(roi["file"])
