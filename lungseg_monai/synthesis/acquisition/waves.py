"""Smooth random fields and small draws that all the effects of a scan share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spread_matrix(length: int, cell: float, random: np.random.Generator) -> NDArray[np.float32]:
    """(length, controls) weights that spread independent control values, one every `cell` voxels, smoothly.

    The squares of a row sum to one, so that unit normal controls give a field of unit variance everywhere.
    """
    cell = max(cell, 1e-3)
    controls = np.arange(-1.0, length / cell + 2.0) + random.uniform(-0.5, 0.5)
    distance = np.arange(length)[:, None] / cell - controls[None, :]
    weights = np.exp(-0.5 * (distance / 0.55) ** 2)
    return (weights / np.sqrt((weights**2).sum(1, keepdims=True))).astype(np.float32)


def happens(random: np.random.Generator, probability: float) -> bool:
    """True with this probability."""
    return bool(random.random() < probability)


def log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    """A draw between low and high whose logarithm is uniform."""
    return float(np.exp(random.uniform(np.log(low), np.log(max(high, low)))))


def occupancy(distance: NDArray[np.floating]) -> NDArray[np.float32]:
    """How much of a voxel lies inside, 0 to 1, from the signed distance to the surface in voxels (negative inside)."""
    return np.clip(0.5 - distance, 0.0, 1.0).astype(np.float32)


def bounds(mask: NDArray[np.generic], axis: int) -> tuple[int, int] | None:
    """First and one past the last index along `axis` where the mask holds anything; None where it's empty."""
    others = tuple(a for a in range(mask.ndim) if a != axis)
    hit = np.flatnonzero(mask.any(axis=others))
    return (int(hit[0]), int(hit[-1]) + 1) if hit.size else None
