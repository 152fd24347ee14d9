"""Slices as scanned to even, upright ones: linear, exact where it can be, masks as the image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data_prep.options import StackOptions
from data_prep.regrid import Regrid
from data_prep.stack import Stack, fit_stack

SPACING = (2.25, 1.5)  # between rows, between columns
SHAPE = (6, 5)


def stack_at(z, step_mm=None, tilt=0.0) -> Stack:
    """Axial slices at z, pushed along y as under a gantry tilted by `tilt` mm per mm."""
    z = np.asarray(z, float)
    positions = np.column_stack([np.full_like(z, -31.25), 17.5 + tilt * z, z])
    options = StackOptions(gaps="resample", tilt="resample", step_mm=step_mm)
    return fit_stack(positions, [1, 0, 0, 0, 1, 0], SPACING, SHAPE, options)


def regrid_of(stack: Stack) -> Regrid:
    assert stack.regrid is not None
    return stack.regrid


uneven = st.lists(st.floats(0.4, 9), min_size=2, max_size=12).filter(lambda gaps: max(gaps) > 1.1 * min(gaps))


@settings(deadline=None, max_examples=50)
@given(uneven, st.floats(0.3, 6))
def test_what_is_linear_along_the_normal_stays_so(gaps, step):
    z = -40 + np.r_[0, np.cumsum(gaps)]
    stack = stack_at(z, step)
    volume = np.broadcast_to(z.astype(np.float32) * 3 + 7, (*SHAPE, len(z)))
    k = np.arange(stack.grid.shape_ijk[2])
    if stack.regrid is None:
        return
    new_z = stack.grid.points_mm(np.column_stack([0 * k, 0 * k, k]))[:, 2]
    assert new_z[0] >= z[0] - 0.06 and new_z[-1] <= z[-1] + 0.06  # within the tolerance of the real slices
    np.testing.assert_allclose(np.diff(new_z), stack.grid.spacing_mm[2], atol=1e-9)
    off = 3 * stack.deviation_mm + 1e-3
    assert np.abs(regrid_of(stack).image(volume, -1024) - (new_z * 3 + 7)).max() <= off


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 4), min_size=3, max_size=20), st.floats(0.5, 5), st.integers(0, 99))
def test_slices_that_are_there_are_taken_over_bit_for_bit(steps, step, seed):
    places = np.r_[0, np.cumsum(steps)]
    stack = stack_at(places * step - 11)
    volume = np.random.default_rng(seed).integers(-1024, 3000, (*SHAPE, len(places)), np.int16)
    if stack.regrid is None:
        assert len(set(steps)) == 1
        return
    finest = min(steps)
    if any(n % finest for n in steps):
        return  # no lattice: all between
    assert stack.grid.spacing_mm[2] == pytest.approx(finest * step)
    new = regrid_of(stack).image(volume, -1024)
    assert new.dtype == np.int16 and new.shape == stack.grid.shape_ijk
    assert np.array_equal(new[:, :, places // finest], volume)


@pytest.mark.parametrize("step", [None, 3.0])
def test_an_even_stack_is_left_alone(step):
    stack = stack_at(np.arange(9) * 3.0, step)
    assert stack.regrid is None and stack.planes is stack.grid and not stack.notes


def test_an_even_stack_is_not_resampled_to_another_step_and_that_is_said():
    stack = stack_at(np.arange(9) * 3.0, 2.0)
    assert stack.regrid is None and "not resampled to 2" in stack.notes[0]


@settings(deadline=None, max_examples=50)
@given(uneven, st.data())
def test_a_slab_keeps_its_volume_within_half_a_step_an_end(gaps, data):
    z = np.r_[0, np.cumsum(gaps)]
    stack = stack_at(z)
    low = data.draw(st.integers(1, len(z) - 2))
    high = data.draw(st.integers(low, len(z) - 2))
    mask = np.zeros((*SHAPE, len(z)), np.uint8)
    mask[2:4, 1:3, low : high + 1] = 1
    new = mask if stack.regrid is None else regrid_of(stack).mask(mask)
    assert new.dtype == np.uint8 and set(np.unique(new)) <= {0, 1}
    scanned_mm3 = (mask.sum(axis=(0, 1)) * stack.planes.thickness_mm).sum() * 1.5 * 2.25
    step = stack.grid.spacing_mm[2]
    assert abs(new.sum() * stack.grid.voxel_volume_mm3 - scanned_mm3) <= 4 * 1.5 * 2.25 * step + 1e-3
    assert not new[:2].any() and not new[4:].any() and not new[:, :1].any() and not new[:, 3:].any()


def test_the_middle_of_a_gap_belongs_to_either_side():
    regrid = regrid_of(stack_at([0, 3, 9, 12]))
    mask = np.zeros((*SHAPE, 4), np.uint8)
    mask[:3, :, 1], mask[2:, :, 2] = 1, 1
    assert np.array_equal(regrid.mask(mask)[:, :, 2], np.ones(SHAPE))
    coverage = regrid.mask(mask.astype(np.float32))
    assert coverage.dtype == np.float32
    assert np.array_equal(coverage[:, 0, 2], [0.5, 0.5, 1, 0.5, 0.5, 0.5])


def brute_shift(plane, shift, columns):
    """Each new pixel by itself: linear between the two old ones around it, the edge value within half a pixel."""
    out = np.full((columns, plane.shape[1]), -1024.0)
    for x in range(columns):
        u = x - shift
        if -0.5 <= u < len(plane) - 0.5:
            a = int(np.clip(np.floor(u), 0, len(plane) - 1))
            b = int(np.clip(np.floor(u) + 1, 0, len(plane) - 1))
            out[x] = (1 - (u - np.floor(u))) * plane[a] + (u - np.floor(u)) * plane[b]
    return out


@settings(deadline=None, max_examples=50)
@given(
    arrays(np.int16, (*SHAPE, 3), elements=st.integers(-1024, 3000)), st.lists(st.floats(0, 4), min_size=3, max_size=3)
)
def test_shifts_are_what_each_pixel_by_itself_gives(volume, shifts):
    moved = np.round(np.column_stack([shifts, np.zeros(3)]), 6)
    regrid = Regrid((SHAPE[0] + 4, SHAPE[1], 3), np.arange(3), np.zeros(3), moved)
    new = regrid.image(volume, -1024)
    for k in range(3):
        expected = brute_shift(volume[:, :, k].astype(float), moved[k, 0], SHAPE[0] + 4)
        assert np.abs(new[:, :, k] - expected).max() <= 0.502


def sphere_in_tilted_slices(tilt_degrees, gaps, centre, radius):
    """HU of a ball (1000 on -1000, blurred over a voxel) on slices of a tilted gantry, and the stack of them."""
    tilt = np.tan(np.radians(tilt_degrees))
    z = np.r_[0, np.cumsum(gaps)] - 30
    shape, spacing = (64, 70), (1.0, 1.1)
    positions = np.column_stack([np.full_like(z, -31.25), -40 + tilt * z, z])
    stacks = {
        way: fit_stack(positions, [1, 0, 0, 0, 1, 0], spacing[::-1], shape, StackOptions("resample", None, way))
        for way in ("shear", "resample")
    }
    index = np.moveaxis(np.indices((*shape, len(z))), 0, -1)
    points = positions[index[..., 2]] + index[..., :1] * [spacing[0], 0, 0] + index[..., 1:2] * [0, spacing[1], 0]
    inside = np.clip(radius - np.linalg.norm(points - centre, axis=-1) + 0.5, 0, 1)
    return stacks, positions, np.rint(inside * 2000 - 1000).astype(np.int16)


def centre_and_volume(weights, grid):
    index = np.argwhere(weights > 0)
    share = weights[tuple(index.T)].astype(float)
    return share @ grid.points_mm(index) / share.sum(), share.sum() * grid.voxel_volume_mm3


@pytest.mark.parametrize("tilt", [-20.0, 7.5, 18.5])
@pytest.mark.parametrize("gaps", [[1.5] * 40, [1.5] * 15 + [1.0] * 20 + [1.5] * 12], ids=["even", "uneven"])
@pytest.mark.parametrize("way", ["shear", "resample"])
def test_a_ball_scanned_under_a_tilted_gantry_is_where_it_was_and_as_large(tilt, gaps, way):
    from data_prep.rasterize import rasterize

    centre, radius = np.array([1.3, -3.7, 0.4]), 18.0
    stacks, positions, hu = sphere_in_tilted_slices(tilt, gaps, centre, radius)
    stack, truth_mm3 = stacks[way], 4 / 3 * np.pi * radius**3
    assert stack.grid.is_sheared == (way == "shear")
    image = hu if stack.regrid is None else stack.regrid.image(hu, -1000)
    assert image.shape == stack.grid.shape_ijk
    found, mm3 = centre_and_volume((image.astype(float) + 1000) / 2000, stack.grid)
    assert np.linalg.norm(found - centre) < 0.2
    assert mm3 == pytest.approx(truth_mm3, rel=0.02)

    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    contours = []
    for z in positions[:, 2]:
        if abs(z - centre[2]) < radius:
            r = np.sqrt(radius**2 - (z - centre[2]) ** 2)
            ring = centre[:2] + r * np.column_stack([np.cos(turn), np.sin(turn)])
            contours.append(np.column_stack([ring, np.full_like(turn, z)]))
    mask, report = rasterize(contours, stack.planes)
    assert report.rasterised == len(contours) and not report.moved
    mask = mask if stack.regrid is None else stack.regrid.mask(mask)
    found, mm3 = centre_and_volume(mask, stack.grid)
    assert np.linalg.norm(found - centre) < 0.2
    assert mm3 == pytest.approx(truth_mm3, rel=0.02)


def test_nothing_scanned_is_cut_off_by_making_it_upright():
    stack = stack_at(np.arange(8) * 4.0, tilt=0.4)
    volume = np.zeros((*SHAPE, 8), np.int16) + np.arange(1, 9, dtype=np.int16) * 100
    new = regrid_of(stack).image(volume, -1024)
    shifts = 0.4 * 4 * np.arange(8) / 2.25
    assert stack.grid.shape_ijk == (6, 5 + int(np.ceil(shifts[-1])), 8)
    for k in range(8):
        scanned = new[0, :, k] == (k + 1) * 100
        assert scanned.sum() == 5 and (new[:, ~scanned, k] == -1024).all()
        first = stack.grid.points_mm([0, np.flatnonzero(scanned)[0], k])
        assert abs(first[1] - (17.5 + 0.4 * 4 * k)) <= 2.25 / 2 + 1e-6
