"""Contours in mm -> the slices they lie on. Which contour goes where, and which can't be used and why."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from data_prep.geometry import Array, Grid
from data_prep.stack import position_tolerance_mm

PARALLEL = 0.1  # of the slice step: how far a contour's points may lie from one slice plane, and one plane from another
FARTHEST_MM = 1e6
COPY_DECIMALS = 4  # contours that agree to 1e-4 pixel are copies
EDGE = 1e-4  # pixels: how far rounded coordinates may put what was drawn along the image's edge outside it
INDEX_DECIMALS = 9  # takes the noise of the arithmetic off points that lie on pixel centres; 1e-9 pixel moves nothing
# Why a contour is on no slice of the image.
SKIPPED = ("not parallel to the slices", "beyond the first or last slice", "outside the image")


@dataclass
class PlaneReport:
    """The ledger of one ROI. Counts are contours, each one plane of an RTSTRUCT.

    planes_in = rasterised + skipped. clipped (by the image's edge) and moved (to the nearest slice) are rasterised too.
    skipped_why: how many were skipped for what reason. interpolated: slices without contours that were filled from
    their neighbours. blank_slices: slices with contours around no pixel centre.
    crossed_slices: slices whose contours must overlap or cross, since voxels and polygons differ by more than pixels
    explain. voxels: number of voxels in the mask. polygon_mm3, voxel_mm3: volume by the polygons themselves and by the
    voxels, each slice as thick as Grid.thickness_mm says. drawn_slices: the slices k that got contours. sampled_slices:
    slices whose shares of pixels (data_prep.coverage) are not exact.
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
    voxel_mm3: float = 0.0
    drawn_slices: set[int] = field(default_factory=set)
    sampled_slices: int = 0

    @property
    def skipped(self) -> int:
        return self.skipped_why.total()

    def skip(self, why: str, count: int = 1) -> None:
        if count:
            self.skipped_why[why] += count


@dataclass(frozen=True, eq=False)
class Placed:
    """One contour on its slice. polygon_ij: (n, 2) continuous index; plane: continuous k, not yet rounded.

    box: its lowest i and j, and its highest, to COPY_DECIMALS.
    """

    polygon_ij: Array
    box: tuple[float, ...]
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
    for placed in _place_all(_usable(contours_mm, report), grid, report):
        by_slice.setdefault(int(np.floor(placed.plane + 0.5)), []).append(placed)
    polygons: dict[int, list[Array]] = {}
    for k in sorted(by_slice):
        kept = _without_copies(_nearest_plane(by_slice[k], k, report), report)
        report.rasterised += len(kept)
        report.clipped += sum(one.clipped for one in kept)
        report.moved += sum(one.moved for one in kept)
        report.drawn_slices.add(k)
        polygons[k] = [one.polygon_ij for one in kept]
    return polygons


def _usable(contours_mm: Iterable[Array], report: PlaneReport) -> list[Array]:
    """The contours that are polygons of finite points; the others are counted."""
    usable = []
    for contour in contours_mm:
        report.planes_in += 1
        points_mm = np.asarray(contour, float)
        if points_mm.ndim != 2 or points_mm.shape[1] != 3 or len(points_mm) < 3:
            report.skip("fewer than 3 points")
        else:
            usable.append(points_mm)
    if not usable:
        return []
    starts = np.cumsum([0] + [len(points_mm) for points_mm in usable[:-1]])
    farthest = np.maximum.reduceat(np.abs(np.concatenate(usable)).max(axis=1), starts)
    near = farthest <= FARTHEST_MM  # False for NaN as well
    report.skip("coordinates that are no finite numbers within 1 km", int(np.count_nonzero(~near)))
    return [points_mm for points_mm, good in zip(usable, near, strict=True) if good]


def _place_all(contours_mm: list[Array], grid: Grid, report: PlaneReport) -> Iterator[Placed]:
    """The contours on their slices, those that can't be used counted. All points at once: contours are short."""
    if not contours_mm:
        return
    sizes = np.array([len(points_mm) for points_mm in contours_mm])
    stops = np.cumsum(sizes)
    starts = stops - sizes
    index = np.ascontiguousarray(np.round(grid.index_ijk(np.concatenate(contours_mm)), INDEX_DECIMALS).T)
    low, high = np.minimum.reduceat(index, starts, axis=1), np.maximum.reduceat(index, starts, axis=1)
    plane = np.round(np.add.reduceat(index[2], starts) / sizes, INDEX_DECIMALS)
    columns, rows, slices = grid.shape_ijk
    nearest = np.floor(plane + 0.5)
    edge = np.array([[columns], [rows]]) - 0.5
    slanted = high[2] - low[2] > PARALLEL
    beyond = ~slanted & ((nearest < 0) | (nearest >= slices))
    outside = ~slanted & ~beyond & ((high[:2] < -0.5) | (low[:2] > edge)).any(axis=0)
    for refused, why in zip((slanted, beyond, outside), SKIPPED, strict=True):
        report.skip(why, int(np.count_nonzero(refused)))
    clipped = np.any((low[:2] < -0.5 - EDGE) | (high[:2] > edge + EDGE), axis=0).tolist()
    boxes = np.round(np.vstack([low[:2], high[:2]]), COPY_DECIMALS).T.tolist()
    thickness_mm = grid.thickness_mm
    polygons = np.ascontiguousarray(index[:2].T)
    for n in np.flatnonzero(~(slanted | beyond | outside)).tolist():
        step_mm = float(thickness_mm[int(nearest[n])])
        off_mm = abs(plane[n] - nearest[n]) * step_mm
        moved = bool(off_mm > position_tolerance_mm(step_mm))
        polygon_ij = polygons[starts[n] : stops[n]]
        yield Placed(polygon_ij, tuple(boxes[n]), float(plane[n]), moved, clipped[n])


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
    alike = Counter(one.box for one in contours)  # copies share their box, and boxes are cheap to compare
    unique: dict[tuple, Placed] = {}
    for one in contours:
        unique.setdefault(one.box if alike[one.box] == 1 else _outline(one.polygon_ij), one)
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
