"""A mask finds its voxels in the series by affines alone, or is refused."""

import numpy as np
import pytest
from dicom_factory import Ct, rotation, write_ct
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.export.align import align, resample_nearest
from data_prep.export.reference import read_reference
from data_prep.export.regions import MaskError
from data_prep.geometry import Grid


def all_turns():
    from itertools import permutations, product

    return [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def turned(mask, affine, order, signs):
    """The same voxels at the same places, with axes permuted and flipped."""
    mask, affine = mask.transpose(order), affine[:, [*order, 3]].copy()
    for axis, sign in enumerate(signs):
        if sign < 0:
            mask = np.flip(mask, axis)
            affine[:3, 3] += affine[:3, axis] * (mask.shape[axis] - 1)
            affine[:3, axis] *= -1
    return mask, affine


def coded(ct):
    """[i, j, k]: each voxel its own number from 1."""
    return np.arange(1, np.prod(ct.shape) + 1).reshape(ct.shape)


def assert_in_place(aligned, series, ct):
    """Each number lies where the series' slice, row and column have the world coordinates of its voxel."""
    k, j, i = np.nonzero(aligned)
    number = aligned[k, j, i] - 1
    at = series.positions_mm[k] + np.column_stack([i, j]) @ series.steps_mm
    truth = ct.points_mm(np.stack(np.unravel_index(number, ct.shape), axis=-1))
    assert np.abs(at - truth).max() < 0.01


AXES = {
    "axial": np.eye(3),
    "prone": np.diag([-1.0, -1, 1]),
    "feet first": np.diag([-1.0, 1, -1]),
    "descending": np.diag([1.0, 1, -1]),
    "sagittal": np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]]),
    "coronal": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "turned in plane": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]),
    "oblique": rotation(12, -25, 40),
}


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES.keys())
def test_all_48_ways_to_store_a_mask_give_the_same_voxels(tmp_path, axes):
    ct = Ct(shape=(6, 5, 4), axes=axes)
    write_ct(tmp_path, ct)
    series = read_reference(tmp_path)
    for order, signs in all_turns():
        mask, affine = turned(coded(ct), ct.affine_lps, order, signs)
        aligned = align(mask, Grid(mask.shape, affine), series)
        assert np.count_nonzero(aligned) == mask.size
        assert_in_place(aligned, series, ct)


@settings(max_examples=25, deadline=None)
@given(
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 9)] * 3),
    turn=st.sampled_from(all_turns()),
    crop=st.tuples(*[st.tuples(st.integers(0, 2), st.integers(1, 3))] * 3),
)
def test_parts_of_the_volume_in_any_orientation(tmp_path_factory, degrees, spacing, turn, crop):
    ct = Ct(shape=(7, 6, 5), spacing_mm=spacing, axes=rotation(*degrees))
    folder = tmp_path_factory.mktemp("ct")
    write_ct(folder, ct)
    series = read_reference(folder)
    part = tuple(slice(start, start + size) for start, size in crop)
    affine = ct.affine_lps
    affine[:3, 3] = ct.points_mm([start for start, _ in crop])
    mask, affine = turned(coded(ct)[part], affine, *turn)
    aligned = align(mask, Grid(mask.shape, affine), series)
    assert sorted(aligned[aligned > 0]) == sorted(mask.ravel())
    assert_in_place(aligned, series, ct)


def test_a_mask_may_reach_beyond_the_series_where_it_is_empty(tmp_path):
    ct = Ct(shape=(6, 5, 4))
    write_ct(tmp_path, ct)
    series = read_reference(tmp_path)
    mask = np.pad(coded(ct), ((2, 1), (0, 3), (3, 1)))
    affine = ct.affine_lps
    affine[:3, 3] = ct.points_mm([-2, 0, -3])
    assert_in_place(align(mask, Grid(mask.shape, affine), series), series, ct)
    for index in ((0, 0, 4), (2, 7, 4)):
        outside = mask.copy()
        outside[index] = 1
        with pytest.raises(MaskError, match="1 of its voxels lie outside the images"):
            align(outside, Grid(mask.shape, affine), series)
    outside = mask.copy()
    outside[3, 3, 0] = 1
    with pytest.raises(MaskError, match="beyond the first or last slice"):
        align(outside, Grid(mask.shape, affine), series)


SPOILT = {
    "other spacing in plane": lambda a: a @ np.diag([1.1, 1, 1, 1]),
    "every second slice": lambda a: a @ np.diag([1, 1, 2, 1]),
    "two slices for one": lambda a: a @ np.diag([1, 1, 0.5, 1]),
    "turned by a degree": lambda a: np.block([[rotation(0, 0, 2), np.zeros((3, 1))], [0, 0, 0, 1]]) @ a,
    "half a voxel off": lambda a: a + np.array([[0, 0, 0, 0.75], [0] * 4, [0] * 4, [0] * 4]),
    "half a slice off": lambda a: a + np.array([[0] * 4, [0] * 4, [0, 0, 0, 1.2], [0] * 4]),
    "sheared": lambda a: a @ np.array([[1, 0, 0.5, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_voxels_that_are_not_the_series_own_are_refused(tmp_path, spoil):
    ct = Ct(shape=(8, 7, 6))
    write_ct(tmp_path, ct)
    mask = np.zeros(ct.shape, np.uint8)
    mask[2:5, 2:5, 1:3] = 1
    with pytest.raises(MaskError, match=r"not the series' own.*--resample nearest"):
        align(mask, Grid(mask.shape, spoil(ct.affine_lps)), read_reference(tmp_path))


def test_a_mask_of_another_place_is_refused(tmp_path):
    ct = Ct(shape=(8, 7, 6))
    write_ct(tmp_path, ct)
    affine = ct.affine_lps
    affine[2, 3] += 500
    with pytest.raises(MaskError, match="beyond the first or last slice"):
        align(np.ones(ct.shape, np.uint8), Grid(ct.shape, affine), read_reference(tmp_path))


@pytest.mark.parametrize("turn", all_turns()[::5])
def test_resampled_each_voxel_takes_the_nearest_one(tmp_path, turn):
    ct = Ct(shape=(8, 7, 6), axes=rotation(5, 10, -20))
    write_ct(tmp_path, ct)
    series = read_reference(tmp_path)
    finer = ct.affine_lps @ np.diag([0.7, 1.3, 0.5, 1])
    finer[:3, 3] += [0.4, -0.2, 0.9]
    mask, affine = turned((np.random.default_rng(0).random((12, 6, 11)) < 0.5).astype(np.uint8), finer, *turn)
    grid = Grid(mask.shape, affine)
    found = resample_nearest(mask, grid, series)
    for k, j, i in np.ndindex(found.shape):
        index = np.floor(grid.index_ijk(series.positions_mm[k] + [i, j] @ series.steps_mm) + 0.5).astype(int)
        inside = (index >= 0).all() and (index < mask.shape).all()
        assert found[k, j, i] == (mask[tuple(index)] if inside else 0)


def test_resampled_onto_its_own_grid_it_is_the_same(tmp_path):
    ct = Ct(shape=(8, 7, 6), axes=rotation(5, 10, -20))
    write_ct(tmp_path, ct)
    series = read_reference(tmp_path)
    mask = (np.random.default_rng(0).random(ct.shape) < 0.5).astype(np.uint8)
    grid = Grid(ct.shape, ct.affine_lps)
    assert np.array_equal(resample_nearest(mask, grid, series), align(mask, grid, series))
