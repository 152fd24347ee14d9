"""Contours to voxels: the even-odd rule to the pixel, known volumes, and a ledger that adds up."""

from fractions import Fraction

import numpy as np
import pytest
from dicom_factory import Ct, rotation, square
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from data_prep.geometry import Grid
from data_prep.rasterize import even_odd_area, fill_even_odd, pixel_error, rasterize

COLUMNS, ROWS = 13, 9


def brute_force(polygons, columns=COLUMNS, rows=ROWS):
    """Even-odd in exact arithmetic, a pixel and an edge at a time: the edges at or left of the centre are counted."""
    mask = np.zeros((rows, columns), np.uint8)
    for j in range(rows):
        crossings = []
        for polygon in polygons:
            points = [(Fraction(x), Fraction(y)) for x, y in polygon]
            for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
                if min(y0, y1) <= j < max(y0, y1):
                    crossings.append(x0 + (j - y0) * (x1 - x0) / (y1 - y0))
        for i in range(columns):
            mask[j, i] = sum(x <= i for x in crossings) % 2
    return mask


def fill(polygons, columns=COLUMNS, rows=ROWS):
    mask = np.zeros((rows, columns), np.uint8)
    count = fill_even_odd([np.array(polygon, float) for polygon in polygons], mask)
    assert count == mask.sum()
    return mask


def polygons_of(coordinate):
    """One to four polygons of three to eight points, crossing themselves, each other and the image's edge."""
    polygon = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=8)
    return st.lists(polygon, min_size=1, max_size=4)


@settings(max_examples=300, deadline=None)
@given(polygons_of(st.integers(-12, 60).map(lambda n: n / 4)))
def test_equals_the_exact_even_odd_test_with_vertices_on_centres_and_borders(polygons):
    assert np.array_equal(fill(polygons), brute_force(polygons))


@settings(max_examples=300, deadline=None)
@given(polygons_of(st.integers(-4096, 16384).map(lambda n: n / 1024)))
def test_equals_the_exact_even_odd_test_off_centre(polygons):
    assert np.array_equal(fill(polygons), brute_force(polygons))


NICE = [n / 10 for n in range(-20, 150)]  # decimals: edges through centres that binary numbers miss by a hair


@settings(max_examples=300, deadline=None)
@example([[(-2.0, -2.0), (-2.0, 2.6e-71), (1e-295, 0.0)]])
@example([[(0.1, -2.0), (0.1, 2.6e-71), (1e-295, 0.0)]])
@example([[(-2.0, -2.0), (7.0, 5e-324), (1e-160, -1e-160), (3.0, 2e-308)]])
@given(polygons_of(st.one_of(st.sampled_from(NICE), st.floats(-3, 16), st.integers(-2, 14).map(float))))
def test_equals_the_exact_even_odd_test_for_any_doubles(polygons):
    assert np.array_equal(fill(polygons), brute_force(polygons))


@pytest.mark.parametrize("columns", [1, 7, 8, 9, 13, 16, 17, 64, 65])
def test_rows_of_any_length_are_filled_to_their_end(columns):
    """Parities pass from one group of eight pixels to the next, whatever the width."""
    comb = [[(x + 0.25, -1.0), (x + 1.25, -1.0), (x + 1.25, 9.0), (x + 0.25, 9.0)] for x in range(-2, columns + 2, 3)]
    wide = [[(-5.0, -5.0), (columns + 5.0, -5.0), (columns + 5.0, 3.5), (-5.0, 3.5)]]
    for polygons in (comb, wide, comb + wide):
        assert np.array_equal(fill(polygons, columns), brute_force(polygons, columns))


def test_left_and_upper_borders_are_inside_right_and_lower_ones_outside():
    expected = np.zeros((ROWS, COLUMNS), np.uint8)
    expected[1:4, 2:7] = 1
    assert np.array_equal(fill([[(2, 1), (7, 1), (7, 4), (2, 4)]]), expected)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 12), st.floats(0, 8)), min_size=3, max_size=7), st.floats(-2, 2))
def test_polygons_that_share_edges_share_no_pixel_and_leave_none(points, slope):
    """A box cut in two by a path: together they fill the box, exactly."""
    path = sorted(points, key=lambda point: point[1])
    top, bottom = (path[0][0], -1.0), (path[-1][0], 9.0)
    left = fill([[(-1, -1), top, *path, bottom, (-1, 9)]])
    right = fill([[(14, -1), (14, 9), bottom, *reversed(path), top]])
    assert np.array_equal(left ^ right, np.ones((ROWS, COLUMNS), np.uint8))


def test_holes_islands_and_keyholes():
    outer, hole, island = ([(c - h, 4 - h), (c + h, 4 - h), (c + h, 4 + h), (c - h, 4 + h)] for c, h in
                           [(5, 3.5), (5, 2.5), (5, 1.5)])  # fmt: skip
    assert fill([outer, hole, island]).sum() == 49 - 25 + 9
    assert even_odd_area([np.array(p) for p in (outer, hole, island)]) == 49 - 25 + 9
    keyhole = [*outer, outer[0], *hole[::-1], hole[-1]]  # along one bridge to the hole, round it backwards, and back
    assert np.array_equal(fill([keyhole]), fill([outer, hole]))
    assert even_odd_area([np.array(keyhole, float)]) == 49 - 25


def test_many_islands_with_holes_on_one_slice():
    """A chessboard of rings: areas, holes and their depth, of hundreds of contours that don't touch."""
    rings = [[(x - h, y - h), (x + h, y - h), (x + h, y + h), (x - h, y + h)]
             for x in range(5, 400, 10) for y in range(5, 100, 10) for h in (3.3, 1.6)]  # fmt: skip
    polygons = [np.array(ring, float) for ring in rings]
    assert even_odd_area(polygons) == pytest.approx(400 * (6.6**2 - 3.2**2))
    assert fill(polygons, 400, 100).sum() == 400 * (7 * 7 - 3 * 3)


def circle(ct, k, centre_ij, radius_mm, points=720):
    """A circle in mm on plane k; `centre_ij` in continuous index."""
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    middle = ct.points_mm([*centre_ij, k])
    return middle + radius_mm * (np.outer(np.cos(turn), ct.axes[:, 0]) + np.outer(np.sin(turn), ct.axes[:, 1]))


def grid_of(ct):
    return Grid(ct.shape, ct.affine_lps)


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.floats(-180, 180)] * 3), st.tuples(st.floats(20, 26), st.floats(18, 22)))
def test_a_sphere_and_a_hollow_cylinder_have_their_volume_in_any_orientation(degrees, centre):
    ct = Ct(shape=(56, 40, 30), spacing_mm=(1.1, 1.4, 2.0), axes=rotation(*degrees))
    radius, plane = 20.0, np.arange(30) * 2.0 - 29.3
    sphere = [circle(ct, k, centre, np.sqrt(radius**2 - z**2)) for k, z in enumerate(plane) if abs(z) < radius]
    mask, report = rasterize(sphere, grid_of(ct))
    exact = 4 / 3 * np.pi * radius**3
    assert abs(report.polygon_mm3 / exact - 1) < 0.005
    assert abs(report.voxels * grid_of(ct).voxel_volume_mm3 / exact - 1) < 0.01
    centre_mm = grid_of(ct).points_mm(np.argwhere(mask)).mean(axis=0)
    assert np.linalg.norm(centre_mm - ct.points_mm([*centre, 29.3 / 2])) < 0.2
    # Slanted, so that no two slices are sampled alike.
    cylinder = [circle(ct, k, np.add(centre, (0.17 * k, -0.13 * k)), r) for k in range(5, 25) for r in (18.0, 9.0)]
    mask, report = rasterize(cylinder, grid_of(ct))
    exact = np.pi * (18.0**2 - 9.0**2) * 20 * 2.0
    assert abs(report.polygon_mm3 / exact - 1) < 0.001
    assert abs(mask.sum() * grid_of(ct).voxel_volume_mm3 / exact - 1) < 0.01


@given(st.tuples(*[st.floats(-180, 180)] * 3))
@settings(max_examples=20, deadline=None)
def test_the_mask_does_not_depend_on_where_the_patient_lies(degrees):
    shape = [((2.3, 1.2), (11.7, 8.4)), ((4.0, 3.0), (7.0, 6.0))]  # the second on pixel centres
    still, turned = Ct(), Ct(axes=rotation(*degrees), origin_mm=(412.5, -77.25, 1003.125))
    masks = [rasterize([square(ct, 3, *corners) for corners in shape], grid_of(ct))[0] for ct in (still, turned)]
    assert masks[0].sum() > 50
    assert np.array_equal(*masks)


def test_off_the_edge_is_clipped_not_wrapped():
    ct = Ct()
    mask, report = rasterize([square(ct, 2, (-6.5, -3.5), (4.5, 2.5)), square(ct, 4, (30, 2), (40, 9))], grid_of(ct))
    expected = np.zeros(ct.shape, np.uint8)
    expected[:5, :3, 2] = 1
    assert np.array_equal(mask, expected)
    assert (report.planes_in, report.rasterised, report.clipped) == (2, 1, 1)
    assert report.skipped_why == {"outside the image": 1}


INSIDE = [(3.0, 3, 0), (3.002, 3, 0), (3.3, 3, 1), (3.6, 4, 1), (-0.45, 0, 1), (6.49, 6, 1)]


@pytest.mark.parametrize(("plane", "slice_k", "moved"), [*INSIDE, (-0.6, None, 0), (6.6, None, 0)])
def test_a_contour_goes_to_the_nearest_slice_within_half_a_step(plane, slice_k, moved):
    ct = Ct(axes=rotation(20, -35, 50))
    mask, report = rasterize([square(ct, plane, (2.5, 2.5), (8.5, 7.5))], grid_of(ct))
    assert list(np.flatnonzero(mask.any(axis=(0, 1)))) == ([] if slice_k is None else [slice_k])
    assert (report.moved, report.skipped) == (moved, int(slice_k is None))


def test_contours_on_a_finer_grid_do_not_cancel_each_other_out():
    ct = Ct()
    planes = np.arange(0, 6.01, 0.25)
    mask, report = rasterize([square(ct, k, (2.5, 2.5), (8.5, 7.5)) for k in planes], grid_of(ct))
    assert mask.sum() == 7 * 6 * 5
    assert (report.rasterised, report.moved) == (7, 0)
    assert report.skipped_why == {"another plane lies nearer to the slice": len(planes) - 7}


def test_a_contour_given_twice_counts_once_and_says_so():
    ct = Ct()
    one = square(ct, 3, (2.5, 2.5), (8.5, 7.5))
    mask, report = rasterize([one, one.copy()], grid_of(ct))
    assert mask.sum() == 30 and report.skipped_why == {"a copy of another contour": 1}


COPIES = [
    lambda points: points[::-1],
    lambda points: np.vstack([points, points[:1]]),
    lambda points: np.roll(points, 17, axis=0),
    lambda points: np.vstack([points[::-1], points[-1:]])[5:].tolist() + points[::-1][:5].tolist(),
]


@pytest.mark.parametrize("copied", COPIES, ids=["reversed", "closed", "begun elsewhere", "all of it"])
def test_a_copy_drawn_in_another_way_is_a_copy(copied):
    ct = Ct(shape=(56, 40, 7), axes=rotation(4, 9, -30))
    one = circle(ct, 3, (25.2, 19.7), 20.0, 90)
    alone = rasterize([one], grid_of(ct))[0]
    mask, report = rasterize([one, np.array(copied(one))], grid_of(ct))
    assert np.array_equal(mask, alone) and report.skipped_why == {"a copy of another contour": 1}


@pytest.mark.parametrize(
    ("contours", "crossed"),
    [
        ([((20.2, 19.7), 20.0), ((33.5, 19.7), 20.0)], 1),  # overlapping: even-odd leaves out what they share
        ([((25.2, 19.7), 20.0), ((25.21, 19.7), 20.0)], 1),  # all but a copy
        ([((25.2, 19.7), 20.0), ((25.3, 19.4), 9.0)], 0),  # a hole
        ([((12.2, 19.7), 9.0), ((38.3, 19.4), 1.2)], 0),  # two apart, one hardly larger than a pixel
    ],
)
def test_contours_that_overlap_are_told_from_those_that_do_not(contours, crossed):
    ct = Ct(shape=(60, 40, 7), axes=rotation(4, 9, -30))
    _, report = rasterize([circle(ct, 3, centre, radius, 90) for centre, radius in contours], grid_of(ct))
    assert report.crossed_slices == crossed


@settings(max_examples=200, deadline=None)
@given(st.tuples(st.floats(5, 8), st.floats(5, 8)), st.floats(0.05, 5), st.floats(0.2, 1), st.integers(3, 40))
def test_one_ellipse_of_any_size_is_never_flagged(centre, radius, flat, points):
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    polygon = np.column_stack([np.cos(turn), flat * np.sin(turn)]) * radius + centre
    assert abs(fill([polygon], 14, 14).sum() - even_odd_area([polygon])) <= pixel_error([polygon])


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda points: points[:2], "fewer than 3 points"),
        (lambda points: points * [1, np.nan, 1], "coordinates that are no finite numbers within 1 km"),
        (lambda points: points * [1, np.inf, 1], "coordinates that are no finite numbers within 1 km"),
        (lambda points: points * [1, 1e200, 1], "coordinates that are no finite numbers within 1 km"),
        (lambda points: points + np.outer([0, 0, 1, 1], [0, 0, 2]), "not parallel to the slices"),
    ],
)
def test_a_contour_that_cannot_be_used_costs_only_itself(spoil, why):
    ct = Ct()
    good, other = square(ct, 2, (2.5, 2.5), (8.5, 7.5)), square(ct, 3, (2.5, 2.5), (8.5, 7.5))
    mask, report = rasterize([spoil(other), good], grid_of(ct))
    assert mask.sum() == 30 and report.skipped_why == {why: 1}
    assert report.planes_in == report.rasterised + report.skipped == 2


def test_smaller_than_a_pixel_is_counted_as_blank():
    ct = Ct()
    mask, report = rasterize([square(ct, 2, (3.1, 3.1), (3.6, 3.6))], grid_of(ct))
    assert not mask.any() and report.blank_slices == report.rasterised == 1
    assert report.polygon_mm3 == pytest.approx(0.25 * 1.5 * 2.25 * 3.5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-0.5, 12.5), st.floats(-0.5, 8.5)), min_size=3, max_size=12, unique=True))
def test_area_of_a_star_agrees_with_fine_sampling(points):
    """Sorted by angle about their middle, points make a polygon that does not cross itself."""
    polygon = np.array(points)
    around = polygon - polygon.mean(axis=0)
    assume(np.hypot(*around.T).min() > 1e-3)
    polygon = polygon[np.argsort(np.arctan2(around[:, 1], around[:, 0]), kind="stable")]
    sampled = fill([polygon * 20 + 9.5], COLUMNS * 20, ROWS * 20).sum() / 400
    length = np.linalg.norm(polygon - np.roll(polygon, 1, axis=0), axis=1).sum()
    assert abs(even_odd_area([polygon]) - sampled) < 0.05 * length + 0.01


def test_close_to_rt_utils_which_rounds_vertices(tmp_path):
    """Another reader, of a disc and a hole: it rounds to whole pixels, so the agreement is that of a pixel's width."""
    pytest.importorskip("rt_utils", reason="rt-utils is not installed, or its OpenCV can't load", exc_type=ImportError)
    from dicom_factory import write_ct, write_rtstruct
    from rt_utils import RTStructBuilder

    ct = Ct(shape=(48, 48, 6), spacing_mm=(1.0, 1.0, 3.0))
    rois = {"Ring": [circle(ct, k, (22.3, 25.1), radius) for k in range(1, 5) for radius in (17.0, 8.0)]}
    write_ct(tmp_path / "ct", ct)
    struct = write_rtstruct(tmp_path / "rs", ct, rois, edit=_with_slice_references(ct))
    theirs = RTStructBuilder.create_from(str(tmp_path / "ct"), str(struct)).get_roi_mask_by_name("Ring")
    ours, _ = rasterize(rois["Ring"], grid_of(ct))
    theirs = theirs.transpose(1, 0, 2)
    overlap = 2 * (theirs & (ours == 1)).sum() / (theirs.sum() + ours.sum())
    assert overlap > 0.93


def _with_slice_references(ct):
    from pydicom import Dataset

    def edit(data):
        series = data.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
        series.ContourImageSequence = [_image(ct, k) for k in range(ct.shape[2])]
        data.RTROIObservationsSequence = []
        for drawn in data.ROIContourSequence:
            for n, item in enumerate(drawn.ContourSequence):
                item.ContourImageSequence = [_image(ct, 1 + n // 2)]

    def _image(ct, k):
        image = Dataset()
        image.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        image.ReferencedSOPInstanceUID = f"{ct.series_uid}.{k + 1}"
        return image

    return edit


def lies_in(inner, outer):
    """Whether most corners and middles of edges lie inside, edge by edge and point by point."""
    points = [*inner, *((a + b) / 2 for a, b in zip(inner, np.roll(inner, -1, axis=0), strict=True))]
    votes = 0
    for x, y in points:
        crossed = 0
        for (x0, y0), (x1, y1) in zip(outer, np.roll(outer, -1, axis=0), strict=True):
            crossed += bool((y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x)
        votes += crossed % 2
    return votes > len(points) / 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 9)] * 2), min_size=2, max_size=9, unique=True))
def test_even_odd_areas_are_those_of_contours_compared_by_pairs(boxes):
    """Boxes that nest, touch and overlap: each counts by how many others it lies in."""
    polygons = [np.array([(a, b), (a + w, b), (a + w, b + h), (a, b + h)], float) for a, b, w, h in boxes]
    wanted = 0
    for polygon, (_, _, width, height) in zip(polygons, boxes, strict=True):
        others = [one for one in polygons if one is not polygon]
        around = [
            one for one in others if (one.min(0) <= polygon.min(0)).all() and (one.max(0) >= polygon.max(0)).all()
        ]
        wanted += width * height * (-1) ** sum(lies_in(polygon, one) for one in around)
    assert even_odd_area(polygons) == pytest.approx(wanted, abs=1e-9)


def test_a_slice_of_noise_has_the_area_of_its_pixels():
    """Ten thousand contours, some of them around thousands of others."""
    from skimage.measure import find_contours

    from data_prep.coverage import cover

    noise = np.zeros((322, 302))
    noise[1:-1, 1:-1] = np.random.default_rng(0).random((320, 300)) < 0.4
    polygons = [contour[:-1, ::-1] for contour in find_contours(noise, 0.5)]
    shares = np.zeros(noise.shape)
    assert len(polygons) > 9000 and cover(polygons, shares)
    assert even_odd_area(polygons) == pytest.approx(shares.sum(), rel=1e-9)
