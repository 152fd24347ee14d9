"""Overlap and surface scores against MONAI, SimpleITK and brute force, and the laws they keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from SimpleITK import (
    Abs,
    GetArrayFromImage,
    GetImageFromArray,
    LabelContour,
    LabelOverlapMeasuresImageFilter,
    SignedMaurerDistanceMap,
)

from lungseg_monai.evaluation.metrics import Counts, count_slices, overlap_scores, volume_errors
from lungseg_monai.evaluation.surface import surface_scores

SPACING = (0.9, 1.4, 3.1)
SHAPE = (17, 14, 9)


def blobs(seed, shape=SHAPE):
    """Two off-centre random ellipsoids with specks: neither symmetric nor alike."""
    random = np.random.default_rng(seed)
    grid = np.indices(shape).astype(float)
    masks = []
    for _ in range(2):
        centre = [random.uniform(0.35, 0.65) * n for n in shape]
        radius = [random.uniform(0.2, 0.3) * n for n in shape]
        inside = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radius, strict=True)) < 1
        speck = np.zeros(shape, bool)
        speck[tuple(random.integers(1, n - 1) for n in shape)] = True
        masks.append(inside | speck)
    return masks


def whole(predicted, reference):
    total = Counts(0, 0, 0, 0)
    for counts in count_slices(predicted, reference):
        total += counts
    return total


def to_itk(mask):
    image = GetImageFromArray(mask.transpose(2, 1, 0).astype(np.uint8))
    image.SetSpacing(SPACING)
    return image


def brute_surface(mask):
    """Voxels of the mask with a face neighbour outside, one by one."""
    padded = np.pad(mask, 1)
    points = []
    for i, j, k in np.argwhere(mask):
        neighbours = [
            padded[i + 1 + di, j + 1 + dj, k + 1 + dk]
            for di, dj, dk in [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
        ]
        if not all(neighbours):
            points.append((i, j, k))
    return np.array(points) * SPACING


def brute_distances(predicted, reference):
    p, r = brute_surface(predicted), brute_surface(reference)
    table = np.linalg.norm(p[:, None] - r[None], axis=-1)
    return table.min(axis=1), table.min(axis=0)


@pytest.mark.parametrize("seed", range(4))
def test_overlap_agrees_with_itk(seed):
    predicted, reference = blobs(seed)
    scores = overlap_scores(whole(predicted, reference), "one")
    overlap = LabelOverlapMeasuresImageFilter()
    overlap.Execute(to_itk(predicted), to_itk(reference))
    assert scores["dice"] == pytest.approx(overlap.GetDiceCoefficient())
    assert scores["iou"] == pytest.approx(overlap.GetJaccardCoefficient())
    assert scores["precision"] == pytest.approx(1 - overlap.GetFalseDiscoveryRate(1))
    assert scores["recall"] == pytest.approx(1 - overlap.GetFalseNegativeError())
    assert scores["accuracy"] == pytest.approx((predicted == reference).mean())


def test_slice_scores_agree_with_monai():
    import torch
    from monai.metrics import compute_dice, compute_iou

    predicted, reference = blobs(7)
    batch = [torch.as_tensor(mask.transpose(2, 0, 1)[:, None]) for mask in (predicted, reference)]
    dice = compute_dice(*batch, include_background=True, ignore_empty=False)[:, 0]
    iou = compute_iou(*batch, include_background=True, ignore_empty=False)[:, 0]
    mine = [overlap_scores(counts, "one") for counts in count_slices(predicted, reference)]
    assert [row["dice"] for row in mine] == pytest.approx(dice.tolist(), abs=1e-6)
    assert [row["iou"] for row in mine] == pytest.approx(iou.tolist(), abs=1e-6)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_overlap_laws(both, predicted_only, reference_only, neither):
    scores = overlap_scores(Counts(both, predicted_only, reference_only, neither), "one")
    swapped = overlap_scores(Counts(both, reference_only, predicted_only, neither), "one")
    for symmetric in ("dice", "iou", "accuracy"):
        assert scores[symmetric] == swapped[symmetric]
    assert scores["precision"] == swapped["recall"]
    assert scores["dice"] == pytest.approx(2 * scores["iou"] / (1 + scores["iou"]))
    assert all(score is None or 0 <= score <= 1 for score in scores.values())


@pytest.mark.parametrize("empty, expected", [("one", 1.0), ("skip", None)])
def test_two_empty_masks_follow_the_policy(empty, expected):
    scores = overlap_scores(Counts(0, 0, 0, 12), empty)
    assert scores == {"dice": expected, "iou": expected, "accuracy": 1.0, "precision": None, "recall": None}


@pytest.mark.parametrize("empty", ["one", "skip"])
def test_a_false_positive_on_an_empty_reference_is_zero_always(empty):
    scores = overlap_scores(Counts(0, 3, 0, 9), empty)
    assert scores == {"dice": 0.0, "iou": 0.0, "accuracy": 0.75, "precision": 0.0, "recall": None}


def test_a_missed_reference_is_zero_and_has_no_precision():
    scores = overlap_scores(Counts(0, 0, 3, 9), "skip")
    assert scores == {"dice": 0.0, "iou": 0.0, "accuracy": 0.75, "precision": None, "recall": 0.0}


def test_volume_error_has_a_sign_and_needs_a_reference_for_percent():
    assert volume_errors(Counts(80, 30, 20, 0), 500.0) == {"volume_error_ml": 5.0, "volume_error_percent": 10.0}
    assert volume_errors(Counts(0, 30, 0, 0), 500.0) == {"volume_error_ml": 15.0, "volume_error_percent": None}


@pytest.mark.parametrize("seed", range(4))
def test_distances_agree_with_brute_force(seed):
    predicted, reference = blobs(seed)
    there, back = brute_distances(predicted, reference)
    scores = surface_scores(predicted, reference, SPACING)
    assert scores["hd95_mm"] == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), rel=1e-5)
    assert scores["msd_mm"] == pytest.approx(np.concatenate([there, back]).mean(), rel=1e-5)


def test_distances_agree_with_monais_own_scores():
    import torch
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

    predicted, reference = blobs(11)
    batch = [torch.as_tensor(mask)[None, None] for mask in (predicted, reference)]
    hd95 = compute_hausdorff_distance(*batch, include_background=True, percentile=95, spacing=SPACING)
    msd = compute_average_surface_distance(*batch, include_background=True, symmetric=True, spacing=SPACING)
    scores = surface_scores(predicted, reference, SPACING)
    assert (scores["hd95_mm"], scores["msd_mm"]) == pytest.approx((hd95.item(), msd.item()), rel=1e-5)


def test_distances_agree_with_itks_distance_maps():
    predicted, reference = blobs(5)
    contours = [LabelContour(to_itk(mask), fullyConnected=False) for mask in (predicted, reference)]
    maps = [
        GetArrayFromImage(Abs(SignedMaurerDistanceMap(c, squaredDistance=False, useImageSpacing=True)))
        for c in contours
    ]
    on = [GetArrayFromImage(c).astype(bool) for c in contours]
    there, back = maps[1][on[0]], maps[0][on[1]]
    scores = surface_scores(predicted, reference, SPACING)
    assert scores["hd95_mm"] == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), rel=1e-4)
    assert scores["msd_mm"] == pytest.approx(np.concatenate([there, back]).mean(), rel=1e-4)


def test_a_shifted_plate_is_as_far_as_it_was_shifted():
    reference = np.zeros((30, 30, 20), bool)
    reference[5:25, 5:25, 4] = True
    predicted = np.roll(reference, 3, axis=2)
    assert surface_scores(predicted, reference, SPACING) == pytest.approx({"hd95_mm": 9.3, "msd_mm": 9.3})


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 1000),
    st.permutations(range(3)),
    st.tuples(*[st.booleans()] * 3),
    st.tuples(*[st.integers(0, 3)] * 3),
)
def test_distances_do_not_depend_on_order_axes_or_place(seed, axes, flips, moved):
    predicted, reference = blobs(seed)
    scores = surface_scores(predicted, reference, SPACING)
    assert surface_scores(reference, predicted, SPACING) == pytest.approx(scores)

    def elsewhere(mask):
        turned = np.flip(mask, [axis for axis in range(3) if flips[axis]]).transpose(axes)
        return np.pad(turned, [(1 + move, 1) for move in moved])

    spacing = [SPACING[axis] for axis in axes]
    inside = [np.pad(mask, 1) for mask in (predicted, reference)]  # off the volume's ends: they are surface too
    assert surface_scores(elsewhere(predicted), elsewhere(reference), spacing) == pytest.approx(
        surface_scores(*inside, SPACING)
    )


@pytest.mark.parametrize("which", ["predicted", "reference", "both"])
def test_a_distance_to_something_empty_is_not_computed(which):
    predicted, reference = blobs(3)
    predicted[:] &= which == "reference"
    reference[:] &= which == "predicted"
    assert surface_scores(predicted, reference, SPACING) == {"hd95_mm": None, "msd_mm": None}


def test_a_cut_between_slices_is_no_surface():
    """A cylinder along the third axis: whatever slices count, only its wall is surface, 1 pixel off everywhere."""
    i, j = np.indices((40, 40))
    disk = (i - 20) ** 2 + (j - 18) ** 2 < 100
    reference = np.repeat(disk[..., None], 12, axis=2)
    predicted = np.repeat(np.roll(disk, 1, axis=0)[..., None], 12, axis=2)
    flat = surface_scores(predicted[:, :, :3], reference[:, :, :3], (2.0, 2.0, 50.0), [(1, 2)])
    cut = surface_scores(predicted, reference, (2.0, 2.0, 50.0), [(2, 5), (7, 9)])
    assert cut == pytest.approx(flat)
    # With its lids the cylinder would score better: their voxels lie on each other.
    assert surface_scores(predicted, reference, (2.0, 2.0, 50.0), None)["msd_mm"] < 0.8 * cut["msd_mm"]


def test_slices_that_do_not_count_change_nothing():
    predicted, reference = blobs(2)
    ranges = [(2, 4), (5, 8)]
    scores = surface_scores(predicted, reference, SPACING, ranges)
    for k in (0, 1, 4, 8):
        predicted[:, :, k] = ~predicted[:, :, k]
    assert surface_scores(predicted, reference, SPACING, ranges) == scores
