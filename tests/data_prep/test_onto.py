"""Masks from one grid to another: voxels keep their place, and what can't is said."""

from itertools import permutations, product

import numpy as np
import pytest
from dicom_factory import rotation
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.geometry import Grid, UnevenGrid
from data_prep.onto import put_onto


def grid_of(shape, axes=None, spacing=(1.5, 2.25, 3.5), origin=(-31.25, 17.5, -203.75)):
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if axes is None else axes) * spacing
    affine[:3, 3] = origin
    return Grid(shape, affine)


def part_of(grid, order, signs, low, shape):
    """The grid of a box of `grid` from voxel `low`, `shape` voxels along the image's axes, stored in another order."""
    affine = np.eye(4)
    start = np.array([a if sign > 0 else a + n - 1 for a, n, sign in zip(low, shape, signs, strict=True)])
    affine[:3, :3] = (grid.affine_lps[:3, :3] * signs)[:, order]
    affine[:3, 3] = grid.points_mm(start)
    return Grid(tuple(shape[n] for n in order), affine)


def stored(block, order, signs):
    return block[tuple(slice(None, None, sign) for sign in signs)].transpose(order)


ALL = list(product(permutations(range(3)), product([1, -1], repeat=3)))


@pytest.mark.parametrize(("order", "signs"), ALL)
def test_every_voxel_keeps_its_place_in_any_order_and_direction_of_the_axes(order, signs):
    grid = grid_of((9, 7, 5), rotation(10, 20, 30))
    truth = np.zeros(grid.shape_ijk, np.uint8)
    low, shape = (2, 1, 0), (6, 5, 4)
    truth[2:8, 1:6, 0:4] = np.random.default_rng(3).integers(0, 2, shape)
    mask = stored(truth[2:8, 1:6, 0:4], order, signs)
    out, report = put_onto(mask, part_of(grid, order, np.array(signs), low, shape), grid)
    assert np.array_equal(out, truth)
    assert report.voxels == truth.sum() and not report.notes
    assert report.polygon_mm3 == pytest.approx(truth.sum() * grid.voxel_volume_mm3)
    assert report.voxel_mm3 == pytest.approx(report.polygon_mm3)
    assert report.drawn_slices == set(np.flatnonzero(truth.any(axis=(0, 1))))


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.integers(-6, 9)] * 3),
    st.tuples(*[st.integers(1, 6)] * 3),
    st.sampled_from(ALL),
    st.integers(0, 99),
)
def test_what_lies_beyond_the_image_is_cut_off_and_counted(low, shape, layout, seed):
    order, signs = layout
    grid = grid_of((8, 6, 5), rotation(-40, 5, 77))
    block = np.random.default_rng(seed).integers(0, 2, shape)
    out, report = put_onto(stored(block, order, signs), part_of(grid, order, np.array(signs), low, shape), grid)
    at = np.argwhere(block) + low
    inside = ((at >= 0) & (at < grid.shape_ijk)).all(axis=1)
    truth = np.zeros(grid.shape_ijk, np.uint8)
    truth[tuple(at[inside].T)] = 1
    assert np.array_equal(out, truth)
    cut = int((~inside).sum())
    assert [note.split()[0] for note in report.notes] == ([str(cut)] if cut else [])
    kept = np.zeros(shape, int)
    kept[tuple((at[inside] - low).T)] = 1
    total, held = (stored(one, order, signs).sum(axis=(0, 1)) for one in (block, kept))
    assert report.planes_in == (total > 0).sum()
    assert report.rasterised == (held > 0).sum()
    assert report.clipped == ((held > 0) & (held < total)).sum()
    assert report.skipped == ((held == 0) & (total > 0)).sum()


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(0.7, 4)] * 3),
    st.tuples(*[st.floats(-12, 12)] * 3),
)
def test_other_grids_give_each_voxel_its_nearest_one(degrees, spacing, shift):
    grid = grid_of((9, 8, 6), rotation(5, 15, -20))
    centre = grid.points_mm([4, 3.5, 2.5]) + shift
    own = grid_of((7, 6, 5), rotation(*degrees), spacing)
    affine = own.affine_lps.copy()
    affine[:3, 3] = centre - own.affine_lps[:3, :3] @ [3, 2.5, 2]
    own = Grid(own.shape_ijk, affine)
    mask = np.random.default_rng(1).integers(0, 2, own.shape_ijk)
    out, report = put_onto(mask, own, grid)
    for index in np.ndindex(grid.shape_ijk):
        found = own.index_ijk(grid.points_mm(index))
        if np.abs(found - np.floor(found) - 0.5).min() < 1e-6:
            continue  # as near to two
        nearest = np.rint(found).astype(int)
        held = ((nearest >= 0) & (nearest < own.shape_ijk)).all()
        assert out[index] == (held and mask[tuple(nearest)])
    assert any("resampled" in note for note in report.notes)
    assert report.polygon_mm3 == pytest.approx(mask.sum() * own.voxel_volume_mm3)


def test_a_coarser_mask_has_no_holes_on_a_finer_grid():
    grid = grid_of((8, 8, 12), spacing=(1, 1, 1), origin=(0, 0, 0))
    mask = np.ones((8, 8, 4), np.uint8)
    out, report = put_onto(mask, grid_of((8, 8, 4), spacing=(1, 1, 3), origin=(0, 0, 1)), grid)
    assert out.all() and report.notes
    assert report.voxels * grid.voxel_volume_mm3 == pytest.approx(report.polygon_mm3)


@pytest.mark.parametrize(("shift", "notes"), [(1e-5, 0), (0.05, 1), (0.3, 1)])
def test_a_small_shift_loses_nothing_and_is_said(shift, notes):
    grid = grid_of((6, 5, 4))
    mask = np.random.default_rng(0).integers(0, 2, grid.shape_ijk)
    affine = grid.affine_lps.copy()
    affine[:3, 3] += grid.affine_lps[:3, :3] @ [shift, -shift, shift]
    out, report = put_onto(mask, Grid(grid.shape_ijk, affine), grid)
    assert np.array_equal(out, mask)
    assert len(report.notes) == notes


def test_an_empty_mask_stays_empty():
    grid = grid_of((4, 3, 2))
    out, report = put_onto(np.zeros((4, 3, 2)), grid, grid)
    assert not out.any() and report.planes_in == report.voxels == 0


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_slices_that_lie_unevenly_take_the_nearest_voxels(order):
    along = np.array([0, 3, 6, 12, 18, 21.0])
    affine = np.eye(4)
    affine[:3, :3] = rotation(10, -30, 50) * (1.5, 2, 3)
    affine[:3, 3] = -30, 20, 100
    grid = UnevenGrid((6, 5, 6), affine, along_mm=along)
    own = Grid((6, 5, 8), affine)  # every 3 mm
    mask = np.random.default_rng(2).integers(0, 2, own.shape_ijk)
    turned = np.eye(4)
    turned[:3] = np.column_stack([affine[:3, :3][:, order], affine[:3, 3]])
    out, report = put_onto(mask.transpose(order), Grid(tuple(own.shape_ijk[n] for n in order), turned), grid)
    assert np.array_equal(out, mask[:, :, (along / 3).astype(int)])
    assert report.voxel_mm3 == pytest.approx(out.sum(axis=(0, 1)) @ grid.thickness_mm * 3)


def test_a_large_mask_takes_little_more_than_itself():
    import tracemalloc

    grid = grid_of((300, 200, 100), rotation(5, 0, 0))
    mask = np.zeros(grid.shape_ijk, np.uint8)
    mask[20:280, 20:180, 5:95] = 1
    for axes in (None, rotation(5.5, 1, 0)):
        tracemalloc.start()
        put_onto(mask, grid_of((300, 200, 100), axes) if axes is not None else grid, grid)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 5 * mask.nbytes
