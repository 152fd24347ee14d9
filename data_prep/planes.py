"""Contours in mm -> the slices they lie on. Which contour goes where, and which can't be used and why."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from data_prep.geometry import Array, Grid
from data_prep.stack import position_tolerance_mm

PARALLEL = 0.1  # of the slice step: how far a contour's points may lie from one slice plane, and one plane from another
FARTHEST_MM = 1e6
COPY_DECIMALS = 4  # contours that agree to 1e-4 pixel are copies
INDEX_DECIMALS = 9  # takes the noise of the arithmetic off points that lie on pixel centres; 1e-9 pixel moves nothing


@dataclass
class PlaneReport:
    """The ledger of one ROI. Counts are contours, each one plane of an RTSTRUCT.

    planes_in = rasterised + skipped. clipped (by the image's edge) and moved (to the nearest slice) are rasterised too.
    skipped_why: how many were skipped for what reason. interpolated: slices without contours that were filled from
    their neighbours. blank_slices: slices with contours around no pixel centre.
    crossed_slices: slices whose contours must overlap or cross, since voxels and polygons differ by more than pixels
    explain. polygon_mm3: volume by the polygons themselves; voxels: number of voxels in the mask.
    """

    planes_in: int = 0
    rasterised: int = 0
    clipped: int = 0
    moved: int = 0
    skipped_why: Counter[str] = field(default_factory=Counter)
    blank_slices: int = 0
    interpolated: int = 0
    crossed_slices: int = 0
    polygon_mm3: float = 0.0
    voxels: int = 0

    @property
    def skipped(self) -> int:
        return self.skipped_why.total()

    def skip(self, why: str, count: int = 1) -> None:
        self.skipped_why[why] += count


@dataclass(frozen=True, eq=False)
class Placed:
    """One contour on its slice. polygon_ij: (n, 2) continuous index; plane: continuous k, not yet rounded."""

    polygon_ij: Array
    plane: float
    moved: bool
    clipped: bool


def place(contours_mm: Iterable[Array], grid: Grid, report: PlaneReport) -> dict[int, list[Array]]:
    """Slice index k -> the polygons, (n, 2) continuous i, j, to be filled together there.

    contours_mm: (n, 3) points in LPS, each a closed polygon. `report` is filled in.
    A contour goes to the nearest slice within half a step. Where contours of several planes meet on one slice
    (drawn on a finer grid), the plane nearest to it is taken and the others are skipped: filling them together
    would cancel them out.
    """
    by_slice: dict[int, list[Placed]] = {}
    for points_mm in contours_mm:
        report.planes_in += 1
        placed = _place_one(np.asarray(points_mm, float), grid)
        if isinstance(placed, str):
            report.skip(placed)
        else:
            by_slice.setdefault(int(np.floor(placed.plane + 0.5)), []).append(placed)
    polygons: dict[int, list[Array]] = {}
    for k in sorted(by_slice):
        kept = _without_copies(_nearest_plane(by_slice[k], k, report), report)
        report.rasterised += len(kept)
        report.clipped += sum(one.clipped for one in kept)
        report.moved += sum(one.moved for one in kept)
        polygons[k] = [one.polygon_ij for one in kept]
    return polygons


def _place_one(points_mm: Array, grid: Grid) -> Placed | str:
    """The contour on its slice, or why it can't be used."""
    if points_mm.ndim != 2 or points_mm.shape[1] != 3 or len(points_mm) < 3:
        return "fewer than 3 points"
    if not np.isfinite(points_mm).all() or np.abs(points_mm).max() > FARTHEST_MM:
        return "coordinates that are no finite numbers within 1 km"
    index = np.round(grid.index_ijk(points_mm), INDEX_DECIMALS)
    k = index[:, 2]
    if np.ptp(k) > PARALLEL:
        return "not parallel to the slices"
    columns, rows, slices = grid.shape_ijk
    plane = float(k.mean())
    nearest = np.floor(plane + 0.5)
    if not 0 <= nearest < slices:
        return "beyond the first or last slice"
    low, high = index[:, :2].min(axis=0), index[:, :2].max(axis=0)
    edge = np.array([columns, rows]) - 0.5
    if (high < -0.5).any() or (low > edge).any():
        return "outside the image"
    step_mm = grid.spacing_mm[2]
    return Placed(
        polygon_ij=index[:, :2],
        plane=plane,
        moved=bool(abs(plane - nearest) * step_mm > position_tolerance_mm(step_mm)),
        clipped=bool((low < -0.5).any() or (high > edge).any()),
    )


def _nearest_plane(contours: list[Placed], k: int, report: PlaneReport) -> list[Placed]:
    ordered = sorted(contours, key=lambda one: one.plane)
    planes = [[ordered[0]]]
    for one in ordered[1:]:
        if one.plane - planes[-1][0].plane > PARALLEL:
            planes.append([])
        planes[-1].append(one)
    best = min(planes, key=lambda plane: abs(plane[0].plane - k))
    if len(ordered) > len(best):
        report.skip("another plane lies nearer to the slice", len(ordered) - len(best))
    return best


def _without_copies(contours: list[Placed], report: PlaneReport) -> list[Placed]:
    """Each contour once: two copies would cancel each other out."""
    if len(contours) == 1:
        return contours
    unique: dict[tuple, Placed] = {}
    for one in contours:
        unique.setdefault(_outline(one.polygon_ij), one)
    if len(unique) < len(contours):
        report.skip("a copy of another contour", len(contours) - len(unique))
    return list(unique.values())


def _outline(polygon_ij: Array) -> tuple:
    """The same for one closed curve wherever it starts, whichever way it runs, its first point repeated or not."""
    points = list(map(tuple, np.round(polygon_ij, COPY_DECIMALS).tolist()))
    points = [point for point, before in zip(points, points[-1:] + points[:-1], strict=True) if point != before]
    first = min(points, default=None)
    ways = (way[n:] + way[:n] for way in (points, points[::-1]) for n, point in enumerate(way) if point == first)
    return tuple(min(ways, default=()))
