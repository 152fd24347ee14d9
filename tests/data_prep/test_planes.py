"""Which slice a contour goes to: even, uneven and tilted stacks, one ledger that adds up."""

import numpy as np
import pytest
from dicom_factory import Ct, rotation, square
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.geometry import Grid, UnevenGrid
from data_prep.planes import PlaneReport, place
from data_prep.rasterize import rasterize

CT = Ct(axes=rotation(15, -40, 65))
GRID = Grid(CT.shape, CT.affine_lps)
ALONG = np.array([0.0, 3.5, 7.0, 13.0, 19.0, 20.5])  # steps of 3.5, 3.5, 6, 6, 1.5 mm
UNEVEN = UnevenGrid((20, 14, 6), CT.affine_lps, ALONG)


def tilted(ct, degrees=17.0):
    """The grid of a gantry tilted about i: each slice is shifted along j."""
    affine = ct.affine_lps
    affine[:3, 2] += affine[:3, 1] / np.linalg.norm(affine[:3, 1]) * np.tan(np.radians(degrees)) * ct.spacing_mm[2]
    return Grid(ct.shape, affine)


def box_on(grid, k, low=(2.5, 2.5), high=(8.5, 7.5)):
    """A rectangle in index coordinates of any grid, on continuous slice k."""
    (a, b), (c, d) = low, high
    return grid.points_mm(np.array([[a, b, k], [c, b, k], [c, d, k], [a, d, k]], float))


def at_mm(along_mm):
    """A rectangle on the plane that lies `along_mm` above the first slice of CT."""
    return square(CT, along_mm / CT.spacing_mm[2], (2.5, 2.5), (8.5, 7.5))


@pytest.mark.parametrize(
    ("along_mm", "slice_k", "moved"),
    [
        (0, 0, 0), (3.5, 1, 0), (13.0, 3, 0), (19.0, 4, 0), (20.5, 5, 0),
        (9.9, 2, 1), (10.1, 3, 1), (18.0, 4, 1), (19.7, 4, 1), (19.8, 5, 1), (13.03, 3, 0), (13.2, 3, 1),
        (-1.7, 0, 1), (-1.8, None, 0), (21.2, 5, 1), (21.3, None, 0),
    ],
)  # fmt: skip
def test_on_uneven_slices_the_nearest_one_in_mm_counts(along_mm, slice_k, moved):
    mask, report = rasterize([at_mm(along_mm)], UNEVEN)
    assert list(np.flatnonzero(mask.any(axis=(0, 1)))) == ([] if slice_k is None else [slice_k])
    assert report.moved == moved and report.drawn_slices == ({slice_k} - {None})
    assert report.skipped_why == ({} if slice_k is not None else {"beyond the first or last slice": 1})


def test_volumes_go_by_what_each_slice_stands_for():
    _, report = rasterize([at_mm(along) for along in ALONG], UNEVEN)
    pixels = 30 * 1.5 * 2.25
    assert report.voxel_mm3 == pytest.approx(pixels * (3.5 + 3.5 + 4.75 + 6 + 3.75 + 1.5))
    assert report.polygon_mm3 == pytest.approx(report.voxel_mm3)
    assert report.voxels == 6 * 30 and report.drawn_slices == set(range(6))


def test_on_tilted_slices_contours_go_where_their_pixels_are():
    grid = tilted(CT)
    mask, report = rasterize([box_on(grid, k) for k in (1, 2, 5)], grid)
    expected = np.zeros(CT.shape, np.uint8)
    expected[3:9, 3:8, [1, 2, 5]] = 1
    assert np.array_equal(mask, expected) and report.moved == 0
    # A tilt takes nothing from a volume: the slices are as far apart along their normal as before.
    assert report.voxel_mm3 == pytest.approx(3 * 30 * 1.5 * 2.25 * 3.5)
    assert report.polygon_mm3 == pytest.approx(report.voxel_mm3)


@pytest.mark.parametrize("axes", [(0, 2, 1), (2, 1, 0)], ids=["coronal", "sagittal"])
def test_a_roi_drawn_on_another_orientation_is_named_not_squeezed(axes):
    contours = []
    for plane in (4.0, 6.0):
        flat = np.array([[2.0, 1.0, plane], [9.0, 1.0, plane], [9.0, 5.0, plane], [2.0, 5.0, plane]])
        contours.append(CT.points_mm(flat[:, axes]))
    mask, report = rasterize(contours, GRID)
    assert not mask.any() and report.skipped_why == {"not parallel to the slices": 2}


OUT = [[1.0, 2.0], [1.0, 2.0, 3.0], np.zeros((0, 3)), np.zeros((5, 2)), np.full((4, 3), np.nan), np.full((4, 3), 1e9)]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.floats(-3, 9), st.floats(-40, 40), st.floats(-40, 40)),
            st.sampled_from(range(len(OUT))),
        ),
        max_size=8,
    ),
    st.sampled_from([GRID, UNEVEN, tilted(CT)]),
)
def test_every_contour_is_rasterised_or_skipped_with_a_reason(wanted, grid):
    contours = [
        OUT[one] if isinstance(one, int) else box_on(grid, one[0], one[1:], np.add(one[1:], 5.0)) for one in wanted
    ]
    mask, report = rasterize(iter(contours), grid)
    assert report.planes_in == len(contours) == report.rasterised + report.skipped
    assert report.clipped + report.moved <= 2 * report.rasterised
    assert report.voxels == mask.sum()
    assert {int(k) for k in np.flatnonzero(mask.any(axis=(0, 1)))} <= report.drawn_slices
    assert all(count > 0 for count in report.skipped_why.values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-0.49, 6.49), st.floats(0, 12), st.floats(0, 7)), max_size=8))
def test_one_at_a_time_or_all_at_once_is_the_same(places):
    """Contours are worked on together; each must come out as if it were alone."""
    contours = [box_on(GRID, k, (i, j), (i + 4.3, j + 3.1)) for k, i, j in places]
    together = place(contours, GRID, PlaneReport())
    alone = [place([contour], GRID, PlaneReport()) for contour in contours]
    for k, polygons in together.items():
        singles = [polygon for one in alone for polygon in one.get(k, [])]
        for polygon in polygons:
            assert any(np.array_equal(polygon, single) for single in singles)
    assert together.keys() == {k for one in alone for k in one}


def test_boxes_alike_are_no_copies():
    """A diamond and the square around it share their box, and so do two triangles: none is a copy of the other."""
    diamond = np.array([[5.5, 2.5, 2], [8.5, 5.5, 2], [5.5, 8.5, 2], [2.5, 5.5, 2]])
    around = np.array([[2.5, 2.5, 2], [8.5, 2.5, 2], [8.5, 8.5, 2], [2.5, 8.5, 2]])
    mask, report = rasterize([GRID.points_mm(diamond), GRID.points_mm(around)], GRID)
    assert report.rasterised == 2 and not report.skipped and report.polygon_mm3 == pytest.approx(18 * 1.5 * 2.25 * 3.5)
    assert mask[5, 5, 2] == 0 and mask[3, 3, 2] == 1


def test_a_single_slice_takes_what_lies_within_half_its_thickness():
    grid = Grid((20, 14, 1), CT.affine_lps)
    for k, taken in ((0.4, True), (-0.4, True), (0.6, False), (-0.6, False)):
        assert rasterize([square(CT, k, (2.5, 2.5), (8.5, 7.5))], grid)[0].any() == taken


def test_nothing_drawn_is_an_empty_ledger():
    mask, report = rasterize([], GRID)
    assert not mask.any() and mask.shape == CT.shape and report == PlaneReport()


@pytest.mark.parametrize("grid", [GRID, tilted(CT), UNEVEN])
def test_what_runs_along_the_edge_is_not_clipped_by_rounding(grid):
    columns, rows, _ = grid.shape_ijk
    report = PlaneReport()
    whole = np.round(box_on(grid, 2, (-0.5, -0.5), (columns - 0.5, rows - 0.5)), 5)  # as text holds them
    index = grid.index_ijk(whole)[:, :2]
    assert (index < -0.5).any() or (index > np.array([columns, rows]) - 0.5).any()
    place([whole], grid, report)
    assert (report.rasterised, report.clipped) == (1, 0)
    for low, high in (((-0.501, 3), (5, 5)), ((3, 3), (columns - 0.499, 5))):
        place([box_on(grid, 3, low, high)], grid, report)
    assert (report.rasterised, report.clipped) == (3, 2)
