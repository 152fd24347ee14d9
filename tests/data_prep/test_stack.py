"""Slices to one grid: right for any orientation, refused by name where there is none."""

import numpy as np
import pytest
from dicom_factory import Ct, rotation
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import GeometryError
from data_prep.stack import fit_stack, single_slice

angles = st.tuples(*[st.floats(-180, 180)] * 3)
SPACING = (2.25, 1.5)  # between rows, between columns


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
