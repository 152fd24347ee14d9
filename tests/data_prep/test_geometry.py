"""Indices to mm and back, on even, sheared and uneven grids."""

import numpy as np
import pytest
from dicom_factory import rotation
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.geometry import Grid, UnevenGrid, is_sheared

angles = st.tuples(*[st.floats(-180, 180)] * 3)
gaps = st.lists(st.floats(0.2, 9), min_size=1, max_size=12)


def uneven(degrees, gaps, lean=(0.0, 0.0)) -> tuple[UnevenGrid, np.ndarray]:
    """A grid with slices at `gaps`, each mm along the normal moving the slice by `lean`; and its slices' origins."""
    axes = rotation(*degrees)
    way = axes[:, 2] + axes[:, :2] @ np.array(lean)
    along = np.r_[0, np.cumsum(gaps)]
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([axes[:, 0] * 1.5, axes[:, 1] * 2.25, way * np.median(gaps)])
    affine[:3, 3] = origin = np.array([-31.25, 17.5, -203.75])
    return UnevenGrid((7, 5, len(along)), affine, along), origin + along[:, None] * way


@settings(deadline=None, max_examples=50)
@given(angles, gaps, st.tuples(*[st.floats(-0.5, 0.5)] * 2))
def test_slices_of_an_uneven_grid_lie_where_they_lie(degrees, gaps, lean):
    grid, origins = uneven(degrees, gaps, lean)
    k = np.arange(len(origins))
    corners = np.column_stack([0 * k, 0 * k, k])
    np.testing.assert_allclose(grid.points_mm(corners), origins, atol=1e-9)
    np.testing.assert_allclose(grid.index_ijk(origins), corners, atol=1e-9)
    half = (origins[1:] + origins[:-1]) / 2
    np.testing.assert_allclose(grid.index_ijk(half)[:, 2], k[:-1] + 0.5, atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(angles, gaps, st.lists(st.tuples(*[st.floats(-20, 20)] * 3), min_size=1, max_size=9))
def test_there_and_back_inside_and_beyond(degrees, gaps, index):
    grid, _ = uneven(degrees, gaps, (0.1, -0.2))
    np.testing.assert_allclose(grid.index_ijk(grid.points_mm(index)), index, atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(angles, st.floats(0.2, 9), st.integers(1, 12))
def test_an_uneven_grid_with_even_gaps_is_a_grid(degrees, gap, count):
    grid, _ = uneven(degrees, [gap] * count)
    even = Grid(grid.shape_ijk, grid.affine_lps)
    points = np.random.default_rng(1).uniform(-99, 99, (20, 3))
    np.testing.assert_allclose(grid.index_ijk(points), even.index_ijk(points), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(grid.thickness_mm, even.thickness_mm, rtol=1e-6)


def test_thickness_is_half_the_gap_on_either_side():
    grid, _ = uneven((10, 20, 30), [4, 4, 1, 7])
    np.testing.assert_allclose(grid.thickness_mm, [4, 4, 2.5, 4, 7])
    assert grid.spacing_mm == pytest.approx((1.5, 2.25, 4))


def test_beyond_the_ends_the_end_gaps_go_on():
    grid, origins = uneven((0, 0, 0), [2, 6])
    np.testing.assert_allclose(grid.index_ijk(origins[0] - [0, 0, 1])[2], -0.5)
    np.testing.assert_allclose(grid.index_ijk(origins[-1] + [0, 0, 3])[2], 2.5)


@settings(deadline=None, max_examples=50)
@given(angles, st.floats(0.01, 40))
def test_shear_is_seen(degrees, tilt):
    grid, _ = uneven(degrees, [3, 3], (0, np.tan(np.radians(tilt))))
    assert grid.is_sheared and is_sheared(grid.affine_ras)
    upright, _ = uneven(degrees, [3, 3])
    assert not upright.is_sheared


@pytest.mark.parametrize("shape", [(40_001, 3), (7, 6000, 3)])
def test_many_points_lie_where_each_alone_lies(shape):
    affine = np.eye(4)
    affine[:3] = [[0.7, 0.1, 0, -31], [-0.1, 1.1, 0.3, 417], [0, -0.2, 2.5, -1203]]
    grid = Grid((40, 50, 60), affine)
    index = np.random.default_rng(0).uniform(-5, 60, shape)
    points_mm = grid.points_mm(index)
    assert points_mm.shape == shape
    flat, found = index.reshape(-1, 3), points_mm.reshape(-1, 3)
    for n in (0, 16_383, 16_384, 32_768, len(flat) - 1):
        np.testing.assert_allclose(found[n], affine[:3, :3] @ flat[n] + affine[:3, 3], rtol=0, atol=1e-9)
    np.testing.assert_allclose(grid.index_ijk(points_mm), index, rtol=0, atol=1e-9)
