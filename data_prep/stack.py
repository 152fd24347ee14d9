"""Slices with positions and one orientation -> one regular grid, or the reason why not. Pure numpy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from data_prep.errors import GeometryError
from data_prep.gaps import gap_text, has_holes, longest_even_run, places_text, position_tolerance_mm
from data_prep.geometry import Array, Grid, slice_normal
from data_prep.options import StackOptions
from data_prep.regrid import Regrid
from data_prep.straighten import Lay, even_lay, resampled_lay, upright

REFUSE = StackOptions()
# What rounding ImageOrientationPatient to four decimals may turn an axis by.
AXIS_ROUNDING = np.radians(0.01)
# Gantries tilt by 30 degrees at most: beyond this the tags contradict each other.
MOST_TILT_DEGREES = 45
FEWEST_SLICES = 3  # of an even part that is worth keeping
FARTHEST_SLICE_MM = 1e5  # NIfTI's float32 sform holds places up to here to 0.004 mm, and beyond ever more coarsely


@dataclass(frozen=True, eq=False)
class Stack:
    """The grid of an image made of parallel slices.

    grid: of the image. planes: where the slices themselves lie, for what was drawn on them; the same object unless they
    are resampled by `regrid`. kept: which of the slices are used. deviation_mm: how far the worst of them lies from its
    place. notes: what was assumed or changed, one sentence each.
    """

    grid: Grid
    planes: Grid
    kept: range
    deviation_mm: float
    notes: tuple[str, ...] = ()
    regrid: Regrid | None = None


@dataclass(frozen=True, eq=False)
class _Line:
    """The line that slice positions follow. way: (3,) mm moved in LPS per mm along the normal, axes' third unless
    tilted. middle: (3,) a point on it. along_mm: (n,) of each slice along the normal. off_mm: (n,) from the line.
    """

    axes: Array
    way: Array
    middle: Array
    along_mm: Array
    off_mm: Array
    tilt_degrees: float = 0.0
    note: str = ""

    def points_mm(self, along_mm: ArrayLike) -> Array:
        """(...) mm along the normal -> (..., 3) mm in LPS."""
        beyond = np.asarray(along_mm, float) - self.middle @ self.axes[2]
        return self.middle + beyond[..., None] * self.way


def fit_stack(
    positions_mm: ArrayLike,
    orientation: ArrayLike,
    pixel_spacing_mm: ArrayLike,
    shape_ij: tuple[int, int],
    options: StackOptions = REFUSE,
) -> Stack:
    """The grid that fits two or more slices best, by least squares over all of them (PS3.3 C.7.6.2.1.1).

    positions_mm: (n, 3) ImagePositionPatient, ascending along the normal. orientation: ImageOrientationPatient.
    pixel_spacing_mm: PixelSpacing in DICOM's order, between rows, between columns. shape_ij: columns, rows.
    Raises GeometryError naming the positions of gaps, the angle of a tilted gantry, a slice shifted sideways, or a
    position beyond FARTHEST_SLICE_MM, and UsageError for a step that is no length.
    """
    positions = np.asarray(positions_mm, float)
    _refuse_far(positions)
    axes = patient_axes(orientation)
    kept, notes = range(len(positions)), []
    if options.gaps == "keep-uniform-part" and len(positions) > 2:
        kept, note = _even_part(axes, positions)
        notes += [note] if note else []
        positions = positions[kept.start : kept.stop]
    line = _line(axes, positions)
    lay = even_lay(line.along_mm, line.off_mm)
    _refuse(line, lay, options)
    if options.gaps == "resample":
        lay, note = resampled_lay(line.along_mm, lay, options.step_mm)
        notes += [note] if note else []
    deviation_mm = float(np.hypot(line.off_mm, line.along_mm - lay.scanned_mm).max())
    between_rows, between_columns = np.asarray(pixel_spacing_mm, float)
    spacing = np.array([between_columns, between_rows])
    planes = lay.planes(_affine(line.axes, spacing, line.way, line.points_mm(lay.scanned_mm[0])), shape_ij)
    grid = lay.grid(_affine(line.axes, spacing, line.way, line.points_mm(lay.start_mm)), shape_ij, planes)
    regrid = lay.regrid(grid.shape_ijk)
    if line.tilt_degrees and options.tilt == "resample":
        grid, regrid, note = upright(grid, lay, line.axes, line.way, spacing)
        notes.append(f"gantry tilt of {line.tilt_degrees:.2f} degrees made upright: {note}")
    elif line.tilt_degrees:
        notes.append(
            f"gantry tilt of {line.tilt_degrees:.2f} degrees kept: no slice is pushed within its plane, and the affine "
            "is sheared"
        )
    notes += [line.note] if line.note else []
    return Stack(grid, planes, kept, deviation_mm, tuple(notes), regrid)


def single_slice(
    position_mm: ArrayLike,
    orientation: ArrayLike,
    pixel_spacing_mm: ArrayLike,
    shape_ij: tuple[int, int],
    thickness_mm: float | None,
) -> Stack:
    """The grid of one slice as thick as SliceThickness.

    Raises GeometryError without a thickness, or with a position beyond FARTHEST_SLICE_MM.
    """
    _refuse_far(np.asarray(position_mm, float))
    if thickness_mm is None or not thickness_mm > 0:
        raise GeometryError(
            "a single slice and no SliceThickness (0018,0050): its third spacing is unknown. Add the other slices."
        )
    axes = patient_axes(orientation)
    between_rows, between_columns = np.asarray(pixel_spacing_mm, float)
    affine = _affine(axes, np.array([between_columns, between_rows]), axes[2], np.asarray(position_mm, float))
    affine[:3, 2] *= thickness_mm
    grid = Grid((*shape_ij, 1), affine)
    note = f"single slice: SliceThickness, {thickness_mm:g} mm, taken as the slice step"
    return Stack(grid, grid, range(1), 0.0, (note,))


def patient_axes(orientation: ArrayLike) -> Array:
    """(3, 3): unit vectors of i, j, k in LPS as rows, exactly perpendicular, nearest to ImageOrientationPatient.

    The tag is often rounded to four or six decimals, which would be felt over 500 mm. Raises GeometryError.
    """
    normal = slice_normal(orientation)
    rows = np.vstack([np.reshape(np.asarray(orientation, float), (2, 3)), normal])
    left, _, right = np.linalg.svd(rows)
    return left @ right


def is_even(positions_mm: ArrayLike, orientation: ArrayLike) -> bool:
    """Whether slices, (n, 3) positions ascending along the normal, lie at one distance, be they tilted or not."""
    positions = np.asarray(positions_mm, float)
    if not np.abs(positions).max() <= FARTHEST_SLICE_MM:  # fit_stack will refuse them by name
        return False
    line = _line(patient_axes(orientation), positions)
    return even_lay(line.along_mm, line.off_mm).is_even


def _refuse_far(positions: Array) -> None:
    """Raise GeometryError for positions, (..., 3) mm, that the NIfTI file could not hold, or that are no numbers."""
    farthest_mm = float(np.abs(positions).max())
    if not farthest_mm <= FARTHEST_SLICE_MM:
        raise GeometryError(
            f"ImagePositionPatient (0020,0032) lies {farthest_mm:g} mm from the origin along an axis, at most "
            f"{FARTHEST_SLICE_MM:g} mm are allowed: beyond, NIfTI can't hold places to 0.01 mm."
        )


def _affine(axes: Array, spacing_ij: Array, way: Array, origin_mm: Array) -> Array:
    """(4, 4) index -> mm in LPS, for a step of 1 mm along the normal."""
    affine = np.eye(4)
    affine[:3, :2] = axes[:2].T * spacing_ij
    affine[:3, 2] = way
    affine[:3, 3] = origin_mm
    return affine


def _line(axes: Array, positions: Array) -> _Line:
    """The least-squares line through the positions, with axes whose third runs along it unless the gantry is tilted.

    Positions have the whole stack as a lever, so where they differ from the tag by no more than its rounding they win.
    """
    middle = positions.mean(axis=0)
    centred = positions - middle
    along = centred @ axes[2]
    way = along @ centred / (along @ along) if len(positions) > 1 else axes[2]  # gaps don't matter here
    sideways = way - axes[2]
    drift_mm = float(np.linalg.norm(sideways) * np.ptp(along))
    angle = float(np.arctan(np.linalg.norm(sideways)))
    tilt, note = 0.0, ""
    if drift_mm <= position_tolerance_mm(float(np.ptp(along)) / max(len(positions) - 1, 1)):
        way = axes[2]
    elif angle <= AXIS_ROUNDING:
        way = way / np.linalg.norm(way)
        first = axes[0] - (axes[0] @ way) * way
        first /= np.linalg.norm(first)
        axes = np.vstack([first, np.cross(way, first), way])
        note = f"axes turned by {np.degrees(angle):.4f} degrees onto the line of the slice positions"
    else:
        tilt = float(np.degrees(angle))
    along = centred @ axes[2]
    off_mm = np.linalg.norm(centred - along[:, None] * way, axis=1)
    return _Line(axes, way, middle, along + middle @ axes[2], off_mm, tilt, note)


def _even_part(axes: Array, positions: Array) -> tuple[range, str]:
    """The longest even run of slices, and what is to be said about it. Raises GeometryError where there is none."""

    def even(first: int, last: int) -> bool:
        line = _line(axes, positions[first : last + 1])
        return even_lay(line.along_mm, line.off_mm).is_even

    count, along = len(positions), positions @ axes[2]
    kept, tied = longest_even_run(count, even, positions[:, 2])
    if len(kept) == count:
        return kept, ""
    if len(kept) < FEWEST_SLICES:
        raise GeometryError(f"no {FEWEST_SLICES} neighbouring slices are evenly spaced: {gap_text(along)}")
    left = [float(along[n]) for n in range(count) if n not in kept]
    note = (
        f"kept the longest even part: {len(kept)} of {count} slices, {along[kept[0]]:.2f} to {along[kept[-1]]:.2f} mm "
        f"along the normal; left out {len(left)}, at {places_text(left)}"
    )
    return kept, note + (". Another part is as long: the more cranial was taken, else the first" if tied else "")


def _refuse(line: _Line, lay: Lay, options: StackOptions) -> None:
    """Raise GeometryError for what the options don't allow, naming all that is wrong and what would help."""
    along = line.along_mm
    found, advice = [], []
    if line.tilt_degrees > MOST_TILT_DEGREES:
        raise GeometryError(
            f"the slices are stacked {line.tilt_degrees:.1f} degrees off their normal, more than any gantry tilts: "
            "ImageOrientationPatient (0020,0037) and ImagePositionPatient (0020,0032) contradict each other"
        )
    if line.tilt_degrees:
        drift_mm = np.linalg.norm(line.way - line.axes[2]) * np.ptp(along)
        found.append(
            f"gantry tilt: the slices are stacked {line.tilt_degrees:.2f} degrees off their normal, {drift_mm:.1f} mm "
            "over the series"
        )
        if options.tilt == "refuse":
            advice.append(
                "Choose --tilt shear (slices as they are, the affine sheared) or --tilt resample (an upright volume)"
            )
    if not lay.is_even:
        if line.off_mm.max() > position_tolerance_mm(float(np.median(np.diff(along)))):
            raise GeometryError(_shifted(line, lay))
        gaps, missing = gap_text(along), has_holes(along)
        kind = "missing" if missing else "unevenly spaced"
        found.append(f"slices are {kind}: {gaps}" if gaps else _shifted(line, lay))
        if options.gaps != "resample":
            advice.append(_gap_advice(missing))
    if advice:
        raise GeometryError(f"{'; besides, '.join(found)}. {'. '.join(advice)}.")


def _gap_advice(missing: bool) -> str:
    look = (
        "Look for the missing slices"
        if missing
        else (
            "None is missing, since no distance is a multiple of the step: export the series with exact positions "
            "(they may be rounded)"
        )
    )
    return (
        f"{look}, or choose --gaps resample (even steps, in between interpolated) or --gaps keep-uniform-part (the "
        "longest even run of slices)"
    )


def _shifted(line: _Line, lay: Lay) -> str:
    off_mm = np.hypot(line.off_mm, line.along_mm - lay.scanned_mm)
    worst = int(off_mm.argmax())
    step_mm = float(np.median(np.diff(line.along_mm)))
    return (
        f"the slice at {line.along_mm[worst]:.3f} mm along the normal lies {off_mm[worst]:.3f} mm from its place on an "
        f"even grid; at most {position_tolerance_mm(step_mm):.3f} mm are allowed"
    )
