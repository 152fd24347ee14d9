"""Slices to one grid: right for any orientation, refused by name where there is none."""

import numpy as np
import pytest
from dicom_factory import Ct, rotation
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import GeometryError, UsageError
from data_prep.options import StackOptions
from data_prep.stack import fit_stack, is_even, single_slice

angles = st.tuples(*[st.floats(-180, 180)] * 3)
SPACING = (2.25, 1.5)  # between rows, between columns


UPRIGHT = [1, 0, 0, 0, 1, 0]
RESAMPLE, KEEP = StackOptions(gaps="resample"), StackOptions(gaps="keep-uniform-part")


def axial(z, tilt=0.0):
    """Positions of axial slices, pushed along y by `tilt` mm per mm."""
    z = np.asarray(z, float)
    return np.column_stack([np.full_like(z, -31.25), 17.5 + tilt * z, z])


def stack_of(ct: Ct) -> tuple[np.ndarray, np.ndarray]:
    """ImagePositionPatient of all slices, ImageOrientationPatient."""
    index = np.array([[0, 0, k] for k in range(ct.shape[2])])
    return ct.points_mm(index), ct.axes[:, :2].T.ravel()


@given(angles, st.integers(2, 60), st.floats(0.3, 8))
def test_the_grid_is_the_one_the_slices_were_made_on(degrees, count, step):
    ct = Ct(shape=(20, 14, count), spacing_mm=(1.5, 2.25, step), axes=rotation(*degrees))
    positions, orientation = stack_of(ct)
    stack = fit_stack(positions, orientation, SPACING, ct.shape[:2])
    assert stack.grid.shape_ijk == ct.shape
    np.testing.assert_allclose(stack.grid.affine_lps, ct.affine_lps, atol=1e-7)
    assert stack.deviation_mm < 1e-7 and not stack.notes


@given(angles)
def test_orientation_rounded_to_four_decimals_costs_less_than_a_tenth_of_a_millimetre(degrees):
    ct = Ct(shape=(512, 512, 200), spacing_mm=(0.7, 0.7, 2.0), axes=rotation(*degrees))
    positions, orientation = stack_of(ct)
    grid = fit_stack(positions, np.round(orientation, 4), (0.7, 0.7), (512, 512)).grid
    corners = np.array([[i, j, k] for i in (0, 511) for j in (0, 511) for k in (0, 199)])
    assert np.linalg.norm(grid.points_mm(corners) - ct.points_mm(corners), axis=1).max() < 0.1
    assert np.linalg.norm(grid.points_mm([[0, 0, 199]]) - ct.points_mm([[0, 0, 199]])) < 0.03


def test_jitter_is_averaged_out_not_multiplied():
    ct = Ct(shape=(20, 14, 101), spacing_mm=(1.5, 2.25, 3.0))
    positions, orientation = stack_of(ct)
    positions[1, 2] += 0.02  # a step taken from the first gap would be 2 mm off at the far end
    stack = fit_stack(positions, orientation, SPACING, (20, 14))
    assert abs(stack.grid.points_mm([0, 0, 100])[2] - positions[100, 2]) < 0.002
    assert 0.015 < stack.deviation_mm < 0.03


@pytest.mark.parametrize("missing", [1, 5, 8])
def test_a_missing_slice_is_named(missing):
    ct = Ct(shape=(20, 14, 10), axes=rotation(0, 0, 0))
    positions, orientation = stack_of(ct)
    low, high = positions[missing - 1, 2], positions[missing + 1, 2]
    with pytest.raises(GeometryError, match=rf"7\.00 mm between {low:.2f} and {high:.2f} "):
        fit_stack(np.delete(positions, missing, axis=0), orientation, SPACING, (20, 14))


def test_two_slice_distances_in_one_series_are_refused():
    z = np.r_[np.arange(0, 30, 3), np.arange(33, 90, 6)]
    positions = np.column_stack([np.zeros_like(z), np.zeros_like(z), z])
    with pytest.raises(GeometryError, match="unevenly spaced"):
        fit_stack(positions, [1, 0, 0, 0, 1, 0], SPACING, (20, 14))


def test_rounded_positions_are_not_called_missing_slices():
    positions = np.zeros((40, 3))
    positions[:, 2] = np.round(np.arange(40) * 0.625, 1)
    with pytest.raises(GeometryError, match=r"unevenly spaced.*None is missing"):
        fit_stack(positions, [1, 0, 0, 0, 1, 0], SPACING, (20, 14))
    with pytest.raises(GeometryError, match="slices are missing"):
        fit_stack(np.delete(positions, [7, 8], axis=0), [1, 0, 0, 0, 1, 0], SPACING, (20, 14))


@given(st.floats(0.2, 30), st.sampled_from([-1, 1]))
def test_gantry_tilt_is_refused_with_its_angle(degrees, sign):
    ct = Ct(shape=(20, 14, 40), axes=rotation(sign * degrees, 0, 0))
    positions, orientation = stack_of(ct)
    k = np.arange(40)
    positions = positions[0] + np.column_stack([0 * k, 0 * k, k * 3.0])  # the table moves along z all the same
    with pytest.raises(GeometryError, match=rf"gantry tilt.* {degrees:.2f} degrees"):
        fit_stack(positions, orientation, SPACING, (20, 14))


def test_one_slice_shifted_sideways_is_refused():
    positions, orientation = stack_of(Ct(shape=(20, 14, 9)))
    positions[4, 0] += 1
    with pytest.raises(GeometryError, match=r"lies 0\.8\d+ mm from its place"):
        fit_stack(positions, orientation, SPACING, (20, 14))


def test_a_single_slice_takes_its_thickness_and_says_so():
    ct = Ct(axes=rotation(10, 20, 30))
    positions, orientation = stack_of(ct)
    stack = single_slice(positions[0], orientation, SPACING, (20, 14), 3.5)
    np.testing.assert_allclose(stack.grid.affine_lps, ct.affine_lps, atol=1e-9)
    assert "SliceThickness" in stack.notes[0]
    with pytest.raises(GeometryError, match="SliceThickness"):
        single_slice(positions[0], orientation, SPACING, (20, 14), None)


@pytest.mark.parametrize(
    "orientation", [[1, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0.9, 0], [0] * 6, [1, 0, 0, 0, 1], [1, 0, 0, 0, float("nan"), 0]]
)
def test_orientations_that_are_none_are_refused(orientation):
    with pytest.raises(GeometryError, match="ImageOrientationPatient"):
        fit_stack([[0, 0, 0], [0, 0, 1]], orientation, SPACING, (20, 14))


@pytest.mark.parametrize(
    ("z", "kept", "tied"),
    [
        ([0, 3, 6, 9, 15, 18], range(4), False),
        ([0, 3, 9, 12, 15, 18], range(2, 6), False),
        ([0, 3, 6, 12, 15, 18], range(3, 6), True),
        ([0, 3, 6, 9, 15, 21], range(4), False),
        ([0, 3, 6, 9, 15, 21, 27, 33], range(3, 8), False),
        ([0, 1, 3, 4.01, 5, 6, 7.02, 9], range(2, 7), False),
    ],
    ids=str,
)
@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_the_longest_even_part_is_kept(z, kept, tied, tilt):
    options = StackOptions(gaps="keep-uniform-part", tilt="shear")
    stack = fit_stack(axial(z, tilt), UPRIGHT, SPACING, (20, 14), options)
    assert stack.kept == kept and stack.regrid is None and stack.planes is stack.grid
    np.testing.assert_allclose(stack.grid.points_mm([0, 0, 0]), axial(z, tilt)[kept[0]], atol=0.02)
    np.testing.assert_allclose(stack.grid.points_mm([0, 0, len(kept) - 1]), axial(z, tilt)[kept[-1]], atol=0.02)
    note = stack.notes[0]
    assert f"{len(kept)} of {len(z)} slices" in note
    assert all(f"{value:.2f}" in note.split("left out")[1] for n, value in enumerate(z) if n not in kept)
    assert ("more cranial" in note) == tied


def test_of_parts_equally_long_the_one_nearer_to_the_head_is_kept():
    z = [0, 3, 6, 12, 15, 18]
    downwards = [1, 0, 0, 0, -1, 0]  # the normal points to the feet, so slices ascend downwards
    stack = fit_stack(axial(z)[::-1], downwards, SPACING, (20, 14), KEEP)
    assert stack.kept == range(3) and stack.grid.points_mm([0, 0, 0])[2] == pytest.approx(18)
    sagittal = np.column_stack([z, np.zeros(6), np.zeros(6)])
    assert fit_stack(sagittal, [0, 1, 0, 0, 0, 1], SPACING, (20, 14), KEEP).kept == range(3)


def test_no_part_is_kept_where_none_is_even():
    with pytest.raises(GeometryError, match="no 3 neighbouring slices"):
        fit_stack(axial([0, 1, 3, 6, 10, 15]), UPRIGHT, SPACING, (20, 14), KEEP)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from([3, 3, 3, 3.02, 6, 1.3]), min_size=2, max_size=12), st.floats(0, 0.4))
def test_the_part_kept_is_the_longest_of_all_that_fit(gaps, tilt):
    positions = axial(np.r_[0, np.cumsum(gaps)], tilt)
    shear, both = StackOptions(tilt="shear"), StackOptions(gaps="keep-uniform-part", tilt="shear")

    def fits(first, last):
        try:
            fit_stack(positions[first:last], UPRIGHT, SPACING, (20, 14), shear)
        except GeometryError:
            return False
        return True

    count = len(positions)
    longest = max(last - first for first in range(count) for last in range(first + 2, count + 1) if fits(first, last))
    if longest < 3:
        with pytest.raises(GeometryError, match="no 3 neighbouring slices"):
            fit_stack(positions, UPRIGHT, SPACING, (20, 14), both)
    else:
        assert len(fit_stack(positions, UPRIGHT, SPACING, (20, 14), both).kept) == longest


@pytest.mark.parametrize(
    ("gaps", "tilt", "named", "unnamed"),
    [
        ("refuse", "refuse", ["gantry tilt", "missing", "--gaps", "--tilt shear"], []),
        ("resample", "refuse", ["gantry tilt", "missing", "--tilt shear"], ["--gaps"]),
        ("refuse", "shear", ["gantry tilt", "missing", "--gaps"], ["--tilt"]),
        ("keep-uniform-part", "refuse", ["gantry tilt", "--tilt resample"], ["missing", "--gaps"]),
    ],
)
def test_refusals_name_all_that_is_wrong_and_only_options_that_help(gaps, tilt, named, unnamed):
    options = StackOptions(gaps=gaps, tilt=tilt)
    with pytest.raises(GeometryError) as refusal:
        fit_stack(axial([0, 3, 6, 9, 15, 18], 0.2), UPRIGHT, SPACING, (20, 14), options)
    assert all(word in str(refusal.value) for word in named)
    assert not any(word in str(refusal.value) for word in unnamed)


def test_resampling_says_what_it_made_of_what():
    stack = fit_stack(axial([0, 3, 6, 12, 15, 24]), UPRIGHT, SPACING, (20, 14), RESAMPLE)
    assert stack.grid.shape_ijk == (20, 14, 9) and stack.grid.spacing_mm == pytest.approx((1.5, 2.25, 3))
    assert "step of 3 mm (the finest distance): 9 slices of 6, 3 of them interpolated" in stack.notes[0]
    assert "1 across 6.00 mm, 2 across 9.00 mm" in stack.notes[0]
    np.testing.assert_allclose(
        stack.planes.points_mm([[0, 0, k] for k in range(6)])[:, 2], [0, 3, 6, 12, 15, 24], atol=1e-9
    )
    stack = fit_stack(axial([0, 3, 6, 12]), UPRIGHT, SPACING, (20, 14), StackOptions("resample", 5.0))
    assert stack.grid.shape_ijk == (20, 14, 3)
    assert "5 mm (as asked): 3 slices of 4, 2 of them" in stack.notes[0]
    assert "2.00 mm before the last" in stack.notes[0]


@settings(deadline=None, max_examples=50)
@given(st.integers(3, 40), st.floats(0.5, 5), st.integers(0, 9))
def test_jitter_does_not_add_up_where_slices_are_missing(count, step, seed):
    rng = np.random.default_rng(seed)
    z = np.delete(np.arange(count + 1.0), rng.integers(1, count)) * step
    jitter = rng.uniform(-0.003, 0.003, len(z))
    stack = fit_stack(axial(z + jitter), UPRIGHT, SPACING, (20, 14), RESAMPLE)
    assert stack.grid.shape_ijk[2] == count + 1
    np.testing.assert_allclose(stack.grid.points_mm([0, 0, count])[2], z[-1], atol=0.007)
    assert 0 < stack.deviation_mm < 0.01
    assert np.count_nonzero(stack.regrid.share) == 1


def test_a_step_that_is_none_is_refused():
    for step in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="step"):
            fit_stack(axial([0, 3, 9]), UPRIGHT, SPACING, (20, 14), StackOptions("resample", step))
    with pytest.raises(GeometryError, match="Choose a coarser step"):
        fit_stack(axial([0, 3, 3.02, 900]), UPRIGHT, SPACING, (20, 14), RESAMPLE)


@pytest.mark.parametrize("options", [RESAMPLE, KEEP, StackOptions("resample", None, "resample")], ids=str)
def test_what_the_options_are_not_for_stays_refused(options):
    positions = axial(np.arange(9) * 3.0)
    if options.gaps == "resample":
        positions[4, 0] += 1
        with pytest.raises(GeometryError, match=r"lies 0\.8\d+ mm from its place"):
            fit_stack(positions, UPRIGHT, SPACING, (20, 14), options)
    with pytest.raises(GeometryError, match="contradict each other"):
        fit_stack(axial(np.arange(9) * 3.0, 1.5), UPRIGHT, SPACING, (20, 14), options)


@settings(deadline=None, max_examples=50)
@given(angles, st.floats(-30, 30).filter(lambda tilt: abs(tilt) > 0.1), st.booleans())
def test_a_sheared_grid_runs_through_the_slices(degrees, tilt, with_gap):
    ct = Ct(shape=(20, 14, 12), axes=rotation(*degrees) @ [[1, 0, 0], [0, 1, np.tan(np.radians(tilt))], [0, 0, 1]])
    positions, orientation = stack_of(ct)
    if with_gap:
        positions = np.delete(positions, 5, axis=0)
    options = StackOptions("resample" if with_gap else "refuse", None, "shear")
    stack = fit_stack(positions, orientation, SPACING, (20, 14), options)
    np.testing.assert_allclose(stack.grid.affine_lps, ct.affine_lps, atol=1e-6)
    assert stack.grid.is_sheared and f"{abs(tilt):.2f} degrees kept" in " ".join(stack.notes)
    np.testing.assert_allclose(stack.grid.thickness_mm, 3.5, atol=1e-6)
    upright = fit_stack(positions, orientation, SPACING, (20, 14), StackOptions(options.gaps, None, "resample"))
    assert not upright.grid.is_sheared and upright.grid.spacing_mm == pytest.approx(ct.spacing_mm)
    assert upright.planes.is_sheared


@pytest.mark.parametrize("far_mm", [1.2e5, 1e6, -1e9, 1e300, np.inf, np.nan])
def test_slices_farther_off_than_nifti_can_say_are_refused_by_name(far_mm):
    positions, orientation = stack_of(Ct())
    positions[:, 1] += far_mm
    with pytest.raises(GeometryError, match=r"ImagePositionPatient \(0020,0032\) lies .* mm from the origin"):
        fit_stack(positions, orientation, SPACING, (20, 14))
    with pytest.raises(GeometryError, match=r"ImagePositionPatient \(0020,0032\) lies .* mm from the origin"):
        single_slice(positions[0], orientation, SPACING, (20, 14), 3.0)
    assert not is_even(positions, orientation)


def test_slices_as_far_off_as_allowed_lie_within_a_hundredth_in_float32():
    positions, orientation = stack_of(Ct())
    positions[:, 1:] += 99_000, -99_000
    grid = fit_stack(positions, orientation, SPACING, (20, 14)).grid
    stored = grid.affine_ras.astype(np.float32).astype(float)
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(grid.shape_ijk) - 1)
    apart = corners @ (stored - grid.affine_ras)[:3, :3].T + (stored - grid.affine_ras)[:3, 3]
    assert np.linalg.norm(apart, axis=1).max() < 0.01
    assert is_even(positions, orientation)
