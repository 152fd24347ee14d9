"""Probability maps of radiographs to lungs: thresholds, noise, pieces, holes, sides, the left lung behind the heart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures.left_lung import complete_left_lung
from lungseg_monai.pictures.measures import areas, flags_of
from lungseg_monai.pictures.pieces import closed, filled, largest, largest_together, opened
from lungseg_monai.pictures.sides import narrowest_column, tell_sides
from lungseg_monai.pictures.thresholds import local_threshold, otsu
from lungseg_monai.postprocessing_cxr import (
    RULES,
    CxrRules,
    cxr_rules_from,
    decide,
    lung_mask,
    lung_mask_on_image,
    thresholded,
)

SHAPE = (120, 160)


def ellipse(row, column, tall, wide, shape=SHAPE):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return ((rows - row) / tall) ** 2 + ((columns - column) / wide) ** 2 <= 1


def lungs():
    """A right lung on the picture's left, and a left one that is smaller; off the middle."""
    return ellipse(62, 45, 45, 22), ellipse(58, 112, 42, 19)


def soft(mask):
    return ndimage.gaussian_filter(mask.astype(np.float32), 2)


def test_one_threshold_for_all_is_otsus():
    from skimage.filters import threshold_otsu

    both = soft(lungs()[0] | lungs()[1])
    assert otsu(both) == pytest.approx(threshold_otsu(both), abs=1 / 128)
    assert otsu(np.zeros(SHAPE, np.float32)) == otsu(np.ones(SHAPE, np.float32)) == 0.5


@pytest.mark.parametrize("block", [3, 21, 55])
def test_the_local_threshold_is_scikit_images(block):
    from skimage.filters import threshold_local

    both = soft(lungs()[0]).astype(np.float64)
    expected = threshold_local(both, block, method="mean", offset=0.03)
    assert np.allclose(local_threshold(both, block, 0.03), expected, atol=1e-9)


def test_the_union_is_that_of_either_alone():
    both = soft(lungs()[0] | lungs()[1]) * np.linspace(0.3, 1, SHAPE[1], dtype=np.float32)
    options = {"local_block": 0.08, "local_floor": 0.1}
    alone = thresholded(both, CxrRules(global_threshold=0.6))
    local = thresholded(both, CxrRules(global_threshold=None, **options))
    together = thresholded(both, CxrRules(global_threshold=0.6, **options))
    assert np.array_equal(together, alone | local)
    assert (local & ~alone).any() and (alone & ~local).any()
    assert not thresholded(both * 0.1, CxrRules(global_threshold=0.6, **options)).any()


@settings(max_examples=12, deadline=None)
@given(radius=st.integers(1, 6), seed=st.integers(0, 99))
def test_opening_and_closing_are_scipys(radius, seed):
    mask = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(40, 55)), 2) > 0
    far = np.arange(-radius, radius + 1)
    disk = far[:, None] ** 2 + far[None] ** 2 <= radius**2
    eroded = ndimage.binary_erosion(mask, disk, border_value=1)
    assert np.array_equal(opened(mask, radius), ndimage.binary_dilation(eroded, disk))
    dilated = ndimage.binary_dilation(mask, disk)
    assert np.array_equal(closed(mask, radius), ndimage.binary_erosion(dilated, disk, border_value=1))


@settings(max_examples=12, deadline=None)
@given(radius=st.integers(1, 6), seed=st.integers(0, 99), cut=st.tuples(st.integers(0, 60), st.integers(0, 60)))
def test_opening_and_closing_are_the_same_wherever_the_mask_lies(radius, seed, cut):
    """In a corner, across an edge, alone in the middle: as by a disk on the whole picture."""
    far = np.arange(-radius, radius + 1)
    disk = far[:, None] ** 2 + far[None] ** 2 <= radius**2
    mask = np.zeros((70, 80), bool)
    part = (ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(30, 35)), 2) > 0)[
        : 70 - cut[0], : 80 - cut[1]
    ]
    mask[cut[0] : cut[0] + part.shape[0], cut[1] : cut[1] + part.shape[1]] = part
    eroded = ndimage.binary_erosion(mask, disk, border_value=1)
    assert np.array_equal(opened(mask, radius), ndimage.binary_dilation(eroded, disk))
    dilated = ndimage.binary_dilation(mask, disk)
    assert np.array_equal(closed(mask, radius), ndimage.binary_erosion(dilated, disk, border_value=1))


@pytest.mark.parametrize("value", [True, False])
def test_opening_leaves_full_and_empty_pictures(value):
    mask = np.full((20, 30), value)
    assert np.array_equal(opened(mask, 3), mask) and np.array_equal(closed(mask, 3), mask)
    assert np.array_equal(filled(mask), mask)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(0, 4), share=st.sampled_from([0.0, 0.3]))
def test_holes_and_pieces_together_are_those_of_each_alone(seed, count, share):
    mask = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(40, 55)), 1.5) > 0.02
    assert np.array_equal(filled(mask), ndimage.binary_fill_holes(mask))
    pieces = largest(mask, count, share)
    together = largest_together(mask, count, share)
    assert np.array_equal(together, np.any(pieces, axis=0))
    assert np.array_equal(filled(together), np.any([ndimage.binary_fill_holes(piece) for piece in pieces], axis=0))


def test_the_largest_pieces_come_largest_first():
    mask = ellipse(30, 30, 8, 8) | ellipse(80, 90, 20, 12) | ellipse(100, 20, 4, 4)
    sizes = [int(piece.sum()) for piece in largest(mask, 0)]
    assert sizes == sorted(sizes, reverse=True) and sum(sizes) == mask.sum() and len(sizes) == 3
    assert len(largest(mask, 2)) == 2 and len(largest(mask, 0, least_share=0.5)) == 1 and not largest(mask & False, 2)


def test_recommended_rules_bring_the_lungs_back_from_noise():
    right, left = lungs()
    dirty = soft(right | left)
    dirty[right & ellipse(62, 45, 6, 6)] = 0.1  # a hole
    dirty[5:8, 60:64] = dirty[110, 20:120] = 0.9  # a speck and a thread
    found = decide(dirty, RULES["recommended"], flipped=False)
    for side, lung in ((1, right), (2, left)):
        dice = 2 * (lung & (found.labels == side)).sum() / (lung.sum() + (found.labels == side).sum())
        assert dice > 0.97
    assert not found.flags and not found.labels[3:10, 58:66].any() and not found.labels[110].any()
    assert ((found.labels > 0) & ellipse(62, 45, 6, 6)).sum() == ellipse(62, 45, 6, 6).sum()


def test_each_rule_can_be_switched_off():
    both = soft(lungs()[0] | lungs()[1])
    both[ellipse(62, 45, 6, 6)] = 0.1
    both[2:5, 150:154] = 0.9
    bare = CxrRules(opening=0.0, pieces=0, least_share=0.0, holes=False, sides=False)
    assert np.array_equal(lung_mask(both, bare) == 1, both > 0.5)
    assert set(np.unique(lung_mask(both, RULES["paper"]))) == {0, 1}


def test_the_mask_has_the_pictures_own_size():
    both = soft(lungs()[0] | lungs()[1])
    large = lung_mask_on_image(both, (361, 400), RULES["recommended"])
    assert large.labels.shape == (361, 400) and large.labels.dtype == np.uint8
    share = (lung_mask(both, RULES["recommended"]) > 0).mean()
    assert (large.labels > 0).mean() == pytest.approx(share, rel=0.02)
    assert [flag.code for flag in large.flags] == ["side_assumed"]


@pytest.mark.parametrize("shift", [-20, 0, 25])
def test_sides_go_by_place_wherever_the_chest_lies_and_mirror(shift):
    right, left = (np.roll(lung, shift, axis=1) for lung in lungs())
    labels = tell_sides(largest(right | left, 2), False).labels
    assert np.array_equal(labels == 1, right) and np.array_equal(labels == 2, left)
    hung = tell_sides(largest((right | left)[:, ::-1], 2), True).labels
    assert np.array_equal(hung, labels[:, ::-1])


def test_merged_lungs_are_cut_at_the_narrowest_column():
    right, left = lungs()
    merged = right | left
    merged[30:40, 60:100] = True
    found = tell_sides(largest(merged, 2), False)
    assert [flag.code for flag in found.flags] == ["lungs_parted"]
    assert not (found.labels[right] == 2).any() and not (found.labels[left] == 1).any()
    assert np.array_equal(found.labels > 0, merged)
    profile = merged.sum(axis=0)
    assert profile[narrowest_column(merged)] == profile[45:112].min()
    assert narrowest_column(right) is None and narrowest_column(ellipse(60, 80, 30, 75)) is None


def test_one_lung_in_two_pieces_has_one_side():
    lung = ellipse(60, 115, 45, 20)
    lung[55:62] = False
    found = tell_sides(largest(lung, 2), False)
    assert set(np.unique(found.labels)) == {0, 2} and found.flags[0].code == "one_lung_by_midline"


def notched():
    """Lungs as boxes; the left one lacks a box behind the heart: rows 64 to 99, columns 90 to 106."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[20:100, 31:71] = 1
    labels[20:100, 90:130] = 2
    whole = labels.copy()
    labels[64:100, 90:107] = 0
    return labels, whole


def test_the_left_lung_is_filled_down_to_the_corner():
    labels, whole = notched()
    full = complete_left_lung(labels)
    assert np.array_equal(full, whole)
    assert np.array_equal(complete_left_lung(full), full)
    assert np.array_equal(complete_left_lung(labels[:, ::-1]), whole[:, ::-1])


def test_completing_never_takes_away_and_spares_the_right_lung_and_the_diaphragm():
    labels, _ = notched()
    labels[90:100, 107:123] = 0  # a dome: only the outer corner reaches down
    full = complete_left_lung(labels)
    assert np.array_equal(full[labels > 0], labels[labels > 0])
    assert np.array_equal(full == 1, labels == 1)
    assert (full == 2).sum() == (labels == 2).sum() + 17 * (90 - 64)
    assert not full[90:, 90:123].any()


@pytest.mark.parametrize("slope", [-0.15, 0.15])
def test_completing_follows_an_askew_patient(slope):
    labels, whole = notched()
    moves = np.round(slope * (np.arange(SHAPE[0]) - 60)).astype(int)
    askew = [np.stack([np.roll(row, by) for row, by in zip(one, moves, strict=True)]) for one in (labels, whole)]
    full = complete_left_lung(askew[0]) == 2
    assert 2 * (full & (askew[1] == 2)).sum() / (full.sum() + (askew[1] == 2).sum()) > 0.97


def test_completing_without_a_left_or_a_right_lung():
    labels, whole = notched()
    alone = np.where(labels == 1, labels, 0).astype(np.uint8)
    assert np.array_equal(complete_left_lung(alone), alone)
    left = np.where(labels == 2, labels, 0).astype(np.uint8)
    assert np.array_equal(complete_left_lung(left) == 2, whole == 2)
    with pytest.raises(ConfigError, match="of 0, 1"):
        complete_left_lung(labels * 3)


def test_areas_and_what_is_odd():
    labels, _ = notched()
    found = areas(labels, (0.5, 0.2))
    assert found["lung_right"] == {"pixels": 3200, "cm2": 3.2, "share_of_picture": round(3200 / 19200, 4)}
    assert found["lungs"]["pixels"] == found["lung_right"]["pixels"] + found["lung_left"]["pixels"]
    assert areas(labels)["lungs"]["cm2"] is None
    with pytest.raises(ConfigError, match="spacing"):
        areas(labels, (0.0, 1.0))


@pytest.mark.parametrize(
    ("boxes", "codes"),
    [
        ({}, {"no_lung"}),
        ({1: np.s_[20:100, 20:60]}, {"one_lung"}),
        ({1: np.s_[20:100, 20:60], 2: np.s_[20:50, 100:130]}, {"uneven_lungs"}),
        ({1: np.s_[50:60, 20:60], 2: np.s_[50:60, 100:140]}, {"small_lungs"}),
        ({1: np.s_[0:80, 20:60], 2: np.s_[20:100, 120:160]}, {"cut_at_edge"}),
    ],
)
def test_flags(boxes, codes):
    labels = np.zeros(SHAPE, np.uint8)
    for side, box in boxes.items():
        labels[box] = side
    assert {flag.code for flag in flags_of(labels)} == codes


@pytest.mark.parametrize(
    "wrong",
    [
        {"global_threshold": "triangle"},
        {"global_threshold": None},
        {"pieces": 1.5},
        {"opening": 0.9},
        {"holes": 1},
        {"complete": "left", "sides": False},
        {"complete": "right"},
        {"treshold": 0.5},
        "papers",
    ],
)
def test_rules_that_can_not_be(wrong):
    with pytest.raises(ConfigError):
        cxr_rules_from(wrong)


def test_rules_go_through_json_and_maps_are_checked():
    assert all(cxr_rules_from(rules.as_dict()) == rules for rules in RULES.values())
    for wrong in (np.zeros((3, 4, 5)), np.full((4, 5), 1.2), np.full((4, 5), np.nan)):
        with pytest.raises(ConfigError, match="wanted"):
            lung_mask(wrong, RULES["paper"])
    assert not decide(np.zeros(SHAPE, np.float32), RULES["recommended"]).labels.any()
