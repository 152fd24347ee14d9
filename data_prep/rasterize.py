"""Contours -> mask: even-odd at pixel centres, vertices as they are. Pure numpy."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Array, Grid
from data_prep.planes import PlaneReport, place

ENOUGH_POINTS = 64  # to tell whether one contour lies in another
AT_ONCE = 250_000  # crossings of an edge and a row: bounds the memory, whatever the contours are
NEAR = 1e-14  # relative: products of doubles that differ by less may have changed sides by rounding
TINY = 1e-250  # products this small lose digits, or vanish
EVERY_BYTE = np.uint64(0x0101010101010101)


def rasterize(contours_mm: Iterable[Array], grid: Grid) -> tuple[NDArray[np.uint8], PlaneReport]:
    """Fill closed contours, (n, 3) points in mm in LPS each, on `grid`.

    Returns the mask, uint8 0/1 with axes i, j, k, and the ledger of what happened to each contour. All contours of
    one slice are filled together by the even-odd rule (XOR), so holes, islands in holes and keyholes come out right.
    Nothing is raised for contours that can't be used: they are counted.
    """
    report = PlaneReport()
    columns, rows, slices = grid.shape_ijk
    mask = np.zeros((slices, rows, columns), np.uint8)
    polygons = place(contours_mm, grid, report)
    voxels = _fill_slices(polygons, mask)
    signed, lengths = _areas_and_lengths([one for group in polygons.values() for one in group])
    voxel_mm3_of, first = pixel_area_mm2(grid) * grid.thickness_mm, 0
    for k, group in polygons.items():
        areas = np.abs(signed[first : first + len(group)])
        length = float(lengths[first : first + len(group)].sum())
        first += len(group)
        report.voxels += voxels[k]
        report.blank_slices += voxels[k] == 0
        area = _even_odd(group, areas)
        voxel_mm3 = float(voxel_mm3_of[k])
        report.polygon_mm3 += area * voxel_mm3
        report.voxel_mm3 += voxels[k] * voxel_mm3
        drawn = area if voxels[k] else float(areas.sum())
        report.crossed_slices += abs(voxels[k] - drawn) > _pixel_error(length, len(group))
    return mask.transpose(2, 1, 0), report


def fill_even_odd(polygons_ij: Sequence[Array], out: NDArray[np.uint8]) -> int:
    """Set to 1 in `out`, (rows, columns) of zeros, C order, the pixels whose centre lies inside; return how many.

    polygons_ij: (n, 2) continuous column i, row j; integers are pixel centres. A centre is inside when an odd number
    of edges passes at or to the left of it. An edge owns its end with the lower j, not the other one. So a
    centre on a left or upper border is inside, one on a right or lower border outside, and polygons that share an
    edge share no pixel. The comparison is exact for points on centres and corners.
    """
    return _fill_slices({0: polygons_ij}, out[None])[0]


def pixel_area_mm2(grid: Grid) -> float:
    """Of one pixel in the plane of a slice, whatever the distance and direction of the next slice."""
    return float(np.linalg.norm(np.cross(grid.affine_lps[:3, 0], grid.affine_lps[:3, 1])))


def edges_of(polygons_ij: Sequence[Array]) -> tuple[Array, Array, NDArray[np.intp]]:
    """Starts and ends of all edges, (n, 2) each, and at which edge each polygon begins."""
    start = np.concatenate(polygons_ij)
    sizes = [len(polygon) for polygon in polygons_ij]
    first = np.cumsum([0, *sizes[:-1]])
    end = np.empty_like(start)
    end[:-1] = start[1:]
    end[first + sizes - 1] = start[first]
    return start, end, first


def _fill_slices(polygons: Mapping[int, Sequence[Array]], mask: NDArray[np.uint8]) -> dict[int, int]:
    """Fill `mask`, (slices, rows, columns) of zeros, slice by slice; return the number of pixels on each slice k.

    A pixel is toggled where an edge enters its row, then each row takes the parity of all toggles up to a pixel.
    """
    if not polygons:
        return {}
    _, rows, columns = mask.shape
    flat = mask.reshape(-1, copy=False)
    every = [one for group in polygons.values() for one in group]
    start, end, first = edges_of(every)
    sizes = np.diff(np.append(first, len(start)))
    slice_of_polygon = np.repeat(list(polygons), [len(group) for group in polygons.values()])
    up = (start[:, 1] > end[:, 1])[:, None]
    edges = np.hstack([np.where(up, end, start), np.where(up, start, end)]).T.copy()
    low, high = (np.clip(np.ceil(edges[n]), 0, rows).astype(np.intp) for n in (1, 3))
    row_of_slice = np.repeat(slice_of_polygon * rows, sizes)
    for part in _parts(high - low):
        j, i, edge = _crossings(edges[:, part], low[part], (high - low)[part], columns)
        inside = i < columns
        np.bitwise_xor.at(flat, ((row_of_slice[part][edge] + j) * columns + i)[inside], 1)
    first_of_slice = first[np.cumsum([0, *map(len, polygons.values())])[:-1]]
    ends = np.array([[columns], [rows]])
    low_ij = np.clip(np.ceil(np.minimum.reduceat(start.T, first_of_slice, axis=1)), 0, ends).astype(int)
    high_ij = np.clip(np.ceil(np.maximum.reduceat(start.T, first_of_slice, axis=1)), 0, ends).astype(int)
    blocks = zip(polygons, *low_ij.tolist(), *high_ij.tolist(), strict=True)
    # One more column, for the last toggles.
    return {k: _spread(mask[k, top:bottom, left : right + 1]) for k, left, top, right, bottom in blocks}


def _parts(counts: NDArray[np.intp]) -> list[slice]:
    """Runs of edges with about AT_ONCE crossings each; edges that cross no row cost nothing."""
    total = np.cumsum(counts)
    bounds = np.searchsorted(total, np.arange(AT_ONCE, total[-1], AT_ONCE)).tolist()
    stops = [*bounds, len(counts)]
    return [slice(a, b) for a, b in zip([0, *bounds], stops, strict=True) if b > a]


def _crossings(
    edges: Array, first: NDArray[np.intp], counts: NDArray[np.intp], columns: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Row j, the first pixel i whose centre lies at or behind the edge, and the edge, for each edge and row it crosses.

    edges: (4, n) rows x0, y0, x1, y1 with y0 <= y1; first, counts: the rows that each of them crosses.
    """
    edge = np.repeat(np.arange(len(first)), counts)
    j = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    x, y, x1, y1 = edges
    x0, dx, dy, above = x[edge], (x1 - x)[edge], (y1 - y)[edge], j - y[edge]
    i = np.clip(np.ceil(x0 + above / dy * dx), 0, columns)
    # The quotient is rounded; the products decide, so that a centre on an edge always falls on the same side.
    across = above * dx
    scale = np.maximum(NEAR * np.abs(across), TINY)
    slanted = (above != 0) & (dx != 0)  # else the point is x0 itself
    i -= slanted & (i > 0) & ((i - 1 - x0) * dy >= across)
    i += slanted & (i < columns) & ((i - x0) * dy < across)
    near = (np.abs((i - x0) * dy - across) <= scale) | (np.abs((i - 1 - x0) * dy - across) <= scale)
    doubtful = np.flatnonzero(near & slanted)
    for n in doubtful[~_short(edges[:, edge[doubtful]])].tolist():
        i[n] = min(max(_exact_crossing(edges[:, edge[n]], int(j[n])), 0), columns)
    return j, i.astype(np.intp), edge


def _short(edges: Array) -> NDArray[np.bool_]:
    """Edges, (4, n), whose coordinates have so few binary digits that no product was rounded."""
    fixed = edges * 2**11
    return ((fixed == np.round(fixed)) & (np.abs(fixed) < 2**24)).all(axis=0)


def _exact_crossing(edge: Array, j: int) -> int:
    """The first pixel at or behind the point where the edge x0, y0, x1, y1 meets row j, where doubles can't tell."""
    x0, y0, x1, y1 = (Fraction(value) for value in edge.tolist())
    return ceil(x0 + (j - y0) * (x1 - x0) / (y1 - y0))


def _spread(block: NDArray[np.uint8]) -> int:
    """Each pixel of `block` becomes the parity of the toggles up to it in its row; return how many are 1.

    Eight pixels at a time, as one word: each byte takes in those before it by doubling, then words take in words.
    """
    height, width = block.shape
    words = np.zeros((height, -(-width // 8)), "<u8")
    pixels = words.view(np.uint8)[:, :width]
    pixels[...] = block
    for shift in (8, 16, 32):
        words ^= words << np.uint64(shift)
    carry = np.bitwise_xor.accumulate(words >> np.uint64(56), axis=1)
    words[:, 1:] ^= carry[:, :-1] * EVERY_BYTE
    block[...] = pixels
    return int(np.count_nonzero(pixels.view(np.bool_)))


def even_odd_area(polygons_ij: Sequence[Array]) -> float:
    """Area in pixels inside an odd number of contours.

    A contour counts positive when it lies in an even number of others, negative as a hole. Exact as long as contours
    neither cross themselves nor each other; keyholes count right. Parts outside the image count too.
    """
    return _even_odd(polygons_ij, np.abs(_areas_and_lengths(polygons_ij)[0]))


def _even_odd(polygons_ij: Sequence[Array], areas: Array) -> float:
    if len(areas) == 1:
        return float(areas[0])
    inner, outer = _boxes_in_boxes(polygons_ij)
    depth = np.zeros(len(areas), np.intp)
    for group in np.split(np.arange(len(outer)), np.flatnonzero(np.diff(outer)) + 1):
        if len(group):
            inners = inner[group]
            depth[inners] += _lie_in([polygons_ij[n] for n in inners.tolist()], polygons_ij[int(outer[group[0]])])
    return float(np.where(depth % 2 == 0, areas, -areas).sum())


def _boxes_in_boxes(polygons_ij: Sequence[Array]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of contours where the first one's box lies in the second one's, in the order of the second.

    Only contours that begin within the rows of the other are compared, so that many small ones take little.
    """
    points = np.concatenate(polygons_ij)
    starts = np.cumsum([0, *map(len, polygons_ij[:-1])])
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    by_row = np.argsort(low[:, 1], kind="stable")
    rows = low[by_row, 1]
    first = np.searchsorted(rows, low[:, 1], "left")
    counts = np.searchsorted(rows, high[:, 1], "right") - first
    found = []
    for part in _parts(counts):
        outer, place = _ranges(first[part], counts[part])
        outer, inner = outer + part.start, by_row[place]
        inside = (low[outer] <= low[inner]).all(axis=1) & (high[outer] >= high[inner]).all(axis=1) & (outer != inner)
        found.append((inner[inside], outer[inside]))
    return np.concatenate([one for one, _ in found]), np.concatenate([one for _, one in found])


def _ranges(first: NDArray[np.intp], counts: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For each n the numbers from first[n] on, counts[n] of them: (n, number) one after another."""
    owner = np.repeat(np.arange(len(first)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts - first, counts)


def pixel_error(polygons_ij: Sequence[Array]) -> float:
    """By how many pixels the filled polygons may differ from their area: half the length of each, and one.

    That no convex curve of length L differs by more than L / 2 + 1 is M. Nosarzewska's theorem (Colloquium
    Mathematicum 1, 1948); dents only add to the length. Curves that overlap or cross each other are not bound by it.
    """
    return _pixel_error(float(_areas_and_lengths(polygons_ij)[1].sum()), len(polygons_ij))


def _pixel_error(length: float, contours: int) -> float:
    return length / 2 + contours


def _areas_and_lengths(polygons_ij: Sequence[Array]) -> tuple[Array, Array]:
    """Signed area and length of each polygon, in pixels."""
    if not polygons_ij:
        return np.empty(0), np.empty(0)
    start, end, first = edges_of(polygons_ij)
    sizes = np.diff(np.append(first, len(start)))
    step = end - start
    x, y = (start - np.repeat(start[first], sizes, axis=0)).T  # near the origin, where less is lost by rounding
    areas = np.add.reduceat(x * step[:, 1] - y * step[:, 0], first) / 2
    return areas, np.add.reduceat(np.hypot(step[:, 0], step[:, 1]), first)


def _lie_in(inners: Sequence[Array], outer: Array) -> NDArray[np.bool_]:
    """Which of `inners` lie inside `outer` with most of their corners and middles of edges.

    They may touch, so one point is no proof.
    """
    samples = [_sample(inner) for inner in inners]
    points, sizes = np.concatenate(samples), [len(sample) for sample in samples]
    order = np.argsort(points[:, 1], kind="stable")
    inside = np.empty(len(points))
    inside[order] = _parity(points[order], outer)
    share = np.add.reduceat(inside, np.cumsum([0, *sizes[:-1]])) / sizes
    return share > 0.5


def _sample(inner: Array) -> Array:
    points = np.vstack([inner, (inner + np.roll(inner, -1, axis=0)) / 2])
    return points[:: max(1, 2 * len(inner) // ENOUGH_POINTS)]


def _parity(points: Array, outer: Array) -> NDArray[np.bool_]:
    """Whether an odd number of edges of `outer` passes at or to the left of each of `points`, in ascending order of j.

    Each edge is compared with the points of its rows alone.
    """
    x, y = points.T.copy()
    (x0, y0), (x1, y1) = outer.T, np.roll(outer, -1, axis=0).T
    first = np.searchsorted(y, np.minimum(y0, y1), "left")
    counts = np.searchsorted(y, np.maximum(y0, y1), "left") - first
    crossed = np.zeros(len(points), np.intp)
    slope = np.divide(x1 - x0, y1 - y0, out=np.zeros(len(outer)), where=y0 != y1)
    for part in _parts(counts):
        edge, point = _ranges(first[part], counts[part])
        edge += part.start
        left = x0[edge] + (y[point] - y0[edge]) * slope[edge] <= x[point]
        crossed += np.bincount(point[left], minlength=len(points))
    return crossed % 2 == 1
