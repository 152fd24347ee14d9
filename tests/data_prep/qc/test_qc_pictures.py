"""Pictures show the patient the right way round, and contours lie on the masks they enclose, in any orientation."""

import base64
import io
import re

import numpy as np
import pytest
from dicom_factory import rotation
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.geometry import Grid
from data_prep.qc.body import find_body
from data_prep.qc.masks import measure
from data_prep.qc.outlines import UNITS_PER_MM, on_slices, paths
from data_prep.qc.pictures import Scene, draw
from data_prep.qc.pixels import grey, mask_uri
from data_prep.qc.views import nearest_plane, patient_view, sample_index, slice_view, tilt_deg
from data_prep.rasterize import fill_even_odd, rasterize

SPACING = np.array([1.25, 2.5, 4.0])
AXES = st.builds(
    lambda order, signs, turn: rotation(*turn) @ (np.eye(3)[:, order] * signs),
    st.permutations([0, 1, 2]),
    st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    st.tuples(*[st.floats(-20, 20)] * 3),
)


def grid_of(axes: np.ndarray, shape: tuple[int, int, int] = (9, 7, 5)) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = axes * SPACING
    affine[:3, 3] = -31.0, 17.5, -203.0
    return Grid(shape, affine)


@given(AXES, st.tuples(st.integers(0, 3), st.integers(0, 2)), st.tuples(st.integers(6, 9), st.integers(4, 7)))
def test_a_point_of_the_patient_lies_on_the_pixel_of_its_voxel(axes, low, high):
    grid = grid_of(axes)
    view = slice_view(grid, low, high)
    i, j = np.meshgrid(np.arange(9), np.arange(7), indexing="ij")
    turned = np.stack([view.turn(i), view.turn(j)], -1)  # the voxel of each pixel
    rows, columns = turned.shape[:2]
    assert view.view.size_mm == pytest.approx((columns * view.spacing_mm[0], rows * view.spacing_mm[1]))
    points = grid.points_mm(np.concatenate([turned, np.full((rows, columns, 1), 3)], -1).reshape(-1, 3))
    row, column = np.divmod(np.arange(rows * columns), columns)
    wanted = (np.stack([column, row], -1) + 0.5) * view.spacing_mm
    np.testing.assert_allclose(view.view.flat(points), wanted, atol=1e-9)


@given(AXES)
def test_pictures_are_radiological(axes):
    """The patient's left is at the right, the head up, the front up or, from the side, at the left."""
    grid = grid_of(axes)
    right, down = slice_view(grid, (0, 0), (9, 7)).view.to_mm[:, :3]
    signs = {"axial": (right[0], down[1]), "coronal": (right[0], -down[2]), "sagittal": (right[1], -down[2])}
    assert min(signs[nearest_plane(grid)]) > 0


@pytest.mark.parametrize(
    ("order", "name", "letters"),
    [
        ([0, 1, 2], "axial", ("R", "L", "A", "P")),
        ([1, 0, 2], "axial", ("R", "L", "A", "P")),
        ([0, 2, 1], "coronal", ("R", "L", "S", "I")),
        ([1, 2, 0], "sagittal", ("A", "P", "S", "I")),
    ],
)
def test_edges_are_named(order, name, letters):
    for signs in ([1, 1, 1], [-1, 1, -1], [1, -1, -1]):
        grid = grid_of(np.eye(3)[:, order] * signs)
        view = slice_view(grid, (0, 0), (9, 7)).view
        assert (nearest_plane(grid), view.name, view.letters, tilt_deg(grid)) == (name, name, letters, 0)


def test_oblique_edges_are_named_by_two_letters():
    grid = grid_of(rotation(0, 0, 20))
    assert slice_view(grid, (0, 0), (9, 7)).view.letters == ("RA", "LP", "AL", "PR")
    assert tilt_deg(grid) == pytest.approx(20)


@given(AXES, st.sampled_from(["axial", "coronal", "sagittal"]), st.tuples(*[st.floats(0, 4)] * 3))
def test_patient_planes_are_upright_and_hold_the_point(axes, name, index):
    grid = grid_of(axes)
    through = grid.points_mm(index)
    view = patient_view(grid, name, np.zeros(3), np.array(grid.shape_ijk))
    points = grid.points_mm(sample_index(grid, view, through, (12, 10)))
    normal = {"axial": 2, "coronal": 1, "sagittal": 0}[name]
    np.testing.assert_allclose(points[..., normal], through[normal], atol=1e-9)
    x, y = (np.arange(12) + 0.5) / 12 * view.size_mm[0], (np.arange(10) + 0.5) / 10 * view.size_mm[1]
    wanted = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), -1)
    np.testing.assert_allclose(view.flat(points.reshape(-1, 3)), wanted.reshape(-1, 2), atol=1e-9)
    corners = np.stack(np.meshgrid(*[[-0.5, n - 0.5] for n in grid.shape_ijk]), -1).reshape(-1, 3)
    flat = view.flat(grid.points_mm(corners))
    np.testing.assert_allclose(flat.min(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(flat.max(axis=0), view.size_mm, atol=1e-9)


def drawn(path: str) -> list[np.ndarray]:
    """SVG path -> polygons in mm."""
    polygons = []
    for start, steps in re.findall(r"M([-\d ]+)l([-\d ]*)z", path):
        numbers = [int(n) for n in re.findall(r"-?\d+", steps)]
        points = np.cumsum(
            np.array([[int(n) for n in start.split()], *zip(numbers[::2], numbers[1::2], strict=True)]), 0
        )
        polygons.append(points / UNITS_PER_MM)
    return polygons


def distance_mm(point: np.ndarray, polygon: np.ndarray) -> float:
    """From a point to the closed line through the polygon's corners."""
    line = np.roll(polygon, -1, axis=0) - polygon
    share = np.clip(((point - polygon) * line).sum(axis=1) / np.maximum((line**2).sum(axis=1), 1e-9), 0, 1)
    return float(np.hypot(*(point - polygon - share[:, None] * line).T).min())


def star(seed: int, points: int = 60) -> np.ndarray:
    """(n, 2) a ragged ring around 20, 16."""
    numbers = np.random.default_rng(seed)
    angle = np.sort(numbers.uniform(0, 2 * np.pi, points))
    radius = numbers.uniform(6, 13, points)
    return np.stack([20 + radius * np.cos(angle), 16 + radius * np.sin(angle)], -1)


@settings(max_examples=40)
@given(AXES, st.integers(0, 99))
def test_outlines_enclose_the_pixels_of_the_mask(axes, seed):
    """What is drawn over the picture, filled again, is the mask in the picture: no shift, no flip."""
    grid = grid_of(axes, (40, 33, 5))
    contour = grid.points_mm(np.column_stack([star(seed), np.full(60, 2)])).astype(np.float32)
    mask, report = rasterize([contour], grid)
    assert report.rasterised == 1
    view = slice_view(grid, (3, 2), (40, 31))
    [(roi, path)] = paths(on_slices({4: [contour]}, grid)[2], view.view)
    [polygon] = drawn(path)
    assert roi == 4
    np.testing.assert_allclose(polygon, view.view.flat(contour), atol=0.5 / UNITS_PER_MM + 1e-6)
    wanted = view.turn(mask[:, :, 2])
    filled = np.zeros(wanted.shape, np.uint8)
    fill_even_odd([polygon / view.spacing_mm - 0.5], filled)
    for row, column in np.argwhere(filled != wanted):  # rounding may only move centres that all but lie on the border
        assert distance_mm((np.array([column, row]) + 0.5) * view.spacing_mm, polygon) < 0.02


@given(st.integers(0, 99))
def test_thinned_outlines_stay_near(seed):
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    ring = np.column_stack([60 + 40 * np.cos(angle), 60 + (30 + seed / 10) * np.sin(angle), np.full(400, 8.0)])
    grid = Grid((130, 130, 5), np.diag([1.0, 1.0, 4.0, 1.0]))
    view = slice_view(grid, (0, 0), (130, 130)).view
    (_, whole), (_, thin) = (paths([(0, ring)], view, tolerance)[0] for tolerance in (0.0, 0.15))
    assert len(thin) < len(whole) / 3
    [polygon] = drawn(thin)
    assert max(distance_mm(point, polygon) for point in view.flat(ring)[::7]) < 0.5


def test_contours_that_lie_on_no_slice_are_not_drawn():
    grid = grid_of(np.eye(3), (40, 33, 5))
    ring = star(1)
    for plane, k in ((2.4, 2), (2.6, 3), (4.4, 4), (4.7, None), (-0.7, None)):
        found = on_slices({0: [grid.points_mm(np.column_stack([ring, np.full(60, plane)]))]}, grid)
        assert list(found) == ([] if k is None else [k])
    across = grid.points_mm(np.column_stack([ring, np.linspace(0, 4, 60)]))
    unknown = grid.points_mm(np.column_stack([ring, np.full(60, np.nan)]))
    assert on_slices({0: [across, unknown, across[:2]]}, grid) == {}


def pixels(uri: str) -> np.ndarray:
    from PIL import Image

    content = base64.b64decode(uri.partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))


@pytest.mark.parametrize("keys", [[1], [3, 200], [1, 2, 3, 4, 5]])
def test_masks_are_painted_pixel_by_pixel(keys):
    which = np.random.default_rng(0).choice(np.array([0, *keys], np.uint8), (31, 23))
    colours = {key: (key, 255 - key, 7) for key in keys}
    picture = pixels(mask_uri(which, colours))
    assert ((picture[..., 3] > 0) == (which > 0)).all() and picture[..., 3].max() < 128
    for key in keys:
        assert (picture[which == key][:, :3] == colours[key]).all()
    assert mask_uri(np.zeros((5, 5), np.uint8), {}) is None


def test_the_window_is_clipped():
    assert grey(np.array([-3000, -1350, -600, 150, 4000, np.nan])).tolist() == [0, 0, 128, 255, 255, 0]


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 2, 0], [2, 0, 1]])
def test_the_tumour_is_in_every_picture_on_its_own_side(order):
    """A bright ball on the patient's left, high up, at the back: where it belongs in all three planes."""
    shape = np.array([48, 40, 20])
    centre = np.array([34, 26, 14])
    mm = [np.arange(n) * step for n, step in zip(shape, (2.0, 2.5, 5.0), strict=True)]
    x, y, z = np.meshgrid(*mm, indexing="ij")
    ball = (x - 68) ** 2 + (y - 65) ** 2 + (z - 70) ** 2 < 12**2
    hu = np.where(((x - 47) / 44) ** 2 + ((y - 49) / 46) ** 2 < 1, -200, -1000).astype(np.int16)
    affine = np.diag([2.0, 2.5, 5.0, 1.0])[:, [*order, 3]]
    grid = Grid(tuple(int(n) for n in shape[order]), affine)
    hu, ball = np.transpose(hu, order), np.transpose(ball, order)
    body = find_body(hu, grid)
    facts, packed = measure(ball.astype(np.uint8), hu, grid, body)
    found = draw(Scene(hu, grid, body, {0: packed}, ["gtv"], {}), levels=3)
    assert facts["centre_mm"] == pytest.approx(centre * [2.0, 2.5, 5.0], abs=0.1)
    axial, coronal, sagittal, close_up = found["planes"]
    for picture, (right, low) in ((axial, (True, True)), (coronal, (True, False)), (sagittal, (True, False))):
        alpha = pixels(picture["mask_uri"])[..., 3]
        rows, columns = np.nonzero(alpha)
        assert (columns.mean() > alpha.shape[1] / 2) == right and (rows.mean() > alpha.shape[0] / 2) == low
        width, height = picture["size_mm"]
        assert np.ptp(columns) / alpha.shape[1] * width == pytest.approx(24, abs=6)
        assert np.ptp(rows) / alpha.shape[0] * height == pytest.approx(24, abs=6)
    assert close_up["pixelated"] and len(found["levels"]) == 3
