"""Shape-based interpolation: cones, gaps of any width, neighbours that don't overlap; never outside what was drawn."""

import numpy as np
import pytest
from dicom_factory import Ct, rotation
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.between import fill_between, interpolate
from data_prep.geometry import Grid, UnevenGrid
from data_prep.rasterize import rasterize

CT = Ct(shape=(70, 50, 31), spacing_mm=(1.1, 1.7, 2.5), axes=rotation(12, -20, 33))
GRID = Grid(CT.shape, CT.affine_lps)
TURN = np.linspace(0, 2 * np.pi, 180, endpoint=False)


def circle(k, centre_mm, radius_mm):
    """On slice k of CT; centre in mm from the first pixel along i and j."""
    i = (centre_mm[0] + radius_mm * np.cos(TURN)) / CT.spacing_mm[0]
    j = (centre_mm[1] + radius_mm * np.sin(TURN)) / CT.spacing_mm[1]
    return CT.points_mm(np.column_stack([i, j, np.full_like(i, k)]))


def cone(slices):
    return [circle(k, (38.3 + 0.2 * k, 41.6), 6 + k) for k in slices]


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_a_cone_on_every_third_slice_comes_back():
    whole, _ = rasterize(cone(range(1, 29)), GRID)
    sparse, report = rasterize(cone(range(1, 29, 3)), GRID)
    filled = interpolate(sparse, report, GRID)
    assert report.interpolated == 18 and report.voxels == filled.sum()
    assert report.voxel_mm3 == pytest.approx(filled.sum() * GRID.voxel_volume_mm3)
    assert abs(filled.sum() / whole.sum() - 1) < 0.02 and dice(filled, whole) > 0.98
    for k in range(1, 29, 3):
        assert np.array_equal(filled[:, :, k], sparse[:, :, k])


def test_nothing_before_the_first_or_behind_the_last():
    sparse, report = rasterize(cone([5, 9]), GRID)
    filled, slices = fill_between(sparse, report.drawn_slices, GRID)
    assert slices == [6, 7, 8] and list(np.flatnonzero(filled.any(axis=(0, 1)))) == [5, 6, 7, 8, 9]


def test_the_input_stays_as_it_is_and_what_is_drawn_everywhere_is_returned():
    sparse, report = rasterize(cone([5, 9]), GRID)
    before = sparse.copy()
    fill_between(sparse, report.drawn_slices, GRID)
    assert np.array_equal(sparse, before)
    dense, report = rasterize(cone(range(5, 9)), GRID)
    assert fill_between(dense, report.drawn_slices, GRID) == (dense, [])


def test_real_distances_weigh_not_counts_of_slices():
    along = np.array([0.0, 2.0, 4.0, 12.0, 14.0])  # slice 2 lies near slice 1, slice 3 near slice 4
    ct = Ct(shape=(70, 50, 5), spacing_mm=(1.1, 1.7, 2.0))
    grid = UnevenGrid(ct.shape, ct.affine_lps, along)
    mask = np.zeros(ct.shape, np.uint8)
    columns, rows = np.mgrid[: ct.shape[0], : ct.shape[1]]
    distance = np.hypot((columns - 35) * 1.1, (rows - 25) * 1.7)
    mask[:, :, 1], mask[:, :, 4] = distance < 30, distance < 6
    filled, slices = fill_between(mask, {1, 4}, grid)
    radius = np.sqrt(filled.sum(axis=(0, 1)) * 1.1 * 1.7 / np.pi)
    assert slices == [2, 3]
    np.testing.assert_allclose(radius[2:4], [30 - 24 * 2 / 12, 30 - 24 * 10 / 12], atol=0.5)


def test_neighbours_apart_leave_what_their_distance_maps_say():
    """Two bars side by side: half way, each is as deep inside as it is far from the other, except in the middle."""
    mask = np.zeros(CT.shape, np.uint8)
    mask[10:30, 10:40, 4] = 1
    mask[26:46, 10:40, 8] = 1  # they share columns 26 to 29
    filled, slices = fill_between(mask, {4, 8}, GRID)
    assert slices == [5, 6, 7]
    columns = np.flatnonzero(filled[:, 25, 6])
    assert columns.min() > 10 and columns.max() < 45 and abs(columns.mean() - 27.5) <= 0.5
    apart = np.zeros(CT.shape, np.uint8)
    apart[5:12, 10:17, 4] = apart[50:57, 30:37, 6] = 1
    assert fill_between(apart, {4, 6}, GRID)[1] == []


def test_blank_neighbours_and_whole_slices():
    blank = np.zeros(CT.shape, np.uint8)
    blank[5:12, 10:17, 4] = 1
    filled, slices = fill_between(blank, {4, 7}, GRID)
    assert slices == [] and np.array_equal(filled, blank)
    full = np.zeros(CT.shape, np.uint8)
    full[:, :, [4, 6]] = 1
    assert fill_between(full, {4, 6}, GRID)[0][:, :, 5].all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_between_equal_slices_lies_the_same_slice(seed):
    random = np.random.default_rng(seed)
    mask = np.zeros(CT.shape, np.uint8)
    mask[:, :, 3] = mask[:, :, 7] = random.random(CT.shape[:2]) < random.random()
    filled, _ = fill_between(mask, {3, 7}, GRID)
    assert all(np.array_equal(filled[:, :, k], mask[:, :, 3]) for k in range(3, 8))


def test_at_the_edge_of_the_image_the_object_is_taken_to_go_on():
    mask = np.zeros(CT.shape, np.uint8)
    mask[:20, :30, 3], mask[:30, :20, 7] = 1, 1
    filled, _ = fill_between(mask, {3, 7}, GRID)
    assert filled[0, 0, 5] == 1 and filled[:20, :20, 5].all()
