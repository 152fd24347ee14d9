"""Smooth random fields and soft shapes: what every finding is cut from."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

_SHEET_MM_PER_UNIT = 0.6
"""How many mm of distance one unit of a smooth field is worth, per mm of its scale, near its zero level."""


def smooth_noise(shape: tuple[int, ...], spacing_mm: float, scale_mm: float, random: np.random.Generator) -> Field:
    """Noise of mean 0 and deviation about 1 whose blobs are about `scale_mm` wide: cubic B-splines on a coarse grid."""
    if scale_mm < 1.2 * spacing_mm:
        return random.standard_normal(shape, dtype=np.float32)
    weights = [_spline_weights(size, round(spacing_mm / scale_mm, 4)) for size in shape]
    field = random.standard_normal(tuple(matrix.shape[1] for matrix in weights), dtype=np.float32)
    for axis, matrix in enumerate(weights):
        field = np.moveaxis(np.tensordot(matrix, field, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(field) * np.float32(3.0)


@lru_cache(maxsize=256)
def _spline_weights(size: int, step: float) -> Field:
    """(size, controls) cubic B-spline weights at positions 0, step, 2 step ... of controls at -1, 0, 1 ..."""
    positions = np.arange(size) * step
    controls = np.arange(-1, int(positions[-1]) + 3)
    gap = np.abs(positions[:, None] - controls[None, :])
    near = 2 / 3 - gap**2 + gap**3 / 2
    far = np.clip(2 - gap, 0, None) ** 3 / 6
    return np.where(gap < 1, near, far).astype(np.float32)


def soft(level_mm: NDArray[np.floating[Any]], edge_mm: float) -> Field:
    """A level field (positive inside, mm) as a weight of 0 to 1 whose edge is `edge_mm` wide."""
    return np.clip(np.asarray(level_mm, np.float32) * np.float32(1 / edge_mm) + np.float32(0.5), 0, 1)


def sheets_mm(shape: tuple[int, ...], spacing_mm: float, scale_mm: float, random: np.random.Generator) -> Field:
    """Roughly the distance in mm to the nearest of many wavy sheets about `scale_mm` apart: septa, streaks."""
    first = np.abs(smooth_noise(shape, spacing_mm, scale_mm, random))
    second = np.abs(smooth_noise(shape, spacing_mm, scale_mm, random))
    return np.minimum(first, second) * np.float32(_SHEET_MM_PER_UNIT * scale_mm)


def tubes_mm(shape: tuple[int, ...], spacing_mm: float, scale_mm: float, random: np.random.Generator) -> Field:
    """Roughly the distance in mm to the nearest of many bent tubes' axes about `scale_mm` apart: bronchi, vessels."""
    first = smooth_noise(shape, spacing_mm, scale_mm, random)
    second = smooth_noise(shape, spacing_mm, scale_mm, random)
    return np.sqrt(first * first + second * second) * np.float32(_SHEET_MM_PER_UNIT * scale_mm)


def level_of_share(score: Field, where: Mask, share: float) -> float:
    """The value that a share (0 to 1) of the voxels in `where` exceed."""
    values = score[where]
    if values.size == 0:
        return float(np.inf)
    place = int(np.clip((1 - share) * (values.size - 1), 0, values.size - 1))
    return float(np.partition(values, place)[place])


def uniform(random: np.random.Generator, low: float, high: float) -> float:
    """One draw between two bounds."""
    return float(random.uniform(low, high))
