"""Each flag on made facts: raised where it should be, silent for a chest as it should be."""

from dataclasses import replace
from typing import Any

import pytest

from data_prep.qc.facts import CaseFacts, HuFacts, RoiFacts
from data_prep.qc.flags import SEVERITIES, Flag, flags_of, percent, worst_first

HU = HuFacts(-1024, 1800, None, 0.0, 0.0, 0.0, -995, 0.55, 0.3)


def roi(label: str | None, x: float, ml: float, hu: float, **more: Any) -> RoiFacts:
    facts = {
        "name": f"my {label}",
        "label": label,
        "status": "ok",
        "planes": {"in": 60, "rasterised": 60, "clipped": 0, "moved": 0, "skipped": 0},
        "polygon_ml": ml * 1.004,
        "voxels": int(ml * 300),
        "volume_ml": ml,
        "slices": 60,
        "centre_mm": (x, 10.0, -100.0),
        "low_mm": (x - 50, -60.0, -220.0),
        "high_mm": (x + 50, 90.0, 20.0),
        "median_hu": hu,
    }
    return RoiFacts(**{**facts, **more})


LEFT, RIGHT, GTV = roi("lung_left", 70, 2200, -840), roi("lung_right", -75, 2700, -850), roi("gtv", 60, 40, 20)
GOOD = CaseFacts(
    "P1",
    "P1",
    (512, 512, 120),
    (0.9, 0.9, 3.0),
    "LPS",
    HU,
    3.0,
    body_middle_mm=2.0,
    rois=(LEFT, RIGHT, GTV),
    repairs=("a repair is no flag",),
)


def hu(**change: Any) -> CaseFacts:
    return replace(GOOD, hu=replace(HU, **change))


def rois(*found: RoiFacts, **change: Any) -> CaseFacts:
    return replace(GOOD, rois=found, **change)


def left(**change: Any) -> CaseFacts:
    return rois(replace(LEFT, **change), RIGHT, GTV)


def gtv(**change: Any) -> CaseFacts:
    return rois(LEFT, RIGHT, replace(GTV, **change))


def other(label: str | None = "heart", **change: Any) -> CaseFacts:
    return rois(LEFT, RIGHT, replace(roi(label, 20, 600, 30), **change))


def test_a_chest_as_it_should_be_has_no_flags():
    assert flags_of(GOOD) == []
    assert flags_of(other()) == []


FLAGGED = [
    ("hu_not_finite", "bad", hu(not_finite=3)),
    ("hu_rescale", "bad", hu(air_peak=24)),
    ("no_air", "bad", hu(air_share=0.001)),
    ("no_body", "bad", hu(tissue_share=0.01)),
    ("no_body", "bad", replace(GOOD, body_middle_mm=None)),
    ("hu_low", "look", hu(lowest=-1500, below_share=0.01)),
    ("hu_low", "note", hu(lowest=-1500, below_share=0.0001)),
    ("hu_high", "look", hu(highest=9000, above_share=0.01)),
    ("hu_high", "note", hu(highest=9000, above_share=0.0001)),
    ("thick_slices", "look", replace(GOOD, step_mm=6.0)),
    ("few_slices", "look", replace(GOOD, shape=(512, 512, 12))),
    ("conversion", "look", replace(GOOD, flags=("odd",))),
    ("conversion", "look", left(flags=("odd",))),
    ("lungs_swapped", "bad", rois(replace(LEFT, label="lung_right"), replace(RIGHT, label="lung_left"), GTV)),
    ("lungs_swapped", "bad", rois(replace(RIGHT, label="lung_left"))),
    ("lungs_swapped", "bad", rois(replace(LEFT, label="lung_right"))),
    ("lung_volume", "look", rois(roi("lungs", 0, 300, -850), GTV)),
    ("lung_volume", "look", rois(roi("lungs", 0, 20000, -850), GTV)),
    ("lung_ratio", "look", left(volume_ml=800.0, polygon_ml=800.0)),
    ("lung_ratio", "look", left(volume_ml=5000.0, polygon_ml=5000.0)),
    ("lungs_overlap", "look", replace(GOOD, lungs_overlap_share=0.5)),
    ("lung_soft", "bad", left(median_hu=-100.0)),
    ("lung_soft", "look", left(soft_share=0.45)),
    ("cropped", "look", left(edges={"S": 900.0})),
    ("cropped", "look", gtv(edges={"L": 900.0})),
    ("tumour_outside", "bad", gtv(body_share=0.2)),
    ("tumour_outside", "look", gtv(body_share=0.8)),
    ("tumour_off_thorax", "look", gtv(centre_mm=(60.0, 10.0, -300.0))),
    ("unreadable", "bad", left(problem="damaged")),
    ("mask_empty", "bad", gtv(voxels=0)),
    ("no_masks", "look", rois()),
    ("no_masks", "look", rois(replace(GTV, status="refused", voxels=0))),
    ("roi_refused", "look", gtv(status="refused", voxels=0, reason="no contours")),
    ("off_body", "bad", other(body_share=0.1)),
    ("off_body", "look", other(body_share=0.9)),
    ("off_body", "note", other(None, body_share=0.0)),
    ("volume_mismatch", "look", gtv(polygon_ml=50.0)),
    ("contours_skipped", "look", gtv(planes={"in": 20, "skipped": 5})),
    ("contours_skipped", "note", gtv(planes={"in": 20, "skipped": 1})),
    ("contours_moved", "look", gtv(planes={"in": 20, "moved": 5})),
    ("contours_moved", "note", gtv(planes={"in": 20, "moved": 1})),
    ("gap", "look", left(one_slice_gaps=1)),
    ("islands", "look", left(islands_ml=(40.0, 0.1))),
    ("islands", "note", gtv(islands_ml=(4.0,))),
    ("duplicate_label", "look", rois(LEFT, LEFT, RIGHT, GTV)),
]


@pytest.mark.parametrize(("code", "severity", "case"), FLAGGED)
def test_what_is_odd_is_flagged(code, severity, case):
    found = [flag for flag in flags_of(case) if flag.code == code]
    assert found and {flag.severity for flag in found} == {severity}
    assert all(flag.text for flag in found)


SILENT = [
    ("hu_rescale", hu(air_peak=None)),
    ("hu_low", hu(lowest=-1100)),
    ("thick_slices", replace(GOOD, step_mm=5.0)),
    ("lungs_swapped", rois(RIGHT)),
    ("lung_volume", rois(LEFT)),
    ("islands", rois(roi("lungs", 0, 5000, -850, islands_ml=(2300.0, 0.2)))),
    ("cropped", left(edges={"S": 20.0})),
    ("cropped", other(edges={"I": 900.0})),
    ("tumour_off_thorax", rois(LEFT, replace(GTV, centre_mm=(60.0, 10.0, -300.0)))),
    ("tumour_outside", replace(gtv(body_share=0.0), body_middle_mm=None)),
    ("off_body", other("body", body_share=0.5)),
    ("volume_mismatch", gtv(volume_ml=2.0, polygon_ml=2.9)),
    ("volume_mismatch", gtv(volume_ml=100.0, polygon_ml=102.0)),
    ("mask_empty", gtv(status="refused", voxels=0)),
    ("duplicate_label", rois(LEFT, RIGHT, GTV, GTV)),
    ("duplicate_label", rois(LEFT, RIGHT, roi(None, 0, 30, 20), roi(None, 0, 30, 20))),
]


@pytest.mark.parametrize(("code", "case"), SILENT)
def test_what_is_usual_is_not(code, case):
    assert code not in {flag.code for flag in flags_of(case)}


def test_worst_first():
    flags = flags_of(replace(gtv(voxels=0), step_mm=6.0))
    order = [SEVERITIES.index(flag.severity) for flag in flags]
    assert order == sorted(order) and len(order) >= 2
    bad, look, note = (Flag("x", severity, "x") for severity in SEVERITIES)
    ranked = [[bad, bad], [bad, look], [bad], [look, look, note], [look], [note, note], [note], []]
    assert sorted(ranked[3:] + ranked[:3], key=worst_first) == ranked


def test_a_share_is_never_rounded_to_all_or_nothing():
    assert [percent(share) for share in (0, 1, 1e-6, 1 - 1e-6, 0.034, 0.34)] == [
        "0 %",
        "100 %",
        "under 0.1 %",
        "over 99.9 %",
        "3.4 %",
        "34 %",
    ]
