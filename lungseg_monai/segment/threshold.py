"""The classical way to lungs: dark, inside the body, not the windpipe, parted in two. A second opinion and a rival.

It follows Hu, Hoffman and Reinhardt (IEEE Trans. Med. Imaging 20, 2001): threshold, components, airways, separation,
closing. It works on healthy chests and fails where lungs are dense, cut by the image's edge, or open to other air.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.airways import windpipe_by_hu
from lungseg_monai.segment.body import body_of
from lungseg_monai.segment.spread import Labels, box_around, flood, grow, shrink, spread

AIR_HU = -400.0
WORKING_MM = 2.5
SMALLEST_ML = 100.0  # of a lung
ALONE = 0.25  # a second piece of less than this share of the first is not the other lung
CLOSING_MM = 7.0
SIDE_MM = 60.0


def threshold_lungs(hu: NDArray[Any], affine_ras: NDArray[np.float64]) -> Labels:
    """uint8 labels (I, J, K), 1 right and 2 left lung, on the image's own grid. hu: any real dtype."""
    turn = _to_lps(affine_ras)
    turned = np.ascontiguousarray(_turned(hu, turn))
    spacing_mm = np.linalg.norm(affine_ras[:3, :3], axis=0)[[axis for axis, _ in turn]]
    size = [max(1, round(WORKING_MM / step)) for step in spacing_mm]
    coarse = _averaged(turned, size)
    i, j, k = (spacing_mm * size).tolist()
    labels = threshold_lungs_lps(coarse, (i, j, k))
    fine = labels
    for axis in range(3):
        fine = np.repeat(fine, size[axis], axis=axis)
    fine = fine[tuple(slice(length) for length in turned.shape)]
    if fine.any():
        i, j, k = spacing_mm.tolist()
        box = box_around(fine, 8)
        fine[box] = _sharpened(fine[box], turned[box], (i, j, k))
    return np.ascontiguousarray(_turned_back(fine, turn))


def threshold_lungs_lps(
    hu: NDArray[np.float32], spacing_mm: tuple[float, float, float], body: Labels | None = None
) -> Labels:
    """As threshold_lungs for a coarse grid (2 to 4 mm) whose axes run to left, back and up. body: of body_of."""
    body = body_of(hu, spacing_mm) if body is None else body
    air = _within_body(_air_of_body(hu, spacing_mm), body)
    air &= 1 - spread(windpipe_by_hu(hu, spacing_mm), [0, 1, 2])
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    lungs = _two(air, spacing_mm, voxel_ml)
    return _closed(lungs, spacing_mm)


def _air_of_body(hu: NDArray[np.float32], spacing_mm: tuple[float, float, float]) -> Labels:
    """Dark voxels that are not joined, slice by slice, with the room around the body."""
    import cc3d

    i, j, k = hu.shape
    # all slices in one picture, with a rim of no air round each: one search for pieces, which never meet
    padded = np.zeros((k, i + 2, j + 2), np.float32)
    padded[:, 1:-1, 1:-1] = hu.transpose(2, 0, 1)
    dark = padded < AIR_HU
    pieces = cc3d.connected_components(dark.reshape(k * (i + 2), j + 2), connectivity=4).reshape(dark.shape)
    of_dark = pieces[dark]
    voxels = np.bincount(of_dark, minlength=1)
    total = np.bincount(of_dark, padded[dark], minlength=1)
    outside = np.zeros(len(voxels), bool)
    for at_edge in (pieces[:, 1], pieces[:, -2], pieces[:, :, 1], pieces[:, :, -2]):
        outside[at_edge] = True
    outside &= total / np.maximum(voxels, 1) < -920  # the room; a lung cut by the edge is denser
    outside[0] = True  # what is not dark
    return np.ascontiguousarray(~outside[pieces[:, 1:-1, 1:-1].transpose(1, 2, 0)]).view(np.uint8)


def _within_body(air: Labels, body: Labels) -> Labels:
    """air without the pieces that lie mostly outside the largest piece of tissue: a table's foam, the room."""
    import cc3d
    import fill_voids

    planes = np.ascontiguousarray(body.transpose(2, 0, 1))
    for k, plane in enumerate(planes):
        planes[k] = fill_voids.fill(plane, in_place=False)
    pieces = cc3d.connected_components(air, connectivity=6)
    of_air = pieces[air > 0]
    within = np.bincount(of_air[planes.transpose(1, 2, 0)[air > 0] > 0], minlength=int(pieces.max()) + 1)
    stays = within >= 0.5 * np.bincount(of_air, minlength=len(within))
    stays[0] = False
    return stays[pieces].view(np.uint8)


def _two(air: Labels, spacing_mm: tuple[float, float, float], voxel_ml: float) -> Labels:
    """The two lungs out of air: its two largest pieces, or its largest one cut where it is thinnest."""
    import cc3d

    labels, alone = np.zeros_like(air), None
    for cut_mm in (0.0, 3.0, 6.0, 9.0, 12.0):
        core = shrink(air, cut_mm, spacing_mm) if cut_mm else air
        pieces = cc3d.connected_components(core, connectivity=6)
        voxels = np.bincount(pieces.ravel(), minlength=2)
        voxels[0] = 0
        first, second = (int(n) for n in (np.argsort(-voxels)[:2] if len(voxels) > 2 else (1, 0)))
        if voxels[first] * voxel_ml < SMALLEST_ML:
            break
        xs = [_middle_i(pieces == n) * spacing_mm[0] if n else 0.0 for n in (first, second)]
        parted = second > 0 and voxels[second] >= ALONE * voxels[first] and abs(xs[0] - xs[1]) > SIDE_MM
        if parted:
            right, left = (first, second) if xs[0] < xs[1] else (second, first)
            labels[pieces == right], labels[pieces == left] = 1, 2
            return flood(labels, air, 1 + round(2 * cut_mm / min(spacing_mm)))
        if not cut_mm:
            alone = (pieces == first).astype(np.uint8)
    return labels if alone is None else alone * _side_by_place(alone, spacing_mm)


def _middle_i(mask: NDArray[np.bool_]) -> float:
    counts = np.count_nonzero(mask, axis=(1, 2))
    return float(counts @ np.arange(len(counts)) / counts.sum())


def _side_by_place(alone: Labels, spacing_mm: tuple[float, float, float]) -> Labels:
    """1 or 2 for each sagittal plane: one lung by where its middle lies in the image, two in one cut in the middle."""
    planes = np.nonzero(alone.any(axis=(1, 2)))[0]
    middle = (alone.shape[0] - 1) / 2
    if (planes[-1] - planes[0]) * spacing_mm[0] < 190:  # no two lungs
        return np.full(alone.shape[0], 1 if planes.mean() < middle else 2, np.uint8)[:, None, None]
    side = np.where(np.arange(alone.shape[0]) < planes.mean(), 1, 2).astype(np.uint8)
    return side[:, None, None]


def _closed(labels: Labels, spacing_mm: tuple[float, float, float]) -> Labels:
    """labels with vessels and small nodules at the wall closed, and holes filled."""
    import fill_voids

    closed = np.zeros_like(labels)
    for side in (1, 2):
        lung = (labels == side).astype(np.uint8)
        if lung.any():
            box = box_around(lung, 2 + round(CLOSING_MM / min(spacing_mm)))
            lung = lung[box]
            lung = shrink(grow(lung, CLOSING_MM, spacing_mm), CLOSING_MM, spacing_mm) | lung
            lung = fill_voids.fill(lung, in_place=False).astype(np.uint8)
            free = (closed[box] == 0) & ((labels[box] == 0) | (labels[box] == side))
            closed[box][(lung > 0) & free] = side
    return closed


def _sharpened(labels: Labels, hu: NDArray[Any], spacing_mm: tuple[float, float, float]) -> Labels:
    """labels off the coarse grid with their border at AIR_HU."""
    from lungseg_monai.segment.borders import refine
    from lungseg_monai.segment.options import LungOptions

    return refine(labels, hu, spacing_mm, LungOptions(border_mm=WORKING_MM, threshold_hu=AIR_HU))


def _to_lps(affine_ras: NDArray[np.float64]) -> list[tuple[int, bool]]:
    """For each axis to left, back, up: the image's axis that runs along it, and whether it runs the other way."""
    from itertools import permutations

    edges = np.diag([-1.0, -1.0, 1.0]) @ affine_ras[:3, :3] / np.linalg.norm(affine_ras[:3, :3], axis=0)
    order = max(permutations(range(3)), key=lambda axes: sum(abs(edges[row, axis]) for row, axis in enumerate(axes)))
    return [(axis, bool(edges[row, axis] < 0)) for row, axis in enumerate(order)]


def _turned(array: NDArray[Any], turn: list[tuple[int, bool]]) -> NDArray[Any]:
    array = np.transpose(array, [axis for axis, _ in turn])
    return array[tuple(slice(None, None, -1 if back else 1) for _, back in turn)]


def _turned_back(array: NDArray[Any], turn: list[tuple[int, bool]]) -> NDArray[Any]:
    array = array[tuple(slice(None, None, -1 if back else 1) for _, back in turn)]
    return np.transpose(array, np.argsort([axis for axis, _ in turn]))


def _averaged(array: NDArray[Any], size: list[int]) -> NDArray[np.float32]:
    """The means of blocks; those at the end may be smaller."""
    if all(n == 1 for n in size):
        return array.astype(np.float32)
    sums, counts = (
        array,
        [np.add.reduceat(np.ones(n), np.arange(0, n, s)) for n, s in zip(array.shape, size, strict=True)],
    )
    for axis in range(3):
        starts = np.arange(0, array.shape[axis], size[axis])
        sums = np.add.reduceat(sums, starts, axis=axis, dtype=np.float32)
    i, j, k = counts
    return (sums / (i[:, None, None] * j[None, :, None] * k[None, None, :])).astype(np.float32)
