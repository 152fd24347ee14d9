"""Contours -> mask: even-odd at pixel centres, vertices as they are. Pure numpy."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Array, Grid
from data_prep.planes import PlaneReport, place

ENOUGH_POINTS = 64  # to tell whether one contour lies in another


def rasterize(contours_mm: Iterable[Array], grid: Grid) -> tuple[NDArray[np.uint8], PlaneReport]:
    """Fill closed contours, (n, 3) points in mm in LPS each, on `grid`.

    Returns the mask, uint8 0/1 with axes i, j, k, and the ledger of what happened to each contour. All contours of
    one slice are filled together by the even-odd rule (XOR), so holes, islands in holes and keyholes come out right.
    Nothing is raised for contours that can't be used: they are counted.
    """
    report = PlaneReport()
    columns, rows, slices = grid.shape_ijk
    mask = np.zeros((slices, rows, columns), np.uint8)
    for k, polygons in place(contours_mm, grid, report).items():
        voxels = fill_even_odd(polygons, mask[k])
        report.voxels += voxels
        report.blank_slices += voxels == 0
        area = even_odd_area(polygons)
        report.polygon_mm3 += area * grid.voxel_volume_mm3
        drawn = area if voxels else sum(abs(_signed_area(polygon)) for polygon in polygons)
        report.crossed_slices += abs(voxels - drawn) > pixel_error(polygons)
    return mask.transpose(2, 1, 0), report


def fill_even_odd(polygons_ij: Sequence[Array], out: NDArray[np.uint8]) -> int:
    """Set to 1 in `out`, (rows, columns), the pixels whose centre lies inside; return how many.

    polygons_ij: (n, 2) continuous column i, row j; integers are pixel centres. A centre is inside when an odd number
    of edges passes at or to the left of it. An edge owns its end with the lower j, not the other one. So a
    centre on a left or upper border is inside, one on a right or lower border outside, and polygons that share an
    edge share no pixel. The comparison is exact for points on centres and corners.
    """
    rows, columns = out.shape
    start = np.concatenate(polygons_ij)
    end = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons_ij])
    up = (start[:, 1] > end[:, 1])[:, None]
    (x0, y0), (x1, y1) = np.where(up, end, start).T, np.where(up, start, end).T
    first = np.clip(np.ceil(y0), 0, rows).astype(np.intp)
    counts = np.clip(np.ceil(y1), 0, rows).astype(np.intp) - first
    if not counts.any():
        return 0
    # One entry for each pair of an edge and a row that it crosses.
    edge = np.repeat(np.arange(len(first)), counts)
    j = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    x0, dx, dy, above = x0[edge], (x1 - x0)[edge], (y1 - y0)[edge], j - y0[edge]
    i = np.clip(np.ceil(x0 + above / dy * dx), 0, columns)
    # The quotient is rounded; the products decide, so that a centre on an edge always falls on the same side.
    i -= (i > 0) & ((i - 1 - x0) * dy >= above * dx)
    i += (i < columns) & ((i - x0) * dy < above * dx)
    i = i.astype(np.intp)
    left, right, top, bottom = i.min(), i.max(), j.min(), j.max() + 1
    toggles = np.zeros((bottom - top, right - left + 1), np.uint8)
    np.bitwise_xor.at(toggles.reshape(-1), (j - top) * toggles.shape[1] + (i - left), 1)
    filled = np.bitwise_xor.accumulate(toggles[:, :-1], axis=1)
    out[top:bottom, left:right] = filled
    return int(np.count_nonzero(filled))


def even_odd_area(polygons_ij: Sequence[Array]) -> float:
    """Area in pixels inside an odd number of contours.

    A contour counts positive when it lies in an even number of others, negative as a hole. Exact as long as contours
    neither cross themselves nor each other; keyholes count right. Parts outside the image count too.
    """
    areas = [abs(_signed_area(polygon)) for polygon in polygons_ij]
    if len(areas) == 1:
        return areas[0]
    boxes = [(polygon.min(axis=0), polygon.max(axis=0)) for polygon in polygons_ij]
    total = 0.0
    for n, polygon in enumerate(polygons_ij):
        depth = sum(
            _lies_in(polygon, other)
            for m, other in enumerate(polygons_ij)
            if m != n and (boxes[m][0] <= boxes[n][0]).all() and (boxes[m][1] >= boxes[n][1]).all()
        )
        total += areas[n] if depth % 2 == 0 else -areas[n]
    return total


def pixel_error(polygons_ij: Sequence[Array]) -> float:
    """By how many pixels the filled polygons may differ from their area: half the length of each, and one.

    That no convex curve of length L differs by more than L / 2 + 1 is M. Nosarzewska's theorem (Colloquium
    Mathematicum 1, 1948); dents only add to the length. Curves that overlap or cross each other are not bound by it.
    """
    lengths = [np.linalg.norm(polygon - np.roll(polygon, 1, axis=0), axis=1).sum() for polygon in polygons_ij]
    return float(sum(lengths) / 2 + len(lengths))


def _signed_area(polygon: Array) -> float:
    x, y = (polygon - polygon[0]).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _lies_in(inner: Array, outer: Array) -> bool:
    """Whether most points of `inner` lie inside `outer`: contours may touch, so one point is no proof."""
    points = inner[:: max(1, len(inner) // ENOUGH_POINTS)]
    x, y = points[:, :1], points[:, 1:]
    (x0, y0), (x1, y1) = outer.T, np.roll(outer, -1, axis=0).T
    crosses = (y0 <= y) != (y1 <= y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at_or_left = x0 + (y - y0) * ((x1 - x0) / (y1 - y0)) <= x
    return bool((((crosses & at_or_left).sum(axis=1) % 2) == 1).mean() > 0.5)
