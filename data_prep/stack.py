"""Slices with positions and one orientation -> one regular grid, or the reason why not. Pure numpy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from data_prep.errors import GeometryError
from data_prep.geometry import Array, Grid, slice_normal

# What rounding ImageOrientationPatient to four decimals may turn an axis by.
AXIS_ROUNDING = np.radians(0.01)
NAMED_GAPS = 8
MULTIPLE = 0.1  # of the step: how near to a multiple of it a distance lies where slices are missing


@dataclass(frozen=True, eq=False)
class Stack:
    """Parallel slices at one distance from each other.

    deviation_mm: how far the worst slice lies from its place on the grid. notes: what was assumed, one sentence each.
    """

    grid: Grid
    deviation_mm: float
    notes: tuple[str, ...] = ()


def position_tolerance_mm(step_mm: float) -> float:
    """How far a slice may lie from its place on the regular grid: 0.01 mm, or 1 % of the step where that is more."""
    return max(0.01, 0.01 * abs(step_mm))


def fit_stack(
    positions_mm: ArrayLike, orientation: ArrayLike, pixel_spacing_mm: ArrayLike, shape_ij: tuple[int, int]
) -> Stack:
    """The grid that fits two or more slices best, by least squares over all of them (PS3.3 C.7.6.2.1.1).

    positions_mm: (n, 3) ImagePositionPatient, ascending along the normal. orientation: ImageOrientationPatient.
    pixel_spacing_mm: PixelSpacing in DICOM's order, between rows, between columns. shape_ij: columns, rows.
    Raises GeometryError naming the positions of gaps, the angle of a tilted gantry, or a slice shifted sideways.
    """
    positions = np.asarray(positions_mm, float)
    axes = patient_axes(orientation)
    axes, note = _align(axes, positions)
    along = positions @ axes[2]
    index = np.arange(len(positions))
    step_mm, start_mm = np.polyfit(index, along, 1)
    origin = positions.mean(axis=0)
    origin = origin + (start_mm - origin @ axes[2]) * axes[2]
    fitted = origin + index[:, None] * step_mm * axes[2]
    off_mm = np.linalg.norm(positions - fitted, axis=1)
    if off_mm.max() > position_tolerance_mm(step_mm):
        raise GeometryError(_irregular(positions, along, off_mm))
    return Stack(
        _grid(origin, axes, step_mm, pixel_spacing_mm, (*shape_ij, len(positions))),
        float(off_mm.max()),
        (note,) if note else (),
    )


def single_slice(
    position_mm: ArrayLike,
    orientation: ArrayLike,
    pixel_spacing_mm: ArrayLike,
    shape_ij: tuple[int, int],
    thickness_mm: float | None,
) -> Stack:
    """The grid of one slice as thick as SliceThickness. Raises GeometryError without a thickness."""
    if thickness_mm is None or not thickness_mm > 0:
        raise GeometryError(
            "a single slice and no SliceThickness (0018,0050): its third spacing is unknown. Add the other slices."
        )
    axes = patient_axes(orientation)
    grid = _grid(np.asarray(position_mm, float), axes, thickness_mm, pixel_spacing_mm, (*shape_ij, 1))
    return Stack(grid, 0.0, (f"single slice: SliceThickness, {thickness_mm:g} mm, taken as the slice step",))


def patient_axes(orientation: ArrayLike) -> Array:
    """(3, 3): unit vectors of i, j, k in LPS as rows, exactly perpendicular, nearest to ImageOrientationPatient.

    The tag is often rounded to four or six decimals, which would be felt over 500 mm. Raises GeometryError.
    """
    normal = slice_normal(orientation)
    rows = np.vstack([np.reshape(np.asarray(orientation, float), (2, 3)), normal])
    left, _, right = np.linalg.svd(rows)
    return left @ right


def _grid(origin: Array, axes: Array, step_mm: float, pixel_spacing_mm: ArrayLike, shape: tuple[int, int, int]) -> Grid:
    between_rows, between_columns = np.asarray(pixel_spacing_mm, float)
    affine = np.eye(4)
    affine[:3, :3] = axes.T * [between_columns, between_rows, step_mm]
    affine[:3, 3] = origin
    return Grid(shape, affine)


def _align(axes: Array, positions: Array) -> tuple[Array, str | None]:
    """Axes whose third runs along the stacked positions. Raises GeometryError for a tilted gantry.

    Positions have the whole stack as a lever, so where they differ from the tag by no more than its rounding they win.
    """
    centred = positions - positions.mean(axis=0)
    along = centred @ axes[2]
    way = along @ centred / (along @ along)  # mm moved in LPS per mm along the normal; gaps don't matter here
    sideways = way - axes[2]
    drift_mm = float(np.linalg.norm(sideways) * np.ptp(along))
    angle = float(np.arctan(np.linalg.norm(sideways)))
    if drift_mm <= position_tolerance_mm(float(np.ptp(along)) / (len(positions) - 1)):
        return axes, None
    if angle > AXIS_ROUNDING:
        raise GeometryError(
            f"gantry tilt: the slices are stacked {np.degrees(angle):.2f} degrees off their normal, {drift_mm:.1f} mm "
            f"over the series{_gap_list(positions @ axes[2], '; besides, ')}. Tilted series are not converted yet."
        )
    third = way / np.linalg.norm(way)
    first = axes[0] - (axes[0] @ third) * third
    first /= np.linalg.norm(first)
    note = f"axes turned by {np.degrees(angle):.4f} degrees onto the line of the slice positions"
    return np.vstack([first, np.cross(third, first), third]), note


def _irregular(positions: Array, along: Array, off_mm: Array) -> str:
    gaps = _gap_list(along, "")
    if gaps:
        if _has_holes(along):
            return f"slices are missing: {gaps}. Look for the missing slices, or keep a part that is even."
        return (
            f"slices are unevenly spaced: {gaps}. None is missing, since no distance is a multiple of the step: export "
            "the series with exact positions (they may be rounded), or keep a part that is even."
        )
    worst = int(off_mm.argmax())
    return (
        f"the slice at {along[worst]:.3f} mm along the normal lies {off_mm[worst]:.3f} mm from its place on an even "
        f"grid; at most {position_tolerance_mm(np.ptp(along) / (len(along) - 1)):.3f} mm are allowed"
    )


def _has_holes(along: Array) -> bool:
    """Whether a distance is twice the usual one, three times, and so on."""
    steps = np.diff(along) / np.median(np.diff(along))
    return bool(((np.round(steps) >= 2) & (np.abs(steps - np.round(steps)) < MULTIPLE)).any())


def _gap_list(along: Array, lead: str) -> str:
    """The odd gaps between positions along the normal, as text; empty if there are none."""
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    odd = np.flatnonzero(np.abs(gaps - usual) > position_tolerance_mm(usual))
    if not len(odd):
        return ""
    named = [f"{gaps[k]:.2f} mm between {along[k]:.2f} and {along[k + 1]:.2f}" for k in odd[:NAMED_GAPS]]
    more = f" and {len(odd) - NAMED_GAPS} more" if len(odd) > NAMED_GAPS else ""
    return f"{lead}the step is {usual:.2f} mm, but {', '.join(named)}{more} (mm along the normal)"
