"""Flags that hold for any mask: empty, off the body, gaps, islands, and what happened to its contours."""

from collections import Counter
from collections.abc import Iterator

from data_prep.qc.facts import CaseFacts
from data_prep.qc.flags import Check, Flag, percent
from data_prep.qc.limits import Limits
from data_prep.qc.lung_flags import LUNGS, TUMOURS


def no_masks(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    if not any(roi.status == "ok" for roi in case.rois):
        yield Flag("no_masks", "look", "no mask at all: an image only")


def unreadable(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    for roi in case.rois:
        if roi.problem is not None:
            yield Flag("unreadable", "bad", roi.problem, roi.name)


def empty(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    for roi in case.rois:
        if roi.status == "ok" and roi.problem is None and not roi.voxels:
            yield Flag("mask_empty", "bad", "its mask is empty", roi.name)


def refused(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    for roi in case.rois:
        if roi.status != "ok":
            yield Flag("roi_refused", "look", f"refused: {roi.reason or 'no reason given'}", roi.name)


def off_body(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    """Masks beside the body. Unknown spellings only get a note: couches and frames have their place there."""
    for roi in case.rois:
        if not roi.measured or case.body_middle_mm is None or roi.label in (*TUMOURS, "body"):
            continue
        outside = 1 - roi.body_share
        if outside > limits.outside_share_look:
            severity = "bad" if outside > limits.outside_share_bad else "look"
            text = f"{percent(outside)} of it lie outside the body"
            yield Flag("off_body", severity if roi.label else "note", text, roi.name)


def duplicate_labels(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    counts = Counter(roi.label for roi in case.rois if roi.status == "ok" and roi.label)
    for label, count in counts.items():
        if count > 1 and label not in TUMOURS:  # patients have several
            yield Flag("duplicate_label", "look", f"{count} ROIs are labelled {label}: readers unite them")


def contours_lost(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    for roi in case.rois:
        drawn = roi.planes.get("in", 0)
        for key, share, what in (
            ("skipped", limits.skipped_share, f"skipped ({roi.reason})" if roi.reason else "skipped"),
            ("moved", limits.moved_share, "moved to the nearest slice"),
        ):
            count = roi.planes.get(key, 0)
            if roi.status == "ok" and drawn and count:
                severity = "look" if count > share * drawn else "note"
                yield Flag(f"contours_{key}", severity, f"{count} of {drawn} contours were {what}", roi.name)


def volume_mismatch(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    """Voxels against polygons: they differ by the pixels along the border only, unless contours were lost or cross."""
    for roi in case.rois:
        if not roi.measured or not roi.polygon_ml:
            continue
        off = abs(roi.volume_ml - roi.polygon_ml)
        if off > limits.volume_ml and off > limits.volume_share * roi.polygon_ml:
            text = f"its mask holds {roi.volume_ml:.1f} ml, its contours {roi.polygon_ml:.1f}"
            yield Flag("volume_mismatch", "look", text, roi.name)


def gaps(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    for roi in case.rois:
        if roi.measured and roi.one_slice_gaps:
            text = f"{roi.one_slice_gaps} single slice(s) between drawn ones are empty: forgotten?"
            yield Flag("gap", "look", text, roi.name)


def islands(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    for roi in case.rois:
        large = [volume for volume in roi.islands_ml if volume > limits.island_ml]
        if not roi.measured or not large or (roi.label == "lungs" and len(large) == 1):
            continue
        severity = "look" if roi.label in LUNGS else "note"
        text = f"{len(large)} part(s) lie apart from the largest one, {sum(large):.1f} ml in all"
        yield Flag("islands", severity, text, roi.name)


def roi_from_conversion(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    for roi in case.rois:
        for text in roi.flags:
            yield Flag("conversion", "look", text, roi.name)


MASK_CHECKS: tuple[Check, ...] = (
    unreadable,
    empty,
    no_masks,
    off_body,
    volume_mismatch,
    contours_lost,
    gaps,
    islands,
    duplicate_labels,
    refused,
    roi_from_conversion,
)
