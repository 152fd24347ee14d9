"""Where scanned slices lie along the normal, and the even, upright slices to be made of them. Pure numpy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import GeometryError, UsageError
from data_prep.gaps import finest_step_mm, lattice, position_tolerance_mm
from data_prep.geometry import Array, Grid, UnevenGrid
from data_prep.regrid import Regrid

MOST_SLICES = 4096  # of a resampled volume: beyond it two positions that nearly coincide have set the step
NAMED = 8


@dataclass(frozen=True, eq=False)
class Lay:
    """Positions along the normal, mm. scanned_mm: (n,) of the slices, as they are taken; start_mm, step_mm, count: of
    the even slices to be made of them. below, share: see Regrid, None where the slices stay as they are.
    """

    scanned_mm: Array
    start_mm: float
    step_mm: float
    count: int
    is_even: bool
    below: NDArray[np.intp] | None = None
    share: Array | None = None

    def planes(self, affine_1mm: Array, shape_ij: tuple[int, int]) -> Grid:
        """The grid on which the scanned slices lie. affine_1mm: (4, 4), its step along the normal 1 mm."""
        if self.below is None:
            return Grid((*shape_ij, self.count), _scaled(affine_1mm, self.step_mm))
        median = float(np.median(np.diff(self.scanned_mm)))
        along = self.scanned_mm - self.scanned_mm[0]
        return UnevenGrid((*shape_ij, len(along)), _scaled(affine_1mm, median), along)

    def grid(self, affine_1mm: Array, shape_ij: tuple[int, int], planes: Grid) -> Grid:
        """The grid of the even slices: `planes` itself where nothing is resampled."""
        return planes if self.below is None else Grid((*shape_ij, self.count), _scaled(affine_1mm, self.step_mm))

    def regrid(self, shape_ijk: tuple[int, int, int]) -> Regrid | None:
        if self.below is None or self.share is None:
            return None
        return Regrid(shape_ijk, self.below, self.share)


def even_lay(along_mm: Array, off_mm: Array) -> Lay:
    """The even steps nearest to the slices, by least squares, and whether all lie within the tolerance of them.

    along_mm: (n,) ascending along the normal. off_mm: (n,) distance from their common line.
    """
    index = np.arange(len(along_mm))
    step_mm, start_mm = np.polyfit(index, along_mm, 1) if len(index) > 1 else (1.0, along_mm[0])
    fitted = start_mm + index * step_mm
    worst = float(np.hypot(along_mm - fitted, off_mm).max())
    return Lay(fitted, float(start_mm), float(step_mm), len(index), bool(worst <= position_tolerance_mm(step_mm)))


def resampled_lay(along_mm: Array, even: Lay, step_mm: float | None) -> tuple[Lay, str]:
    """Even slices between the first and the last of uneven ones, and what is to be said about them.

    step_mm: None for the finest distance there is. Slices that are even are left alone. Where slices are only missing,
    those that are there are taken over as they are. Raises UsageError for a step that is no length, GeometryError for
    one that is far too small.
    """
    if step_mm is not None and not (np.isfinite(step_mm) and step_mm > 0):
        raise UsageError(f"the step to resample to must be a length in mm, got {step_mm}")
    if even.is_even:
        asked = step_mm is not None and abs(step_mm - even.step_mm) * even.count > position_tolerance_mm(step_mm)
        return (
            even,
            f"the slices are even: kept at {even.step_mm:.4g} mm, not resampled to {step_mm:g}" if asked else "",
        )
    step = finest_step_mm(along_mm) if step_mm is None else float(step_mm)
    count = np.ptp(along_mm) / step + 1
    if count > MOST_SLICES:
        raise GeometryError(
            f"a step of {step:g} mm would make {count:.0f} slices of {len(along_mm)}; at most {MOST_SLICES} are made. "
            "Choose a coarser step"
        )
    fitted = lattice(along_mm, step, step_mm is not None)
    if fitted is not None:
        n, start, step = fitted
        lay = _between(start + n * step, start, step, n)
    else:
        lay = _between(along_mm, float(along_mm[0]), step, (along_mm - along_mm[0]) / step)
    return lay, _resampled_text(lay, step_mm is None)


def upright(grid: Grid, lay: Lay, axes: Array, way: Array, spacing_ij: Array) -> tuple[Grid, Regrid, str]:
    """Slices of a tilted gantry pushed within their planes until they stand upright on each other.

    grid: sheared, of the result if nothing was pushed. axes: unit vectors of i, j, k as rows. way: mm moved per mm
    along the normal. spacing_ij: mm. The result is as much larger as the slices move, so that nothing is cut off.
    """
    drift_ij = axes[:2] @ (way - axes[2])
    moved = (lay.scanned_mm - lay.start_mm)[:, None] * drift_ij / spacing_ij
    for axis in range(2):
        if np.ptp(moved[:, axis]) * spacing_ij[axis] <= position_tolerance_mm(lay.step_mm):
            moved[:, axis] = 0
    moved = np.round(moved, 6)
    low = np.floor(moved.min(axis=0)).astype(int)
    added = np.ceil(moved.max(axis=0)).astype(int) - low
    columns, rows, count = grid.shape_ijk
    affine = grid.affine_lps.copy()
    affine[:3, 2] = axes[2] * lay.step_mm
    affine[:3, 3] += affine[:3, :2] @ low
    shape = columns + int(added[0]), rows + int(added[1]), count
    below = np.arange(count) if lay.below is None else lay.below
    share = np.zeros(count) if lay.share is None else lay.share
    farthest_mm = float(np.linalg.norm(np.ptp(moved, axis=0) * spacing_ij))
    note = (
        f"slices pushed within their planes by up to {farthest_mm:.1f} mm against each other, linearly interpolated; "
        f"{added[0]} columns and {added[1]} rows added so that nothing is cut off, -1024 HU where nothing was scanned"
    )
    return Grid(shape, affine), Regrid(shape, below, share, moved - low), note


def _scaled(affine_1mm: Array, step_mm: float) -> Array:
    affine = affine_1mm.copy()
    affine[:3, 2] *= step_mm
    return affine


def _between(scanned_mm: Array, start_mm: float, step_mm: float, places: Array) -> Lay:
    """Even slices among scanned ones. places: (n,) where the scanned slices lie, in steps from the start, ascending."""
    new = np.arange(int(np.floor(places[-1] + 1e-6)) + 1)
    below = np.clip(np.searchsorted(places, new + 1e-6, side="right") - 1, 0, len(places) - 1)
    above = np.minimum(below + 1, len(places) - 1)
    width = np.where(above > below, places[above] - places[below], 1)
    share = np.round(np.clip((new - places[below]) / width, 0, 1), 6).astype(np.float64)
    return Lay(scanned_mm, start_mm, step_mm, len(new), False, below.astype(np.intp), share)


def _resampled_text(lay: Lay, finest: bool) -> str:
    below, share = lay.below, lay.share
    if below is None or share is None:
        return ""
    gaps = np.diff(lay.scanned_mm)[below[share > 0]]
    widths, counts = np.unique(np.round(gaps, 2), return_counts=True)
    across = ", ".join(f"{n} across {width:.2f} mm" for n, width in list(zip(counts, widths, strict=True))[-NAMED:])
    more = "" if len(widths) <= NAMED else f" and {len(widths) - NAMED} kinds of narrower gaps"
    kind = "the finest distance" if finest else "as asked"
    last_mm = lay.start_mm + (lay.count - 1) * lay.step_mm
    lost = lay.scanned_mm[-1] - last_mm
    end = f"; the last one lies {lost:.2f} mm before the last scanned slice" if lost > 1e-3 else ""
    return (
        f"slices resampled along the normal to a step of {lay.step_mm:.6g} mm ({kind}): {lay.count} slices of "
        f"{len(lay.scanned_mm)}, {len(gaps)} of them interpolated ({across or 'none'}{more}){end}"
    )
