"""Contours -> which share of each pixel they cover: partial-volume masks, by exact areas. Pure numpy.

A slice is cut into slabs at every height where an edge begins, ends or crosses another, and at every border of pixel
rows. Inside a slab edges run side by side, so by the even-odd rule what lies between the first and the second is in,
between the second and the third out, and so on: nothing has to be known about which contour is whose hole.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Array, Grid
from data_prep.planes import PlaneReport, place
from data_prep.rasterize import edges_of, even_odd_area, fill_even_odd, pixel_area_mm2

MOST_PIECES = 1_000_000  # of edges in slabs: bounds the memory, which grows with the square of the points at worst
MOST_ROUNDS = 40  # of cutting slabs where edges cross
SAMPLES = 16  # along each side of a pixel, where a slice has too many pieces
NO_AREA = 1e-12  # pixels: what edges that only touch may cover twice by rounding
DECIMALS = 12  # takes off the noise of running sums; the area of a slice keeps ten digits
CROSSED = 0.01  # pixels by which two areas differ that are equal unless contours overlap


def coverage(contours_mm: Iterable[Array], grid: Grid) -> tuple[NDArray[np.float32], PlaneReport]:
    """The share of each pixel's area that lies inside closed contours, (n, 3) points in mm in LPS each, on `grid`.

    Returns float32 from 0 to 1 with axes i, j, k, and the ledger as `rasterize` makes it, except: `voxels` counts
    pixels that are covered at all, voxel_mm3 sums their shares, blank_slices are those where nothing is covered,
    crossed_slices those where contours overlap or cross. All contours of a slice count together by the even-odd rule.
    Areas are exact, of contours that cross as well; only slices with over a million pieces of edges are sampled
    16 x 16 times a pixel instead, counted in sampled_slices. Across slices nothing is shared out: a slice is as thick
    as Grid.thickness_mm says.
    """
    report = PlaneReport()
    columns, rows, slices = grid.shape_ijk
    shares = np.zeros((slices, rows, columns), np.float32)
    voxel_mm3 = (pixel_area_mm2(grid) * grid.thickness_mm).tolist()
    for k, polygons in place(contours_mm, grid, report).items():
        report.sampled_slices += not cover(polygons, shares[k])
        covered = float(shares[k].sum(dtype=float))
        area = even_odd_area(polygons)
        voxels = int(np.count_nonzero(shares[k]))
        report.voxels += voxels
        report.blank_slices += voxels == 0
        report.crossed_slices += _inside(polygons, shares[k]) and abs(covered - area) > CROSSED + 1e-6 * area
        report.voxel_mm3 += covered * voxel_mm3[k]
        report.polygon_mm3 += area * voxel_mm3[k]
    return shares.transpose(2, 1, 0), report


def cover(polygons_ij: Sequence[Array], out: NDArray[np.floating]) -> bool:
    """Write to `out`, (rows, columns) of zeros, the share of each pixel that lies inside an odd number of polygons.

    polygons_ij: (n, 2) continuous column i, row j; integers are pixel centres. True: exact; False: sampled.
    """
    start, end, _ = edges_of([polygon + 0.5 for polygon in polygons_ij])  # whole numbers are now borders of pixels
    size = out.shape[::-1]
    left, top = np.clip(np.floor(start.min(axis=0)), 0, size).astype(int).tolist()
    right, bottom = np.clip(np.ceil(start.max(axis=0)), 0, size).astype(int).tolist()
    if left >= right or top >= bottom:
        return True
    part = out[top:bottom, left:right]
    start, end = start - (left, top), end - (left, top)
    up = (start[:, 1] > end[:, 1])[:, None]
    edges = np.hstack([np.where(up, end, start), np.where(up, start, end)]).T
    crosses = (edges[1] < edges[3]) & (edges[3] > 0) & (edges[1] < len(part))
    pieces = _pieces(edges[:, crosses], len(part))
    if pieces is None:
        fine = np.zeros((len(part) * SAMPLES, part.shape[1] * SAMPLES), np.uint8)
        fill_even_odd([(polygon + 0.5 - (left, top)) * SAMPLES - 0.5 for polygon in polygons_ij], fine)
        part[...] = fine.reshape(len(part), SAMPLES, part.shape[1], SAMPLES).mean(axis=(1, 3))
        return False
    part[...] = np.clip(np.round(_shares(pieces, part.shape), DECIMALS), 0, 1)
    return True


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Edges cut into slabs, ordered by slab, then from left to right. x, y in pixels; sign: 1 enters, -1 leaves."""

    top_x: Array
    bottom_x: Array
    top_y: Array
    height: Array
    slab: NDArray[np.intp]
    sign: Array


def _pieces(edges: Array, rows: int) -> _Pieces | None:
    """Pieces of `edges`, (4, n) x0, y0, x1, y1 with y0 < y1, that don't cross each other; None: too many."""
    cuts = np.unique(np.clip(np.concatenate([np.arange(rows + 1), edges[1], edges[3]]), 0, rows))
    for _ in range(MOST_ROUNDS):
        pieces = _cut(edges, cuts)
        if pieces is None:
            return None
        finer = np.union1d(cuts, _crossings(pieces))
        if len(finer) == len(cuts):
            return pieces
        cuts = finer
    return None


def _cut(edges: Array, cuts: Array) -> _Pieces | None:
    x0, y0, x1, y1 = edges
    first = np.searchsorted(cuts, np.maximum(y0, 0))
    counts = np.searchsorted(cuts, np.minimum(y1, cuts[-1])) - first
    if counts.sum() > MOST_PIECES:
        return None
    edge = np.repeat(np.arange(len(first)), counts)
    slab = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    slope = ((x1 - x0) / (y1 - y0))[edge]
    low, high = np.minimum(x0, x1)[edge], np.maximum(x0, x1)[edge]
    # Nearly level edges have huge slopes: no piece may leave its edge.
    top = np.clip(x0[edge] + (cuts[slab] - y0[edge]) * slope, low, high)
    bottom = np.clip(x0[edge] + (cuts[slab + 1] - y0[edge]) * slope, low, high)
    order = np.lexsort((top + bottom, slab))
    slab = slab[order]
    number = np.arange(len(slab)) - np.searchsorted(slab, slab)
    height = np.diff(cuts)
    return _Pieces(top[order], bottom[order], cuts[slab], height[slab], slab, 1.0 - 2.0 * (number % 2))


def _crossings(pieces: _Pieces) -> Array:
    """Where neighbours in one slab cross each other, as heights y."""
    neighbours = pieces.slab[1:] == pieces.slab[:-1]
    above, below = np.diff(pieces.top_x), np.diff(pieces.bottom_x)
    height = pieces.height[1:]
    cross = neighbours & (np.maximum(-above, -below) * height > NO_AREA) & ((above < 0) != (below < 0))
    above, below = above[cross], below[cross]
    return pieces.top_y[1:][cross] + above / (above - below) * height[cross]


def _shares(pieces: _Pieces, shape: tuple[int, ...]) -> Array:
    """(rows, columns): what lies to the right of entering pieces, less what lies to the right of leaving ones."""
    rows, columns = shape
    row = np.floor(pieces.top_y).astype(np.intp)  # slabs begin at or behind a border of rows
    low, high = np.minimum(pieces.top_x, pieces.bottom_x), np.maximum(pieces.top_x, pieces.bottom_x)
    tall = pieces.sign * pieces.height
    first = np.floor(np.clip(low, 0, columns)).astype(np.intp)
    counts = np.maximum(np.ceil(np.clip(high, 0, columns)).astype(np.intp) - first, 1)
    piece = np.repeat(np.arange(len(first)), counts)
    column = np.arange(len(piece)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    # The part of each piece in each pixel: its share of the height, and how far from the pixel's left border it lies.
    a, b = np.maximum(low[piece], column), np.minimum(high[piece], column + 1)
    width = (high - low)[piece]
    upright = width <= 0
    share = np.where(upright, low[piece] >= 0, np.clip(b - a, 0, None) / np.where(upright, 1, width))
    inside = tall[piece] * share
    off = np.clip((a + b) / 2 - column, 0, 1)
    # What lies left of the image: all its height counts from the first column on.
    before = np.where(high > low, np.clip(-low, 0, high - low) / np.where(high > low, high - low, 1), low < 0)
    flat = row[piece] * (columns + 2) + column
    size = rows * (columns + 2)
    total = np.bincount(flat, inside * (1 - off), size) + np.bincount(flat + 1, inside * off, size + 1)[:size]
    total += np.bincount(row * (columns + 2), tall * before, size)
    return np.cumsum(total.reshape(rows, columns + 2), axis=1)[:, :columns]


def _inside(polygons_ij: Sequence[Array], out: NDArray[np.floating]) -> bool:
    """Whether no polygon reaches over the image's edge: what lies there has an area, but covers nothing."""
    edge = np.array(out.shape[::-1]) - 0.5
    return all((polygon >= -0.5).all() and (polygon <= edge).all() for polygon in polygons_ij)
