"""Shares of pixels: exact areas, whatever the contours do, against fine sampling and against the polygons' own area."""

import sys

import numpy as np
import pytest
from dicom_factory import Ct, rotation, square
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.coverage import cover, coverage
from data_prep.geometry import Grid, UnevenGrid
from data_prep.rasterize import even_odd_area, fill_even_odd, rasterize

COLUMNS, ROWS = 13, 9
FINE = 32


def shares(polygons, columns=COLUMNS, rows=ROWS):
    out = np.zeros((rows, columns))
    assert cover([np.array(polygon, float) for polygon in polygons], out)
    return out


def sampled(polygons, columns=COLUMNS, rows=ROWS):
    fine = np.zeros((rows * FINE, columns * FINE), np.uint8)
    fill_even_odd([(np.array(polygon, float) + 0.5) * FINE - 0.5 for polygon in polygons], fine)
    return fine.reshape(rows, FINE, columns, FINE).mean(axis=(1, 3))


def grid_of(ct):
    return Grid(ct.shape, ct.affine_lps)


coordinate = st.floats(-3, 15)
polygon = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=7)


@settings(max_examples=200, deadline=None)
@given(st.lists(polygon, min_size=1, max_size=3))
def test_equals_fine_sampling_of_polygons_that_cross_anything(polygons):
    exact = shares(polygons)
    # A pixel's samples go wrong along the edges that pass through it: at most two samples' widths for each.
    edges = sum(len(one) for one in polygons)
    assert np.abs(exact - sampled(polygons)).max() <= 2.5 * edges / FINE
    assert abs(exact.sum() - sampled(polygons).sum()) <= 0.02 * sum(map(_length, polygons)) + 0.02


def _length(polygon):
    return np.linalg.norm(np.array(polygon) - np.roll(polygon, 1, axis=0), axis=1).sum()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(-0.5, 12.5), st.floats(-0.5, 8.5)), min_size=3, max_size=30, unique=True))
def test_the_sum_is_the_area_of_the_polygon(points):
    around = np.array(points) - np.mean(points, axis=0)
    star = np.array(points)[np.argsort(np.arctan2(around[:, 1], around[:, 0]), kind="stable")]
    assert shares([star]).sum() == pytest.approx(even_odd_area([star]), rel=1e-9, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.tuples(st.floats(0, 8), st.floats(0, 6)), st.tuples(st.floats(0.01, 4), st.floats(0.01, 2)))
def test_a_box_covers_what_it_covers(low, size):
    (a, b), (c, d) = low, np.add(low, size)
    i, j = np.arange(COLUMNS), np.arange(ROWS)
    across = np.clip(np.minimum(c, i + 0.5) - np.maximum(a, i - 0.5), 0, 1)
    down = np.clip(np.minimum(d, j + 0.5) - np.maximum(b, j - 0.5), 0, 1)
    np.testing.assert_allclose(shares([[(a, b), (c, b), (c, d), (a, d)]]), np.outer(down, across), atol=1e-11)


def box(centre, half):
    (x, y), (w, h) = centre, (half, half)
    return [(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)]


def test_holes_islands_keyholes_and_crossings():
    nest = [box((5.2, 4.1), half) for half in (3.3, 2.1, 1.2)]
    assert shares(nest).sum() == pytest.approx(6.6**2 - 4.2**2 + 2.4**2, abs=1e-10)
    outer, hole = nest[:2]
    keyhole = [*outer, outer[0], *hole[::-1], hole[-1]]
    np.testing.assert_allclose(shares([keyhole]), shares([outer, hole]), atol=1e-11)
    overlapping = [box((4.0, 4.0), 2.0), box((6.0, 5.0), 2.0)]  # they share 2 x 3
    assert shares(overlapping).sum() == pytest.approx(16 + 16 - 2 * 6, abs=1e-10)
    bow_tie = [(1.3, 1.2), (9.3, 7.2), (9.3, 1.2), (1.3, 7.2)]  # two triangles that meet in the middle
    assert shares([bow_tie]).sum() == pytest.approx(2 * (6 * 4 / 2), abs=1e-10)
    pentagram = [(6 + 4 * np.sin(turn), 4 + 4 * np.cos(turn)) for turn in 4 * np.pi / 5 * np.arange(5)]
    golden = (1 + 5**0.5) / 2
    tip = 2 * 4 * np.sin(2 * np.pi / 5) / golden**2  # the pentagram's sides are cut in golden ratios
    base = tip / golden
    assert shares([pentagram]).sum() == pytest.approx(5 * base / 2 * np.sqrt(tip**2 - base**2 / 4), abs=1e-9)


def test_two_copies_cancel_each_other_out():
    one = [(1.3, 1.2), (9.7, 2.9), (4.1, 7.7)]
    assert not shares([one, one]).any()


def test_over_the_edge_is_clipped():
    whole = np.ones((ROWS, COLUMNS))
    assert np.array_equal(shares([[(-40, -30), (70, -30), (70, 50), (-40, 50)]]), whole)
    np.testing.assert_allclose(shares([[(-40, -33), (70, -30), (71, 50), (-39, 57)]]), whole, atol=1e-11)
    cut = shares([[(-9.0, 2.5), (3.0, 2.5), (3.0, 40.0), (-9.0, 40.0)]])
    assert cut.sum() == pytest.approx(3.5 * 6.0) and not cut[:, 4:].any() and not cut[:3].any()
    assert not shares([[(-9.0, 2.5), (-1.0, 2.5), (-1.0, 6.0)]]).any()
    assert not shares([[(19.0, 2.5), (21.0, 2.5), (21.0, 6.0)]]).any()


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.floats(-180, 180)] * 3))
def test_volumes_agree_in_any_orientation_and_halves_are_the_mask(degrees):
    ct = Ct(axes=rotation(*degrees))
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    rings = [
        ct.points_mm(np.column_stack([9.2 + r * np.cos(turn), 6.7 + r * np.sin(turn), 0 * turn + k]))
        for k in (2, 3, 4)
        for r in (5.1, 2.2)
    ]
    share, report = coverage(rings, grid_of(ct))
    mask, filled = rasterize(rings, grid_of(ct))
    assert share.dtype == np.float32 and share.shape == ct.shape
    assert report.voxel_mm3 == pytest.approx(report.polygon_mm3, rel=1e-6)  # float32
    assert report.polygon_mm3 == pytest.approx(filled.polygon_mm3)
    assert (mask[share == 1] == 1).all() and (mask[share == 0] == 0).all()
    assert abs(mask.sum() - share.sum()) < 0.05 * mask.sum()
    assert (report.rasterised, report.crossed_slices, report.sampled_slices, report.blank_slices) == (6, 0, 0, 0)


def test_slices_count_by_their_thickness():
    ct = Ct(shape=(20, 14, 4))
    grid = UnevenGrid(ct.shape, ct.affine_lps, np.array([0.0, 3.5, 7.0, 14.0]))
    report = coverage([square(ct, 2, (2.5, 2.5), (8.5, 7.5))], grid)[1]
    assert report.voxel_mm3 == pytest.approx(30 * 1.5 * 2.25 * (3.5 + 7.0) / 2)


def test_smaller_than_a_pixel_is_not_lost():
    ct = Ct()
    share, report = coverage([square(ct, 2, (3.1, 3.1), (3.4, 3.4))], grid_of(ct))
    assert share[3, 3, 2] == pytest.approx(0.09, rel=1e-6) and np.count_nonzero(share) == 1
    assert (report.blank_slices, report.voxels) == (0, 1)


def test_overlaps_are_counted():
    ct = Ct()
    two = [square(ct, 2, (3.1, 3.1), (8.4, 8.4)), square(ct, 2, (6.2, 5.1), (12.4, 9.4))]
    share, report = coverage(two, grid_of(ct))
    assert report.crossed_slices == 1 and share[7, 7, 2] == 0


def test_too_many_pieces_are_sampled_and_counted(monkeypatch):
    monkeypatch.setattr(sys.modules[cover.__module__], "MOST_PIECES", 50)
    ct = Ct(axes=rotation(20, 30, 40))
    turn = np.linspace(0, 2 * np.pi, 99, endpoint=False)
    ring = ct.points_mm(np.column_stack([9.2 + 5 * np.cos(turn), 6.7 + 5 * np.sin(turn), 0 * turn + 3]))
    share, report = coverage([ring], grid_of(ct))
    assert report.sampled_slices == 1
    assert share.sum() == pytest.approx(even_odd_area([grid_of(ct).index_ijk(ring)[:, :2]]), rel=0.01)
