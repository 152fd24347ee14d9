"""Flags about what a chest should look like: lungs on their sides, full of air, whole; the tumour near them."""

from collections.abc import Iterator

import numpy as np

from data_prep.qc.facts import CaseFacts, RoiFacts
from data_prep.qc.flags import Check, Flag, percent
from data_prep.qc.limits import Limits

LUNGS = ("lung_left", "lung_right", "lungs")
TUMOURS = ("gtv", "gtv_nodes")
SIDE_NAMES = {"L": "left", "R": "right", "A": "front", "P": "back", "S": "upper", "I": "lower"}


def swapped_lungs(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    """By patient coordinates: +x is the patient's left (LPS), whatever the orientation of the image."""
    left, right = (_middle_mm(case.labelled(label)) for label in ("lung_left", "lung_right"))
    if left is not None and right is not None:
        if left < right:
            yield Flag(
                "lungs_swapped",
                "bad",
                f"the left lung lies {right - left:.0f} mm to the patient's right of the right one: swapped",
            )
    elif case.body_middle_mm is not None:
        for side, middle, sign in (("left", left, 1), ("right", right, -1)):
            across = None if middle is None else sign * (case.body_middle_mm - middle)
            if across is not None and across > limits.farthest_across_mm:
                text = f"the {side} lung lies {across:.0f} mm across the body's middle, on the other side"
                yield Flag("lungs_swapped", "bad", text)


def odd_lung_volumes(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    left, right = (_volume_ml(case.labelled(label)) for label in ("lung_left", "lung_right"))
    both = _volume_ml(case.labelled("lungs")) or (left + right if left and right else 0.0)
    low, high = limits.lungs_ml
    if both and not low <= both <= high:
        yield Flag("lung_volume", "look", f"the lungs hold {both:.0f} ml; usual are {low:.0f} to {high:.0f}")
    if left and right and not limits.lung_ratio[0] <= left / right <= limits.lung_ratio[1]:
        text = f"the left lung holds {left:.0f} ml, the right one {right:.0f}: {left / right:.2f} to 1, usual is 0.85"
        yield Flag("lung_ratio", "look", text)


def overlapping_lungs(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    if case.lungs_overlap_share > limits.lungs_overlap_share:
        share = percent(case.lungs_overlap_share)
        yield Flag("lungs_overlap", "look", f"{share} of the smaller lung belong to the other lung, too")


def soft_lungs(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    for roi in case.labelled(*LUNGS):
        median = roi.median_hu if roi.median_hu is not None else -np.inf
        if median > limits.lung_median_hu:
            text = f"its median is {median:.0f} HU: mostly soft tissue; lungs have about -800"
            yield Flag("lung_soft", "bad", text, roi.name)
        elif roi.soft_share > limits.lung_soft_share:
            text = (
                f"{percent(roi.soft_share)} of it are above {limits.lung_median_hu:g} HU: drawn beside the lung, or ill"
            )
            yield Flag("lung_soft", "look", text, roi.name)


def cropped(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    """Lungs or tumours that reach the image's edge go on beyond it."""
    for roi in case.labelled(*LUNGS, *TUMOURS):
        sides = [side for side, area in roi.edges.items() if area > limits.edge_area_mm2]
        if sides:
            area = sum(roi.edges[side] for side in sides) / 100
            where = " and ".join(f"{SIDE_NAMES[side]} edge" for side in sides)
            text = f"it touches the image's {where} with {area:.0f} cm²: cropped"
            yield Flag("cropped", "look", text, roi.name)


def tumour_outside(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    for roi in case.labelled(*TUMOURS):
        outside = 1 - roi.body_share
        if case.body_middle_mm is not None and outside > limits.outside_share_look:
            severity = "bad" if outside > limits.outside_share_bad else "look"
            yield Flag("tumour_outside", severity, f"{percent(outside)} of the tumour lie outside the body", roi.name)


def tumour_off_thorax(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    """Beyond the box around the lungs and a margin; asked where both lungs are known."""
    lungs = case.labelled(*LUNGS)
    if not {"lung_left", "lung_right"} <= {roi.label for roi in lungs} and not case.labelled("lungs"):
        return
    low = np.min([np.array(roi.low_mm) for roi in lungs], axis=0) - limits.thorax_margin_mm
    high = np.max([np.array(roi.high_mm) for roi in lungs], axis=0) + limits.thorax_margin_mm
    for roi in case.labelled("gtv"):
        if (np.array(roi.centre_mm) < low).any() or (np.array(roi.centre_mm) > high).any():
            text = f"the tumour's centre lies more than {limits.thorax_margin_mm:g} mm beyond the box around the lungs"
            yield Flag("tumour_off_thorax", "look", text, roi.name)


def _middle_mm(rois: list[RoiFacts]) -> float | None:
    """LPS x of the common centre."""
    voxels = sum(roi.voxels for roi in rois)
    return sum(roi.centre_mm[0] * roi.voxels for roi in rois if roi.centre_mm) / voxels if voxels else None


def _volume_ml(rois: list[RoiFacts]) -> float:
    return sum(roi.volume_ml for roi in rois)


LUNG_CHECKS: tuple[Check, ...] = (
    swapped_lungs,
    soft_lungs,
    tumour_outside,
    tumour_off_thorax,
    cropped,
    overlapping_lungs,
    odd_lung_volumes,
)
