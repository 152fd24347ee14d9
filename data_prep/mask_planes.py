"""Frames of a DICOM SEG, each a plane of pixels somewhere in the body -> the image's grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.gaps import position_tolerance_mm
from data_prep.geometry import Array, Grid
from data_prep.onto import ALIGNED, EXACT, OUTSIDE, Mask, MaskReport, blank_mask, measure, note_cut, put_onto
from data_prep.planes import PARALLEL

MOST_VOXELS = 2**31  # of one volume of planes: positions beyond any body would ask for more
SAME_DIRECTION = 1e-4  # of a step: two roundings of one orientation and spacing


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane of pixels. origin_mm: centre of pixel [0, 0], LPS; step_i_mm, step_j_mm: from pixel to pixel along a row
    and down a column. bits: np.packbits of the pixels [i, j], 1 = inside."""

    origin_mm: Array
    step_i_mm: Array
    step_j_mm: Array
    shape_ij: tuple[int, int]
    bits: NDArray[np.uint8]

    @property
    def mask_ij(self) -> Mask:
        columns, rows = self.shape_ij
        return np.unpackbits(self.bits, count=columns * rows).reshape(columns, rows)

    @property
    def normal(self) -> Array:
        """Unit vector."""
        normal = np.cross(self.step_i_mm, self.step_j_mm)
        return normal / np.linalg.norm(normal)

    @property
    def pixel_mm2(self) -> float:
        return float(np.linalg.norm(np.cross(self.step_i_mm, self.step_j_mm)))

    def points_mm(self, index_ij: ArrayLike) -> Array:
        """(n, 2) index -> (n, 3) mm in LPS."""
        return self.origin_mm + np.asarray(index_ij, float) @ np.stack([self.step_i_mm, self.step_j_mm])

    @property
    def corners_mm(self) -> Array:
        """(4, 3) centres of the pixels at the corners: first, end of the row, end of the column, last."""
        i, j = self.shape_ij[0] - 1, self.shape_ij[1] - 1
        return self.points_mm(np.array([[0, 0], [i, 0], [0, j], [i, j]]))


def pack_plane(mask_ij: NDArray, origin_mm: Array, step_i_mm: Array, step_j_mm: Array) -> Plane | None:
    """The smallest plane that holds all nonzero pixels of `mask_ij`; None where there are none."""
    i, j = np.flatnonzero(mask_ij.any(axis=1)), np.flatnonzero(mask_ij.any(axis=0))
    if not len(i):
        return None
    crop = mask_ij[i[0] : i[-1] + 1, j[0] : j[-1] + 1] != 0
    origin = origin_mm + i[0] * step_i_mm + j[0] * step_j_mm
    return Plane(origin, step_i_mm, step_j_mm, (crop.shape[0], crop.shape[1]), np.packbits(crop))


def put_planes(
    planes: Sequence[Plane], step_mm: float | None, grid: Grid, declared: bool = False
) -> tuple[Mask, MaskReport]:
    """Put planes, at least one, onto `grid`: uint8 0/1 with axes i, j, k of `grid`, and the ledger.

    step_mm: distance of neighbouring planes, or None where there is none to tell; declared: the file states it. Planes
    that lie on the image's voxels, in whatever order and direction of the axes, keep each voxel in its place, unless
    the file states another distance than the image's slices have. Else planes that lie evenly are resampled
    as one volume (nearest voxel); planes that lie unevenly go each to the nearest slice within half a gap.
    """
    targets = [_target(plane, grid) for plane in planes]
    exact = [target for target in targets if target is not None]
    coarser = declared and exact and type(grid) is Grid and not _same_step(step_mm, grid.spacing_mm[exact[0].axis])
    if len(exact) == len(planes) and not coarser and not _collide(exact):
        return _put_exactly(planes, exact, step_mm, grid)
    volume = _volume(planes, step_mm)
    if volume is not None:
        return put_onto(*volume, grid)
    return _put_nearest(planes, step_mm, grid)


def _same_step(step_mm: float | None, spacing_mm: float) -> bool:
    return step_mm is None or abs(step_mm - spacing_mm) <= position_tolerance_mm(spacing_mm)


@dataclass(frozen=True, eq=False)
class _Target:
    """Where a plane lies: pixel [0, 0] at `begin`; `along`, (3, 2), whole voxels for a step along its i and j."""

    begin: NDArray[np.intp]
    along: NDArray[np.intp]
    axis: int
    place: float
    deviation: float


def _target(plane: Plane, grid: Grid) -> _Target | None:
    points = np.stack([plane.origin_mm, plane.origin_mm + plane.step_i_mm, plane.origin_mm + plane.step_j_mm])
    index = grid.index_ijk(points)
    along = np.rint((index[1:] - index[0]).T).astype(np.intp)
    if (np.abs(along).sum(axis=0) != 1).any() or (np.abs(along).sum(axis=1) > 1).any():
        return None
    axis = int(np.flatnonzero(np.abs(along).sum(axis=1) == 0)[0])
    begin = np.rint(index[0]).astype(np.intp)
    i, j = plane.shape_ij[0] - 1, plane.shape_ij[1] - 1
    steps = np.array([[0, 0], [i, 0], [0, j], [i, j]])
    found = grid.index_ijk(plane.corners_mm)
    deviation = float(np.abs(found - (steps @ along.T + begin)).max())
    return _Target(begin, along, axis, float(found[:, axis].mean()), deviation) if deviation <= ALIGNED else None


def _collide(targets: Sequence[_Target]) -> bool:
    """Whether planes of different places would meet on one slice, or planes lie across each other."""
    if len({one.axis for one in targets}) > 1:
        return True
    places: dict[int, float] = {}
    return any(abs(places.setdefault(int(one.begin[one.axis]), one.place) - one.place) > ALIGNED for one in targets)


def _put_exactly(
    planes: Sequence[Plane], targets: Sequence[_Target], step_mm: float | None, grid: Grid
) -> tuple[Mask, MaskReport]:
    report, out, cut = MaskReport(), blank_mask(grid), 0
    seen: set[int] = set()
    for plane, target in zip(planes, targets, strict=True):
        report.planes_in += 1
        mask = plane.mask_ij
        count, inside, k = int(np.count_nonzero(mask)), 0, int(target.begin[target.axis])
        if 0 <= k < out.shape[target.axis]:
            inside = _move_plane(mask, target, out)
        report.polygon_mm3 += count * plane.pixel_mm2 * _thickness_mm(target, step_mm, grid)
        _ledger(report, count, inside)
        cut += count - inside
        seen.add(k)
    if len(seen) < len(planes):
        report.notes.append(f"{len(planes) - len(seen)} frame(s) lie where another one of the segment does: united")
    worst = max((one.deviation for one in targets), default=0.0)
    if worst > EXACT:
        report.notes.append(f"its frames lie up to {worst:.3f} voxels off the image's: each voxel went to the nearest")
    note_cut(cut, report)
    measure(out, grid, report)
    return out, report


def _move_plane(mask_ij: Mask, target: _Target, out: Mask) -> int:
    """Unite one plane with its slice of `out`; return how many of its pixels lie in the image."""
    first, second = (n for n in range(3) if n != target.axis)
    slice_ = np.moveaxis(out, target.axis, 0)[target.begin[target.axis]]
    turned = target.along[first, 0] == 0  # the plane's i runs along the second of the image's two axes
    block = mask_ij.T if turned else mask_ij
    signs = target.along[[first, second]].sum(axis=1)
    block = block[:: signs[0], :: signs[1]]
    begin = target.begin[[first, second]] - (np.array(block.shape) - 1) * (signs < 0)
    low, high = np.maximum(begin, 0), np.minimum(begin + block.shape, slice_.shape)
    if (low >= high).any():
        return 0
    kept = block[tuple(slice(a, b) for a, b in zip(low - begin, high - begin, strict=True))]
    slice_[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] |= kept
    return int(np.count_nonzero(kept))


def _thickness_mm(target: _Target, step_mm: float | None, grid: Grid) -> float:
    k = int(target.begin[2])
    if target.axis == 2 and 0 <= k < grid.shape_ijk[2]:
        return float(grid.thickness_mm[k])
    return step_mm or grid.spacing_mm[target.axis]


def _volume(planes: Sequence[Plane], step_mm: float | None) -> tuple[Mask, Grid] | None:
    """The planes as one volume with empty ones between them, or None where they don't lie evenly."""
    first = planes[0]
    for one in planes[1:]:
        turned = max(np.abs(one.step_i_mm - first.step_i_mm).max(), np.abs(one.step_j_mm - first.step_j_mm).max())
        if turned > SAME_DIRECTION * min(np.linalg.norm(first.step_i_mm), np.linalg.norm(first.step_j_mm)):
            return None
    if not step_mm:
        return None
    steps = np.stack([first.step_i_mm, first.step_j_mm, first.normal * step_mm], axis=1)
    offsets = np.stack([np.linalg.solve(steps, one.origin_mm - first.origin_mm) for one in planes])
    whole = np.rint(offsets).astype(np.intp)
    away = np.abs(offsets - whole)
    if (away[:, :2] > ALIGNED).any() or (away[:, 2] * step_mm > position_tolerance_mm(step_mm)).any():
        return None
    low = whole.min(axis=0)
    high = (whole + [(*one.shape_ij, 1) for one in planes]).max(axis=0)
    shape = tuple((high - low).tolist())
    if np.prod(shape, dtype=float) > MOST_VOXELS:
        return None
    mask = np.zeros(shape[::-1], np.uint8).transpose(2, 1, 0)
    for one, (i, j, k) in zip(planes, whole - low, strict=True):
        mask[i : i + one.shape_ij[0], j : j + one.shape_ij[1], k] |= one.mask_ij
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = steps, first.origin_mm + steps @ low
    return mask, Grid(shape, affine)


def _put_nearest(planes: Sequence[Plane], step_mm: float | None, grid: Grid) -> tuple[Mask, MaskReport]:
    """Each plane on the nearest slice; where planes of several places meet there, they are united."""
    report, out, cut = MaskReport(), blank_mask(grid), 0
    index_i, index_j = np.meshgrid(np.arange(out.shape[0]), np.arange(out.shape[1]), indexing="ij")
    for plane in planes:
        report.planes_in += 1
        mask = plane.mask_ij
        report.polygon_mm3 += int(np.count_nonzero(mask)) * plane.pixel_mm2 * (step_mm or grid.spacing_mm[2])
        place = grid.index_ijk(plane.corners_mm)[:, 2]
        k = int(np.floor(place.mean() + 0.5))
        if np.ptp(place) > PARALLEL:
            report.skip("not parallel to the slices")
            continue
        if not 0 <= k < out.shape[2]:
            report.skip("beyond the first or last slice")
            continue
        points = grid.points_mm(np.stack([index_i, index_j, np.full_like(index_i, k)], axis=-1)) - plane.origin_mm
        steps = np.stack([plane.step_i_mm, plane.step_j_mm, plane.normal], axis=1)
        nearest = np.floor((points @ np.linalg.inv(steps).T)[..., :2] + 0.5).astype(np.intp)
        held = ((nearest >= 0) & (nearest < plane.shape_ij)).all(axis=-1)
        out[:, :, k][held] |= mask[tuple(nearest[held].T)]
        voxels = plane.points_mm(np.argwhere(mask))
        index = grid.index_ijk(voxels)[:, :2]
        inside = int(((index >= -0.5) & (index < np.array(out.shape[:2]) - 0.5)).all(axis=1).sum())
        _ledger(report, len(voxels), inside)
        cut += len(voxels) - inside
        gap_mm = abs(float(place.mean()) - k) * grid.spacing_mm[2]
        report.moved += gap_mm > position_tolerance_mm(grid.spacing_mm[2])
    report.notes.append("its frames lie unevenly or beside the image's: each went to the nearest slice and voxels")
    note_cut(cut, report)
    measure(out, grid, report)
    return out, report


def _ledger(report: MaskReport, count: int, inside: int) -> None:
    if not inside:
        report.skip(OUTSIDE)
        return
    report.rasterised += 1
    report.clipped += inside < count
