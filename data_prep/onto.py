"""A mask on a grid of its own -> the image's grid. Moved voxel by voxel where the grids agree, else resampled."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.geometry import Array, Grid
from data_prep.planes import PlaneReport

Mask = NDArray[np.uint8]

EXACT = 1e-3  # of a voxel: grids that differ by less are one grid
ALIGNED = 0.1  # of a voxel: so little never changes which voxel is nearest; said, but nothing is lost
OUTSIDE = "outside the image"


@dataclass
class MaskReport(PlaneReport):
    """The ledger of a mask that was drawn as voxels: planes are its slices or frames that hold voxels.

    polygon_mm3: volume on the mask's own grid. notes: sentences for people, on what was assumed or resampled.
    """

    notes: list[str] = field(default_factory=list)


def put_onto(mask_ijk: NDArray, mask_grid: Grid, grid: Grid) -> tuple[Mask, MaskReport]:
    """Put `mask_ijk`, any dtype with nonzero = inside on `mask_grid`, onto `grid`.

    Returns uint8 0/1 with axes i, j, k of `grid`, and the ledger. Where one grid is the other up to order and direction
    of the axes and whole voxels of offset, each voxel keeps its place and none is lost inside the image. Else each
    voxel of `grid` takes the value of the nearest one, and a note says so. Voxels beyond the image are counted.
    """
    report, out = MaskReport(), blank_mask(grid)
    box = _bounds(mask_ijk)
    if box is None:
        return out, report
    low, high = box
    crop = mask_ijk[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] != 0
    report.polygon_mm3 = int(np.count_nonzero(crop)) * mask_grid.voxel_volume_mm3
    placing = _aligned(low, high, mask_grid, grid)
    if placing is None:
        inside = _resample(crop, low, mask_grid, grid, out)
        report.notes.append(
            f"resampled to the nearest voxel: it was drawn on another grid, {_size(mask_grid)} and not {_size(grid)}"
        )
    else:
        inside = _move(crop, placing, out)
        if placing.deviation > EXACT:
            report.notes.append(
                f"its grid lies up to {placing.deviation:.3f} voxels off the image's: each voxel went to the nearest"
            )
    _count(crop, inside, report)
    measure(out, grid, report)
    return out, report


def blank_mask(grid: Grid) -> Mask:
    """Zeros, uint8 with axes i, j, k of `grid`."""
    columns, rows, slices = grid.shape_ijk
    return np.zeros((slices, rows, columns), np.uint8).transpose(2, 1, 0)  # one slice lies together in memory


def measure(out: Mask, grid: Grid, report: MaskReport) -> None:
    """Enter what a finished mask holds: voxels, their volume, the slices."""
    counts = np.array([np.count_nonzero(out[:, :, k]) for k in range(out.shape[2])])
    pixel_mm2 = np.linalg.norm(np.cross(grid.affine_lps[:3, 0], grid.affine_lps[:3, 1]))
    report.voxels = int(counts.sum())
    report.voxel_mm3 = float(counts @ grid.thickness_mm * pixel_mm2)
    report.drawn_slices = set(np.flatnonzero(counts).tolist())


def _bounds(mask_ijk: NDArray) -> tuple[list[int], list[int]] | None:
    """First and last index along each axis that hold voxels; None for an empty mask."""
    low, high = [], []
    for axis in range(mask_ijk.ndim):
        used = np.flatnonzero(mask_ijk.any(axis=tuple(n for n in range(mask_ijk.ndim) if n != axis)))
        if not len(used):
            return None
        low.append(int(used[0]))
        high.append(int(used[-1]))
    return low, high


@dataclass(frozen=True, eq=False)
class _Placing:
    """Image axis a runs along mask axis order[a] with direction sign[a]; start[a] is the lowest index reached."""

    order: tuple[int, ...]
    sign: tuple[int, ...]
    start: tuple[int, ...]
    deviation: float


def _aligned(low: Sequence[int], high: Sequence[int], mask_grid: Grid, grid: Grid) -> _Placing | None:
    """How the box of the mask lies on the image's voxels, or None where it lies between them."""

    def index(points: ArrayLike) -> Array:
        return grid.index_ijk(mask_grid.points_mm(points))

    first = index(low)
    steps = np.stack([index(np.asarray(low) + step) - first for step in np.eye(3)], axis=1)  # image axis, mask axis
    if not np.isfinite(steps).all() or np.abs(steps).max() > 2:
        return None
    whole = np.rint(steps).astype(int)
    if (np.abs(whole).sum(axis=0) != 1).any() or (np.abs(whole).sum(axis=1) != 1).any():
        return None
    begin = np.rint(first).astype(int)
    deviation = 0.0
    ends = list(zip(low, high, strict=True))
    for axis in range(3):  # all along each edge of the box: slices need not lie evenly
        ranges = [range(a, b + 1) if n == axis else (a, b) for n, (a, b) in enumerate(ends)]
        points = np.array(list(product(*ranges)))
        deviation = max(deviation, float(np.abs(index(points) - ((points - low) @ whole.T + begin)).max()))
    if deviation > ALIGNED:
        return None
    order = np.abs(whole).argmax(axis=1)
    sign = whole[range(3), order]
    extent = np.asarray(high)[order] - np.asarray(low)[order]
    start = np.where(sign > 0, begin, begin - extent)
    return _Placing(tuple(order.tolist()), tuple(sign.tolist()), tuple(start.tolist()), deviation)


def _move(crop: NDArray[np.bool_], placing: _Placing, out: Mask) -> NDArray[np.intp]:
    """Unite `crop` with `out` at its place; return how many voxels of each slice of `crop` lie in the image."""
    block = crop.transpose(placing.order)[tuple(slice(None, None, sign) for sign in placing.sign)]
    inner, outer = [], []
    for start, length, size in zip(placing.start, block.shape, out.shape, strict=True):
        a, b = max(start, 0), min(start + length, size)
        if a >= b:
            return np.zeros(crop.shape[2], np.intp)
        outer.append(slice(a, b))
        inner.append(slice(a - start, b - start))
    kept = block[tuple(inner)]
    out[tuple(outer)] |= kept
    axis = placing.order.index(2)
    counts = np.count_nonzero(kept, axis=tuple(n for n in range(3) if n != axis))
    inside = np.zeros(block.shape[axis], np.intp)
    inside[inner[axis]] = counts
    return inside[:: placing.sign[axis]]


def _resample(crop: NDArray[np.bool_], low: Sequence[int], mask_grid: Grid, grid: Grid, out: Mask) -> NDArray[np.intp]:
    """Fill `out` from the nearest voxels; return how many voxels of each slice of `crop` have their centre inside."""
    shape = np.asarray(crop.shape)
    corners = np.array(list(product(*((-0.5, n - 0.5) for n in crop.shape)))) + low
    reached = grid.index_ijk(mask_grid.points_mm(corners))
    first = np.clip(np.floor(reached.min(axis=0)) - 1, 0, out.shape).astype(int)
    last = np.clip(np.ceil(reached.max(axis=0)) + 2, 0, out.shape).astype(int)
    if type(grid) is not Grid:  # where slices lie unevenly, corners don't bound the rest in the plane
        first[:2], last[:2] = 0, out.shape[:2]
    i, j = np.meshgrid(np.arange(first[0], last[0]), np.arange(first[1], last[1]), indexing="ij")
    for k in range(first[2], last[2]):
        points = np.stack([i, j, np.full_like(i, k)], axis=-1)
        nearest = np.floor(mask_grid.index_ijk(grid.points_mm(points)) + 0.5).astype(np.intp) - low
        held = ((nearest >= 0) & (nearest < shape)).all(axis=-1)
        out[first[0] : last[0], first[1] : last[1], k][held] = crop[tuple(nearest[held].T)]
    inside = np.zeros(crop.shape[2], np.intp)
    for k in range(crop.shape[2]):
        voxels = np.argwhere(crop[:, :, k])
        index = grid.index_ijk(mask_grid.points_mm(np.column_stack([voxels, np.full(len(voxels), k)]) + low))
        inside[k] = ((index >= -0.5) & (index < np.asarray(out.shape) - 0.5)).all(axis=1).sum()
    return inside


def _count(crop: NDArray[np.bool_], inside: NDArray[np.intp], report: MaskReport) -> None:
    total = np.count_nonzero(crop, axis=(0, 1))
    held = total > 0
    report.planes_in += int(held.sum())
    report.rasterised += int((inside[held] > 0).sum())
    report.clipped += int(((inside > 0) & (inside < total)).sum())
    outside = int((held & (inside == 0)).sum())
    if outside:
        report.skip(OUTSIDE, outside)
    note_cut(int(total.sum() - inside.sum()), report)


def note_cut(voxels: int, report: MaskReport) -> None:
    """Say how many of the mask's voxels lie beyond the image."""
    if voxels:
        report.notes.append(f"{voxels} voxel(s) of the mask lie outside the image and were cut off")


def _size(grid: Grid) -> str:
    spacing = " x ".join(f"{step:.3f}" for step in grid.spacing_mm)
    return f"{' x '.join(map(str, grid.shape_ijk))} voxels of {spacing} mm"
