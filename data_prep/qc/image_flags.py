"""Flags about the image: HU, slices, what the conversion said."""

from collections.abc import Iterator

from data_prep.qc.facts import CaseFacts
from data_prep.qc.flags import Check, Flag, percent
from data_prep.qc.limits import Limits


def not_finite(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    if case.hu.not_finite:
        yield Flag("hu_not_finite", "bad", f"{case.hu.not_finite} voxels are no numbers")


def rescale(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    """Air is not near -1000 HU: an intercept or slope that was forgotten, or applied twice."""
    low, high = limits.air_peak_hu
    peak = case.hu.air_peak
    if peak is not None and not low <= peak <= high:
        yield Flag(
            "hu_rescale",
            "bad",
            f"the lowest peak of the histogram lies at {peak} HU; air should make one near -1000: rescaled wrongly, "
            "or an image without air",
        )


def missing_air(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    if case.hu.air_share < limits.least_air_share:
        yield Flag("no_air", "bad", f"only {percent(case.hu.air_share)} of the voxels are air or lung")


def missing_body(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    if case.hu.tissue_share < limits.least_tissue_share:
        share = percent(case.hu.tissue_share)
        yield Flag("no_body", "bad", f"only {share} of the voxels are soft tissue (-250 to 250 HU)")
    elif case.body_middle_mm is None:
        yield Flag("no_body", "bad", "no body was found in the image")


def too_low(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    if case.hu.lowest < limits.low_hu:
        severity = "look" if case.hu.below_share > limits.low_share else "note"
        share = percent(case.hu.below_share)
        text = f"HU go down to {case.hu.lowest:g}, besides padding; {share} lie below {limits.low_hu}"
        yield Flag("hu_low", severity, text)


def too_high(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    if case.hu.highest > limits.high_hu:
        severity = "look" if case.hu.above_share > limits.high_share else "note"
        share = percent(case.hu.above_share)
        yield Flag("hu_high", severity, f"HU go up to {case.hu.highest:g}; {share} lie above {limits.high_hu}: metal?")


def thick_slices(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    if case.step_mm > limits.largest_step_mm + 1e-3:
        yield Flag(
            "thick_slices", "look", f"slices lie {case.step_mm:.3g} mm apart, more than {limits.largest_step_mm:g}"
        )


def few_slices(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    if case.shape[2] < limits.fewest_slices:
        yield Flag("few_slices", "look", f"{case.shape[2]} slice(s): hardly a whole chest")


def from_conversion(case: CaseFacts, limits: Limits) -> Iterator[Flag]:
    """What dicom2nifti flagged."""
    for text in case.flags:
        yield Flag("conversion", "look", text)


HU_CHECKS: tuple[Check, ...] = (not_finite, rescale, missing_air, missing_body, too_low, too_high)
SLICE_CHECKS: tuple[Check, ...] = (thick_slices, few_slices, from_conversion)
