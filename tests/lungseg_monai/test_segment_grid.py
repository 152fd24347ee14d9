"""Any image's grid -> the network's, and back: every place stays where it is, whatever the axes."""

import tracemalloc

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d, map_coordinates
from scipy.spatial.transform import Rotation

from data_prep.geometry import LPS_TO_RAS
from lungseg_monai.segment.back import labels_on_image, probability_on_image
from lungseg_monai.segment.body import body_box
from lungseg_monai.segment.grid import box_of, image_box, to_image_grid, to_network_grid
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.interpolation import down

SHAPE = (40, 33, 21)
SHEAR = np.array([[1, 0, 0], [0, 1, 0.3], [0, 0, 1]])
GRIDS = {  # matrix of directions, spacings
    "as the patient": (np.eye(3), (1.3, 2.1, 4.2)),
    "flipped": (np.diag([-1.0, 1.0, -1.0]), (0.8, 2.1, 5.0)),
    "permuted": (np.eye(3)[:, [2, 0, 1]] * [1, -1, 1], (2.0, 1.1, 3.0)),
    "slightly turned": (Rotation.from_euler("xyz", [0.3, -0.2, 0.1], degrees=True).as_matrix(), (1.3, 1.3, 3.0)),
    "oblique": (Rotation.from_euler("xyz", [20, -7, 12], degrees=True).as_matrix(), (1.3, 2.1, 4.2)),
    "oblique, permuted, left-handed": (
        Rotation.from_euler("xyz", [3, 8, -31], degrees=True).as_matrix()[:, [1, 2, 0]] * [-1, 1, 1],
        (2.5, 0.9, 1.7),
    ),
    "sheared": (SHEAR, (1.5, 1.5, 3.0)),
}


def affine_lps(name):
    directions, spacings = GRIDS[name]
    affine = np.eye(4)
    affine[:3, :3] = directions @ np.diag(spacings)
    affine[:3, 3] = (-31.0, 57.0, -412.0)
    return affine


def image_of(array, name):
    return Image(array, LPS_TO_RAS @ affine_lps(name))


def centres(shape, affine):
    return np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


def brute_force(values, view, affine):
    """The definition of the way back, voxel by voxel: linear, the outermost value for one voxel more, then 0."""
    to_grid = np.linalg.inv(view.affine_lps) @ affine
    places = np.moveaxis(np.moveaxis(np.indices(SHAPE), 0, -1) @ to_grid[:3, :3].T + to_grid[:3, 3], -1, 0)
    held = np.pad(values, ((0, 0), (1, 1), (1, 1), (1, 1)), mode="edge")
    return np.stack([map_coordinates(one, places + 1, order=1) for one in held])


@pytest.fixture(params=list(GRIDS))
def name(request):
    return request.param


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_network_sees_each_place_at_its_place(name, order):
    slope_per_mm = np.array([1.0, -2.0, 0.5])
    array = (centres(SHAPE, affine_lps(name)) @ slope_per_mm).astype(np.float32)
    view = to_network_grid(image_of(np.asarray(array, order=order), name))
    there = np.linalg.inv(affine_lps(name))
    index = centres(view.hu.shape, view.affine_lps) @ there[:3, :3].T + there[:3, 3]
    deep = ((index > 7) & (index < np.array(SHAPE) - 8)).all(axis=-1)  # where no blur reaches an edge
    deep = deep if deep.any() else ((index > 3) & (index < np.array(SHAPE) - 4)).all(axis=-1)
    wanted = centres(view.hu.shape, view.affine_lps) @ slope_per_mm
    assert deep.sum() > 20
    np.testing.assert_allclose(view.hu[deep], wanted[deep], atol=0.02)


def test_axes_are_left_back_up_and_even(name):
    view = to_network_grid(image_of(np.zeros(SHAPE, np.int16), name))
    np.testing.assert_allclose(np.linalg.norm(view.affine_lps[:3, :3], axis=0), 3.0, atol=0.15)
    off_degrees = np.degrees(np.arccos(np.clip(np.diag(view.affine_lps)[:3] / 3.0, -1, 1)))
    assert off_degrees.max() < (0.5 if view.upright else 1e-3)
    np.testing.assert_allclose(view.affine_lps @ view.to_here, affine_lps(name), atol=1e-9)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_way_back_is_what_brute_force_finds(name, order):
    view = to_network_grid(image_of(np.zeros(SHAPE, np.int16, order=order), name))
    values = np.random.default_rng(3).normal(size=(2, *view.hu.shape)).astype(np.float32)
    crop = tuple(slice(2, size - 1) for size in view.hu.shape)
    small = view.crop(crop)
    for one, given in ((view, values), (small, np.ascontiguousarray(values[(slice(None), *crop)]))):
        found = np.full((2, *SHAPE), np.nan, np.float32)
        for part, piece in to_image_grid(given, one, tuple(slice(0, size) for size in SHAPE), threads=2):
            found[(slice(None), *part)] = piece
        np.testing.assert_allclose(found, brute_force(given, one, affine_lps(name)), atol=2e-4)


def test_labels_are_the_likeliest_of_interpolated_probabilities(name):
    view = to_network_grid(image_of(np.zeros(SHAPE, np.int16), name))
    rng = np.random.default_rng(5)
    probability = np.zeros((3, *view.hu.shape), np.float32)
    probability[0] = 1
    inner = tuple(slice(size // 3, 2 * size // 3) for size in view.hu.shape)
    drawn = rng.dirichlet([1, 1, 1], probability[0][inner].shape)
    probability[(slice(None), *inner)] = np.moveaxis(drawn, -1, 0)
    labels, box = labels_on_image(probability, view, threads=2)
    reference = brute_force(probability, view, affine_lps(name))
    second, first = np.sort(reference, axis=0)[-2:]
    clear = (first - second > 1e-4) | (reference.max(axis=0) == 0)
    wanted = np.where(reference.max(axis=0) > 0, reference.argmax(axis=0), 0)
    assert (labels == wanted)[clear].all() and clear.mean() > 0.99 and set(np.unique(labels)) == {0, 1, 2}
    outside = labels.copy()
    outside[box] = 0
    assert not outside.any()
    np.testing.assert_allclose(probability_on_image(probability, view), reference[1:], atol=1e-3)


def test_nothing_found_is_no_label():
    view = to_network_grid(image_of(np.zeros(SHAPE, np.int16), "oblique"))
    probability = np.zeros((3, *view.hu.shape), np.float32)
    probability[:] = 1 / 3  # as likely as background is not enough
    labels, box = labels_on_image(probability, view)
    assert box is None and labels.shape == SHAPE and not labels.any()


def test_one_patient_stored_in_other_ways_looks_the_same():
    array = np.random.default_rng(0).integers(-1000, 500, SHAPE).astype(np.int16)
    affine = affine_lps("as the patient")
    known = to_network_grid(Image(array, LPS_TO_RAS @ affine)).hu
    turned = affine.copy()
    turned[:3, 3] += turned[:3, 0] * (SHAPE[0] - 1)
    turned[:3, 0] *= -1
    other = turned[:, [2, 0, 1, 3]]
    stored = array[::-1].transpose(2, 0, 1)
    np.testing.assert_allclose(to_network_grid(Image(stored, LPS_TO_RAS @ other)).hu, known, atol=2e-3)


@pytest.mark.parametrize(("spacing_mm", "size"), [(0.7, 61), (1.0, 30), (2.9, 17), (3.0, 9), (5.0, 8), (10.0, 1)])
def test_one_axis_is_gaussian_then_linear(spacing_mm, size):
    samples = np.random.default_rng(1).normal(size=size)
    matrix, step, first = down(size, spacing_mm, 3.0, 3.0)
    sigma = max(0.0, (3.0 / spacing_mm - 1) / 2)
    blurred = gaussian_filter1d(samples, sigma, mode="nearest", truncate=4.0) if sigma else samples
    at = first + step * np.arange(matrix.shape[0])
    reach = np.ceil(4 * sigma) - np.floor(4 * sigma + 0.5)  # the reference cuts its bell a sample earlier at times
    np.testing.assert_allclose(
        matrix.along(samples[None].astype(np.float32), -1)[0],
        np.interp(at, np.arange(size), blurred),
        atol=1e-6 if not reach else 2e-3,
    )
    np.testing.assert_allclose(matrix.dense().sum(axis=1), 1, atol=1e-6)
    assert matrix.shape[0] * 3.0 >= size * spacing_mm - 1e-6  # both ends are on the grid
    np.testing.assert_allclose(at[0] + at[-1], size - 1, atol=1e-9)  # and none more than the other


def test_a_tall_image_is_never_copied_as_floats():
    array = np.zeros((800, 96, 96), np.int16).transpose(2, 1, 0)
    image = Image(array, np.diag([-0.8, -0.8, 0.5, 1.0]))
    tracemalloc.start()
    view = to_network_grid(image)
    probability = np.zeros((3, *view.hu.shape), np.float32)
    probability[1, 3:9, 3:9, 20:40] = 1
    labels, _ = labels_on_image(probability, view)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert labels.any() and peak - labels.nbytes < 0.6 * array.nbytes + 12 * 2**20


def test_boxes_hold_what_they_must():
    inside = np.zeros((9, 8, 7), bool)
    assert box_of(inside, margin=2) is None
    inside[4, 0, 6] = True
    assert box_of(inside, margin=2) == (slice(2, 7), slice(0, 3), slice(4, 7))
    view = to_network_grid(image_of(np.zeros(SHAPE, np.int16), "as the patient"))
    assert image_box(view, tuple(slice(0, size) for size in view.hu.shape)) == tuple(slice(0, n) for n in SHAPE)


def body(shape=(120, 100, 60)):
    """(hu, tissue) at 3 mm: an oval body of 40 HU with lungs of -850, in air, over a thin table."""
    x, y, _ = np.ogrid[: shape[0], : shape[1], : shape[2]]
    tissue = np.broadcast_to(((x - 60) / 42) ** 2 + ((y - 45) / 30) ** 2 < 1, shape)
    lungs = np.broadcast_to(((abs(x - 60) - 19) / 14) ** 2 + ((y - 45) / 20) ** 2 < 1, shape)
    hu = np.where(lungs, -850.0, np.where(tissue, 40.0, -1000.0)).astype(np.float32)
    hu[5:115, 90:92] = 100  # a shell of 6 mm
    return hu, tissue


def test_the_body_is_kept_and_its_table_left_out():
    hu, tissue = body()
    box = body_box(hu + np.random.default_rng(0).normal(0, 15, hu.shape).astype(np.float32), 3.0)
    assert tissue[box].sum() == tissue.sum()
    assert box[0].start > 5 and box[1].stop < 90 and (box[2].start, box[2].stop) == (0, 60)


@pytest.mark.parametrize("cut", [np.s_[55:], np.s_[:65], np.s_[:, 45:], np.s_[25:95, 20:], np.s_[18:60, 30:60]])
def test_lungs_at_the_edge_of_the_image_are_not_cut(cut):
    hu = body()[0][cut]
    lung = (hu > -900) & (hu < -800)
    assert lung[body_box(hu, 3.0)].sum() == lung.sum()


@pytest.mark.parametrize("value", [-1000.0, -2000.0, 50.0])
def test_an_image_of_nothing_is_kept_whole(value):
    hu = np.full((9, 12, 7), value, np.float32)
    assert body_box(hu, 3.0) == (slice(0, 9), slice(0, 12), slice(0, 7))
