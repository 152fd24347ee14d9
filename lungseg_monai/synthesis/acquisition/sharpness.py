"""Sharpness of a scan: blur, sharp kernels, thick slices, motion, steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Volume = NDArray[np.float32]
Matrix = NDArray[np.float32]


def blur(hu: Volume, sigma: tuple[float, float, float]) -> Volume:
    """Gaussian blur with sigma in voxels an axis."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(hu, sigma, mode="nearest", truncate=2.5)


def sharpen(hu: Volume, amount: float, sigma: float) -> Volume:
    """What a sharp lung kernel does in the plane: edges overshoot and undershoot by about `amount` of their step."""
    return hu + np.float32(amount) * (hu - blur(hu, (sigma, sigma, 0.0)))


def thick_slices(count: int, thickness: float, step: float, nearest: bool, start: float) -> tuple[Matrix, Matrix]:
    """Matrices of a scan in thick slices along an axis of `count` voxels: gather (S, count) and spread (count, S).

    `thickness` and `step` (voxels) may differ, as slices may overlap or leave gaps; `start` is the first centre.
    gather averages each slice's box, spread brings the slices back on the grid (nearest or linear).
    """
    centres = np.arange(start, max(count - 1.0, start) + 0.51 * step, step)
    edges = np.arange(count + 1) - 0.5
    low, high = centres[:, None] - thickness / 2, centres[:, None] + thickness / 2
    share = np.clip(np.minimum(high, edges[None, 1:]) - np.maximum(low, edges[None, :-1]), 0, None)
    empty = share.sum(1) < 1e-6  # a centre just outside the grid: the border voxel stands for it
    share[empty, np.clip(np.rint(centres[empty]), 0, count - 1).astype(int)] = 1
    gather = share / share.sum(1, keepdims=True)
    place = np.clip((np.arange(count) - start) / step, 0, centres.size - 1)
    if nearest:
        place = np.rint(place)
    spread = np.clip(1 - np.abs(place[:, None] - np.arange(centres.size)[None, :]), 0, 1)
    return gather.astype(np.float32), spread.astype(np.float32)


def apply_along(volume: Volume, matrix: Matrix, axis: int) -> Volume:
    """matrix (n, m) times the volume's axis of length m; the axis then has length n."""
    return np.ascontiguousarray(np.moveaxis(np.tensordot(volume, matrix, axes=(axis, 1)), -1, axis))


def shifted(hu: Volume, offset: tuple[int, int, int]) -> Volume:
    """The volume moved by whole voxels; the border is repeated."""
    index = [np.clip(np.arange(n) - o, 0, n - 1) for n, o in zip(hu.shape, offset, strict=True)]
    return hu[np.ix_(*index)]


def breathing(hu: Volume, base: float, width: float, offset: int, share: float) -> Volume:
    """A double diaphragm: `share` of the volume moved by `offset` voxels along z, near the level `base`."""
    weight = share * np.exp(-0.5 * ((np.arange(hu.shape[2]) - base) / width) ** 2).astype(np.float32)
    return hu + weight * (shifted(hu, (0, 0, offset)) - hu)


def heartbeat(
    hu: Volume, centre: tuple[float, float, float], width: float, offset: tuple[int, int], share: float
) -> Volume:
    """A double heart contour: the part near `centre` (voxels, sd `width`) blended with itself moved in the plane."""
    weight = np.full((1, 1, 1), share, np.float32)
    for axis, (n, c) in enumerate(zip(hu.shape, centre, strict=True)):
        bell = np.exp(-0.5 * ((np.arange(n) - c) / width) ** 2).astype(np.float32)
        weight = weight * bell.reshape([-1 if a == axis else 1 for a in range(3)])
    return hu + weight * (shifted(hu, (*offset, 0)) - hu)


def stair_steps(hu: Volume, height: int, share: float, random: np.random.Generator) -> Volume:
    """Slabs of `height` slices, each moved in the plane by up to one voxel (`share` of it), as between heart beats."""
    hu = hu.copy()
    for first in range(0, hu.shape[2], height):
        slab = hu[:, :, first : first + height]
        across, down = (int(o) for o in random.integers(-1, 2, 2))
        hu[:, :, first : first + height] = slab + np.float32(share) * (shifted(slab, (across, down, 0)) - slab)
    return hu
