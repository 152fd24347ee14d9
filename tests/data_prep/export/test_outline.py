"""Contours along voxel edges: filled again by the even-odd rule they give the same voxels, whoever fills them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data_prep.export.keyhole import join_holes
from data_prep.export.outline import outlines
from data_prep.export.simplify import simplify
from data_prep.rasterize import fill_even_odd

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 11)))
STYLES = pytest.mark.parametrize("style", ["edge", "centre"])


def filled(rings, shape):
    out = np.zeros(shape, np.uint8)
    if rings:
        fill_even_odd([ring.points_ij for ring in rings], out)
    return out != 0


def inside(points, rings):
    """Even-odd, point by point: the textbook's crossing test along j."""
    crossings = np.zeros(len(points), int)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring.points_ij, np.roll(ring.points_ij, -1, axis=0), strict=True):
            if x0 != x1:
                across = (min(x0, x1) <= points[:, 0]) & (points[:, 0] < max(x0, x1))
                with np.errstate(invalid="ignore"):
                    crossings += across & (y0 + (points[:, 0] - x0) / (x1 - x0) * (y1 - y0) < points[:, 1])
    return crossings % 2 == 1


def area(ring):
    x, y = ring.points_ij.T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


@STYLES
@settings(max_examples=80, deadline=None)
@given(mask=MASKS)
def test_filled_again_it_is_the_same(style, mask):
    rings = outlines(mask, style)
    assert np.array_equal(filled(rings, mask.shape), mask)
    rows, columns = mask.shape
    centres = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2).astype(float)
    assert np.array_equal(inside(centres, rings).reshape(mask.shape), mask)


@settings(max_examples=80, deadline=None)
@given(mask=MASKS, seed=st.integers(0, 99))
def test_edges_enclose_all_of_each_voxel_not_just_its_centre(mask, seed):
    random = np.random.default_rng(seed)
    j, i = np.indices(mask.shape).reshape(2, -1)
    points = np.column_stack([i, j]) + random.uniform(-0.499, 0.499, (mask.size, 2))
    assert np.array_equal(inside(points, outlines(mask)).reshape(mask.shape), mask)


@settings(max_examples=80, deadline=None)
@given(mask=MASKS)
def test_contours_touch_no_point_twice_turn_at_every_point_and_add_up_to_the_area(mask):
    rings = outlines(mask)
    for ring in rings:
        points = ring.points_ij
        assert len({tuple(point) for point in points}) == len(points) >= 4
        upright = np.roll(points, -1, axis=0)[:, 0] == points[:, 0]
        assert (upright != np.roll(upright, 1)).all()
        first = min(map(tuple, points[:, ::-1]))
        assert tuple(points[0, ::-1]) == first and (points[1, 0] > points[0, 0]) == (not ring.hole)
        assert (area(ring) < 0) == ring.hole
    assert sum(map(area, rings)) == mask.sum()


@settings(max_examples=80, deadline=None)
@given(mask=MASKS)
def test_centre_style_survives_rounding_to_voxels_and_filling_the_border_too(mask):
    """What such readers do: vertices to whole voxels, even-odd inside, and every voxel that the border runs over."""
    rings = outlines(mask, "centre")
    border = np.zeros_like(mask)
    for ring in rings:
        rounded = np.round(ring.points_ij).astype(int)
        for (i0, j0), (i1, j1) in zip(rounded, np.roll(rounded, -1, axis=0), strict=True):
            border[min(j0, j1) : max(j0, j1) + 1, min(i0, i1) : max(i0, i1) + 1] = True
    assert not (border & ~mask).any()
    j, i = np.nonzero(~border)
    points = np.column_stack([i + 0.01, j + 0.02])
    rounded = [type(ring)(np.round(ring.points_ij), ring.hole) for ring in rings]
    assert np.array_equal(inside(points, rounded), mask[j, i])


@STYLES
@settings(max_examples=80, deadline=None)
@given(mask=MASKS)
def test_keyholes_leave_no_hole_and_change_no_voxel(style, mask):
    rings = outlines(mask, style)
    joined = join_holes(rings)
    assert np.array_equal(filled(joined, mask.shape), mask)
    assert not any(ring.hole for ring in joined)
    assert len(joined) == sum(not ring.hole for ring in rings)
    assert sum(map(area, joined)) == pytest.approx(sum(map(area, rings)))


def test_diagonal_voxels_get_a_contour_each():
    chain = np.eye(5, dtype=bool)
    for style in ("edge", "centre"):
        rings = outlines(chain, style)
        assert len(rings) == 5 and all(len(ring.points_ij) == 4 for ring in rings)
    touching = ~np.eye(2, dtype=bool)
    assert [ring.points_ij.tolist() for ring in outlines(touching)] == [
        [[0.5, -0.5], [1.5, -0.5], [1.5, 0.5], [0.5, 0.5]],
        [[-0.5, 0.5], [0.5, 0.5], [0.5, 1.5], [-0.5, 1.5]],
    ]


def test_holes_and_islands_in_them_are_contours_of_their_own():
    mask = np.zeros((9, 12), bool)
    mask[1:8, 2:11] = True
    mask[2:7, 3:10] = False
    mask[4, 5:7] = True
    rings = outlines(mask)
    assert sorted((area(ring), ring.hole) for ring in rings) == [(-35, True), (2, False), (63, False)]


def test_nothing_is_nothing():
    assert outlines(np.zeros((4, 5), bool)) == [] and join_holes([]) == []


@settings(max_examples=60, deadline=None)
@given(mask=MASKS, bound=st.floats(0.05, 4), spacing=st.tuples(st.floats(0.3, 3), st.floats(0.3, 3)))
def test_points_left_out_lie_within_the_bound_and_none_is_new(mask, bound, spacing):
    for ring in outlines(mask):
        simple = simplify(ring, bound, spacing)
        there = {tuple(np.round(point, 6)) for point in ring.points_ij}
        assert len(simple.points_ij) >= 3 and {tuple(np.round(point, 6)) for point in simple.points_ij} <= there
        assert (distances(ring.points_ij * spacing, simple.points_ij * spacing) <= bound + 1e-9).all()


def distances(points, polygon):
    """From each point to the nearest edge."""
    start, way = polygon, np.roll(polygon, -1, axis=0) - polygon
    from_start = points[:, None] - start
    share = np.clip((from_start * way).sum(axis=2) / (way**2).sum(axis=1), 0, 1)
    return np.linalg.norm(from_start - share[..., None] * way, axis=2).min(axis=1)


def test_a_staircase_becomes_a_line():
    steps = np.tri(12, dtype=bool)
    (ring,) = outlines(steps)
    assert len(simplify(ring, 0.8, (1.0, 1.0)).points_ij) < 6 < len(ring.points_ij)
