"""Tumour scores: hand-made patients with known answers for every convention, and the laws that they keep."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungseg_monai.errors import EvaluationError, NothingToDoError
from lungseg_monai.evaluation.bootstrap import Bootstrap
from lungseg_monai.evaluation.tumors import DICE_COLUMNS, slice_table, summarise_tumors, tumor_scores

SPACING = (0.5, 2.0, 3.0)  # 3 mm3 a voxel
SHAPE = (9, 7, 6)
FEW = Bootstrap(resamples=200, seed=1)


def masks(pixels):
    """[(predicted, reference), ...] sets of (i, j), one pair a slice -> two masks."""
    predicted, reference = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    for k, pair in enumerate(pixels):
        for mask, chosen in zip((predicted, reference), pair, strict=True):
            for i, j in chosen:
                mask[i, j, k] = True
    return predicted, reference


LEFT, BOTH, RIGHT = [(2, 3)], [(2, 3), (3, 3)], [(3, 3)]
FAR = [(7, 1)]
# True negative, hit, exact hit, beside, missed, false positive
EVERY_KIND = masks([([], []), (LEFT, BOTH), (BOTH, BOTH), (LEFT, RIGHT), ([], BOTH), (FAR, [])])


def test_each_kind_of_slice():
    rows = slice_table(*EVERY_KIND)
    assert [row["kind"] for row in rows] == ["TN", "TP", "TP", "FN", "FN", "FP"]
    assert [row["dice"] for row in rows] == pytest.approx([1, 2 / 3, 1, 0, 0, 0])
    assert [row["slice"] for row in rows] == list(range(6))
    assert [row["predicted_voxels"] for row in rows] == [0, 1, 2, 1, 0, 1]
    assert [row["reference_voxels"] for row in rows] == [0, 2, 2, 1, 2, 0]
    assert [row["both_voxels"] for row in rows] == [0, 1, 2, 0, 0, 0]


def test_one_patient_in_every_convention():
    scores = tumor_scores(*EVERY_KIND, SPACING)
    assert scores["slice_dice_section_3_3"] == pytest.approx((1 + 2 / 3 + 1) / 6)
    assert scores["slice_dice_authors_code"] == pytest.approx(2 / 3)  # the exact hit goes with the blank pair
    assert scores["slice_dice_tumor_slices"] == pytest.approx((2 / 3 + 1) / 4)
    assert scores["volume_dice"] == pytest.approx(2 * 3 / (5 + 7))
    counts = ("slices", "tumor_slices", "overlapping_slices", "false_positive_slices", "false_negative_slices")
    assert [scores[name] for name in (*counts, "missed_slices")] == [6, 4, 2, 1, 2, 1]
    assert (scores["reference_ml"], scores["predicted_ml"], scores["false_positive_ml"]) == pytest.approx(
        (0.021, 0.015, 0.006)
    )
    assert (scores["lesions"], scores["lesions_found"], scores["false_positive_lesions"]) == (1, 1, 1)
    assert scores["tumor_bearing"] and scores["tolerance_mm"] == 3.0


def patient(*pixels, tolerance_mm=3.0):
    return tumor_scores(*masks(pixels), SPACING, tolerance_mm)


HIT = patient((LEFT, BOTH), (BOTH, BOTH))  # 2/3 and 1
MISSED = patient(([], BOTH))
FREE, FALSE = patient(), patient((FAR, []), (FAR, []))


def test_a_cohort_in_every_convention():
    summary = summarise_tumors([HIT, MISSED, FREE, FALSE], FEW)
    pooled = [2 / 3, 1, 1, 1, 1, 1] + [0, 1, 1, 1, 1, 1] + [1] * 6 + [0, 0, 1, 1, 1, 1]
    expected = {
        "slice_dice_section_3_3": (pooled, "slices", 0),
        "slice_dice_authors_code": ([2 / 3], "patients", 1),
        "slice_dice_authors_code_pooled": ([2 / 3], "slices", 0),
        "slice_dice_tumor_slices": ([2 / 3, 1, 0], "slices", 0),
        "volume_dice": ([6 / 7, 0], "patients", 0),
        "surface_dice": ([1, 0], "patients", 0),
        "hd95_mm": ([HIT["hd95_mm"]], "patients", 1),
    }
    for name, (values, of, lost) in expected.items():
        column = summary[name]
        assert (column["mean"], column["median"]) == pytest.approx((np.mean(values), np.median(values))), name
        assert (column["n"], column["of"], column["not_computed"]) == (len(values), of, lost), name
    assert (summary["patients"], summary["tumor_bearing_patients"]) == (4, 2)
    assert (summary["slices"], summary["tumor_slices"], summary["tumor_free_slices"]) == (24, 3, 21)
    assert (summary["false_positive_slices"], summary["false_negative_slices"], summary["missed_slices"]) == (2, 1, 1)
    assert summary["lesion_sensitivity"] | {"ci95": None} == {"value": 0.5, "ci95": None, "found": 1, "lesions": 2}
    assert summary["false_positive_lesions_per_scan"]["value"] == 0.25
    free = summary["tumor_free"]
    assert (free["patients"], free["with_false_positives"], free["false_positive_slices"]) == (2, 1, 2)
    assert free["false_positive_ml"] == pytest.approx({"total": 0.006, "mean": 0.003, "max": 0.006})


def test_patients_without_tumour_move_only_the_columns_that_are_theirs():
    with_them, alone = summarise_tumors([HIT, MISSED, FREE, FALSE], FEW), summarise_tumors([HIT, MISSED], FEW)
    for name in ("volume_dice", "slice_dice_authors_code", "hd95_mm", "surface_dice"):
        ends = ("mean", "median", "n", "not_computed", "mean_ci95", "median_ci95")
        assert [with_them[name][end] for end in ends] == [alone[name][end] for end in ends]
    blank, false = (
        summarise_tumors([HIT, MISSED, free], FEW)["slice_dice_section_3_3"]["mean"] for free in (FREE, FALSE)
    )
    assert blank > alone["slice_dice_section_3_3"]["mean"] > false
    assert with_them["false_positive_lesions_per_scan"]["value"] > alone["false_positive_lesions_per_scan"]["value"]


def test_the_code_averages_patients_and_the_pool_averages_slices():
    many = patient(*[(LEFT, BOTH)] * 5)  # five slices of 2/3
    (i, j), wide = (2, 3), [(2, 3), (3, 3), (4, 3)]
    one = patient(([(i, j)], wide))  # one slice of 1/2
    summary = summarise_tumors([many, one], FEW)
    assert summary["slice_dice_authors_code"]["mean"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert summary["slice_dice_authors_code_pooled"]["mean"] == pytest.approx((5 * 2 / 3 + 1 / 2) / 6)


def test_missing_the_hard_slices_raises_the_authors_figure_and_no_other():
    """Why false negatives stand beside the figure: it forgets what was missed."""
    weak, strong = ([(2, 3)], [(2, 3), (3, 3), (4, 3)]), (LEFT, BOTH)
    kept = summarise_tumors([patient(strong, weak)], FEW)
    lost = summarise_tumors([patient(strong, ([], weak[1]))], FEW)
    assert lost["slice_dice_authors_code"]["mean"] > kept["slice_dice_authors_code"]["mean"]
    for name in ("slice_dice_section_3_3", "slice_dice_tumor_slices", "volume_dice"):
        assert lost[name]["mean"] < kept[name]["mean"]
    assert (lost["false_negative_slices"], kept["false_negative_slices"]) == (1, 0)


@pytest.mark.parametrize("cases", [[FREE], [MISSED], [FREE, FALSE], [HIT], [HIT, MISSED, FREE]])
def test_what_is_not_computed_is_null_in_json_and_never_nan(cases):
    summary = summarise_tumors(cases, FEW)
    json.dumps([summary, *cases], allow_nan=False)
    for name in DICE_COLUMNS:
        column = summary[name]
        assert (column["mean"] is None) == (column["median"] is None) == (column["n"] == 0)
        assert column["mean_ci95"] is None or len(cases) > 1
    if not any(case["tumor_bearing"] for case in cases):
        assert summary["volume_dice"]["n"] == 0 and summary["lesion_sensitivity"]["value"] is None


def blobs(seed):
    random = np.random.default_rng(seed)
    return random.random((2, *SHAPE)) < random.choice([0.0, 0.03, 0.3], (2, 1, 1, SHAPE[2]))


def test_slices_agree_with_monais_dice_metric():
    import torch
    from monai.metrics import DiceMetric

    predicted, reference = blobs(4)
    metric = DiceMetric(include_background=True, ignore_empty=False)
    for mask in np.stack([predicted, reference], -1).transpose(2, 3, 0, 1):
        metric(torch.as_tensor(mask[0])[None, None], torch.as_tensor(mask[1])[None, None])
    theirs = metric.get_buffer()[:, 0].tolist()
    assert [row["dice"] for row in slice_table(predicted, reference)] == pytest.approx(theirs, abs=1e-6)
    assert len(set(theirs)) > 3
    volume = DiceMetric(include_background=True)(
        torch.as_tensor(predicted)[None, None], torch.as_tensor(reference)[None, None]
    )
    assert tumor_scores(predicted, reference, SPACING)["volume_dice"] == pytest.approx(volume.item(), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.tuples(*[st.booleans()] * 3), st.booleans(), st.tuples(*[st.integers(1, 3)] * 2))
def test_scores_depend_on_no_direction_and_no_place_in_plane(seed, flips, turn, moved):
    """Padded on all sides in plane, so that no mask leans on the volume's end."""
    pair = [np.pad(mask, [(1, 1), (1, 1), (0, 0)]) for mask in blobs(seed)]
    scores = tumor_scores(*pair, SPACING)
    there = [np.flip(mask, [axis for axis in range(3) if flips[axis]]) for mask in pair]
    there = [np.pad(mask, [(moved[0], 0), (0, moved[1]), (0, 0)]) for mask in there]
    spacing = SPACING
    if turn:
        there, spacing = [mask.transpose(1, 0, 2) for mask in there], (SPACING[1], SPACING[0], SPACING[2])
    other = tumor_scores(*there, spacing)
    for name in ("slice_dice", "slice_kinds"):
        of = scores.pop(name)
        assert other.pop(name) == (of[::-1] if flips[2] else of)
    assert other == pytest.approx(scores)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
def test_slices_are_counted_once_each(seeds):
    summary = summarise_tumors([tumor_scores(*blobs(seed), SPACING) for seed in seeds], Bootstrap(20))
    assert summary["overlapping_slices"] + summary["false_negative_slices"] == summary["tumor_slices"]
    assert summary["missed_slices"] <= summary["false_negative_slices"]
    assert summary["false_positive_slices"] <= summary["tumor_free_slices"]
    assert summary["slice_dice_tumor_slices"]["n"] == summary["tumor_slices"]
    assert summary["slice_dice_section_3_3"]["n"] == summary["slices"] == 6 * len(seeds)
    # By section 3.3 a blank pair is 1 and a false positive 0: the mean is bound to both counts.
    blank = summary["tumor_free_slices"] - summary["false_positive_slices"]
    total = summary["slice_dice_tumor_slices"]["mean"] or 0.0
    assert summary["slice_dice_section_3_3"]["mean"] * summary["slices"] == pytest.approx(
        blank + total * summary["tumor_slices"]
    )


def test_only_the_slices_that_count_are_scored():
    predicted, reference = EVERY_KIND
    part = tumor_scores(predicted, reference, SPACING, slices=[(0, 2), (4, 5)])
    assert part["slice_kinds"] == ["TN", "TP", "FN"]
    assert part["volume_dice"] == pytest.approx(2 / 5) and part["false_positive_lesions"] == 0
    with pytest.raises(EvaluationError, match=r"\[4, 9\).*6 slices"):
        tumor_scores(predicted, reference, SPACING, slices=[(4, 9)])


def test_numbers_of_0_and_1_are_masks_too():
    as_numbers = [mask.astype(np.uint8) for mask in EVERY_KIND]
    assert tumor_scores(*as_numbers, SPACING) == tumor_scores(*EVERY_KIND, SPACING)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 0.0, 1.0), (1.0, float("nan"), 1.0)])
def test_a_spacing_that_is_none_is_refused(spacing):
    with pytest.raises(EvaluationError, match="spacing"):
        tumor_scores(*EVERY_KIND, spacing)


def test_masks_that_do_not_match_and_tolerances_that_differ_are_refused():
    predicted, reference = EVERY_KIND
    with pytest.raises(EvaluationError, match=r"\(9, 7, 5\)"):
        slice_table(predicted[:, :, :5], reference)
    with pytest.raises(EvaluationError, match="tolerance"):
        tumor_scores(predicted, reference, SPACING, -1.0)
    with pytest.raises(EvaluationError, match=r"2\.0, 3\.0"):
        summarise_tumors([HIT, patient((LEFT, BOTH), tolerance_mm=2.0)], FEW)
    with pytest.raises(NothingToDoError):
        summarise_tumors([], FEW)
