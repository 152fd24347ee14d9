"""The lungs' border by HU at the image's own resolution, where there is an edge between air and tissue.

The network's border is good to a few millimetres. Within border_mm of it a voxel is lung where it is darker than
half-way between this lung and its wall. Borders of dense lung stay as they were drawn: there HU tells nothing.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.options import DEFAULTS, LungOptions
from lungseg_monai.segment.spread import Labels, grow, shrink, spread, steps

THRESHOLDS_HU = (-500.0, -400.0)  # whatever the case, half-way lies here
WALL_HU = -300.0
NOISY_HU = 35.0  # smoothed in plane above this
AERATED = 0.6  # of the lung just inside: less, and the border is not an edge of air
NEAR_MM = 7.5
SAMPLE_MM = 2.0
BAND_WEIGHT = 0.2  # of voxels near the border against deeper ones: some of them are wall
DARKER_HU = 70.0  # a voxel this much darker than the lung is the air of an airway, a bowel or a room


def refine(
    labels: Labels,
    hu: NDArray[Any],
    spacing_mm: tuple[float, float, float],
    options: LungOptions = DEFAULTS,
) -> Labels:
    """labels with their border drawn by HU. (I, J, K) uint8, on the image's own grid or a crop of it, any orientation.

    hu: alike, int16 or float32. The crop should leave border_mm around the labels. Nothing further than
    options.border_mm from the border of `labels` changes, but for holes of vessels (options.vessels) that are closed
    or cut. The edge of the image is no border.
    """
    if not labels.any():
        return labels.copy()
    if abs(hu.strides[0]) < abs(hu.strides[2]):  # along the memory: images are read with i running fastest
        i_mm, j_mm, k_mm = spacing_mm
        return refine(labels.T, hu.T, (k_mm, j_mm, i_mm), options).T
    labels = np.ascontiguousarray(labels)
    mask = (labels > 0).astype(np.uint8)
    smooth = _smoothed(hu, mask, spacing_mm)
    deep = shrink(mask, options.border_mm, spacing_mm)
    threshold_hu = options.threshold_hu or border_threshold(smooth, mask, deep)
    if options.refine:
        refined = _cut(labels, mask, deep, smooth < threshold_hu, spacing_mm, options.border_mm)
        refined = _join(refined, labels, smooth, threshold_hu, spacing_mm, options.border_mm)
        refined = _closed(refined, labels, options, spacing_mm)
    else:
        refined = labels.copy()
    if options.vessels == "out":
        refined[smooth >= threshold_hu] = 0
    return refined


def border_threshold(hu: NDArray[Any], mask: Labels, deep: Labels) -> float:
    """HU half-way between the lung and what surrounds it, between THRESHOLDS_HU. mask: lung; deep: well inside."""
    inside = hu[(deep if deep.any() else mask) > 0][::7]
    around = hu[(spread(mask, [0, 1, 2]) - mask) > 0]
    wall = around[around > WALL_HU]
    lung = inside[inside < WALL_HU - 200]
    if not wall.size or not lung.size:
        return sum(THRESHOLDS_HU) / 2
    return float(np.clip((np.median(lung) + np.median(wall)) / 2, *THRESHOLDS_HU))


def _cut(
    labels: Labels,
    mask: Labels,
    deep: Labels,
    dark: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    border_mm: float,
) -> Labels:
    """labels without the wall: dense voxels of the border's band that are reached from outside through dense ones."""
    wall: Labels = mask & ~deep & ~dark.view(np.uint8) & _aerated(mask, deep, dark, spacing_mm)
    outside: Labels = 1 - mask
    for axes, diagonal in steps(border_mm, spacing_mm):
        outside = spread(outside, axes, diagonal, wall)
    return labels * (1 - outside)


def _aerated(mask: Labels, deep: Labels, dark: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> Labels:
    """1 where the lung just inside holds air: judged by samples within NEAR_MM, the deeper ones counting most."""
    from scipy import ndimage

    size = [max(1, round(SAMPLE_MM / step)) for step in spacing_mm]
    every = tuple(slice(n // 2 if n // 2 < length else 0, None, n) for n, length in zip(size, mask.shape, strict=True))
    lung = mask[every] * np.float32(BAND_WEIGHT) + deep[every] * np.float32(1 - BAND_WEIGHT)
    reach = [2 * round(NEAR_MM / (n * step)) + 1 for n, step in zip(size, spacing_mm, strict=True)]
    near, all_near = (ndimage.uniform_filter(part, reach, mode="constant") for part in (lung * dark[every], lung))
    coarse = (near > AERATED * all_near + 1e-6).astype(np.uint8)
    return _unblocked(coarse, size, mask.shape)


def _unblocked(coarse: Labels, size: list[int], shape: tuple[int, ...]) -> Labels:
    """coarse on the grid it was sampled from: each sample stands for its block, the last one for what is left."""
    for axis in range(3):
        index = np.minimum(np.arange(shape[axis]) // size[axis], coarse.shape[axis] - 1)
        coarse = np.take(coarse, index, axis=axis)
    return coarse


def _join(
    refined: Labels,
    labels: Labels,
    hu: NDArray[Any],
    threshold_hu: float,
    spacing_mm: tuple[float, float, float],
    border_mm: float,
) -> Labels:
    """refined and the dark voxels outside that are reached from lung through dark ones; the air of airways is not."""
    sampled = hu[refined > 0][::7]
    darkest = float(np.median(sampled)) - DARKER_HU if sampled.size else threshold_hu
    free = ((hu < threshold_hu) & (hu > darkest) & (labels == 0)).view(np.uint8)
    for axes, diagonal in steps(border_mm, spacing_mm):
        refined = spread(refined, axes, diagonal, free)
    return refined


def _closed(refined: Labels, labels: Labels, options: LungOptions, spacing_mm: tuple[float, float, float]) -> Labels:
    """refined with the pits closed that vessels left in its border, and holes up to options.max_hole_ml."""
    import cc3d
    import fill_voids

    mask = (refined > 0).astype(np.uint8)
    width_mm = 1.01 * min(spacing_mm)
    closed = shrink(grow(mask, width_mm, spacing_mm), width_mm, spacing_mm)
    np.copyto(refined, labels, where=(closed > mask))
    if options.vessels == "in":
        mask = (refined > 0).astype(np.uint8)
        holes = fill_voids.fill(mask) - mask
        if holes.any():
            voxel_ml = float(np.prod(spacing_mm)) / 1000
            small = holes - cc3d.dust(holes, threshold=int(options.max_hole_ml / voxel_ml) + 1, connectivity=6)
            side = refined
            while small.any():
                before = np.count_nonzero(small)
                side = spread(side, [0, 1, 2], within=small)
                small = small & (side == 0)
                if np.count_nonzero(small) == before:
                    break
            refined = side
    return refined


def _smoothed(hu: NDArray[Any], mask: Labels, spacing_mm: tuple[float, float, float]) -> NDArray[Any]:
    """hu, lightly smoothed in plane where it is noisy and its pixels are fine."""
    finest = int(np.argmin(spacing_mm))
    if noise_hu(np.moveaxis(hu, finest, 0), np.moveaxis(mask, finest, 0)) < NOISY_HU:
        return hu
    for axis in range(3):
        if spacing_mm[axis] > 1.5 or hu.shape[axis] < 3:
            continue
        before = np.moveaxis(hu, axis, 0)
        after = before.copy()
        after[1:-1] = before[:-2] // 4 + before[1:-1] // 2 + before[2:] // 4
        hu = np.moveaxis(after, 0, axis)
    return hu


def noise_hu(hu: NDArray[Any], mask: Labels) -> float:
    """Standard deviation of the noise, from neighbours along the first axis in the lungs; vessels are outliers."""
    inside = (mask[1:] & mask[:-1])[::2, ::3, ::3] > 0
    if not inside.any():
        return 0.0
    first, second = hu[:-1][::2, ::3, ::3][inside], hu[1:][::2, ::3, ::3][inside]
    return float(np.median(np.abs(second.astype(np.float32) - first))) / 0.6745 / 2**0.5
