"""One axis resampled, as a small sparse matrix: rows are new places, columns old samples.

Products of sparse matrices run on the core they are called from. Dense ones would start a thread on each core for every
slice, which is no faster here, and slower by far on a machine that has other work.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FARTHEST_SIGMA = 4.0


def down(size: int, spacing_mm: float, wanted_mm: float, blur_mm: float) -> tuple[Any, float, float]:
    """From `size` samples every `spacing_mm` to samples every `wanted_mm` over the same length, ends included.

    A Gaussian first where `blur_mm` is coarser than the samples (sigma: half of what it is coarser by, as
    skimage.transform.resize has it), then linear between samples; the outermost sample goes on outside.
    Returns the matrix (new, size), the step between new samples in old ones, and the place of the first new one.
    """
    count = max(1, int(np.ceil(size * spacing_mm / wanted_mm - 1e-6)))
    ratio = wanted_mm / spacing_mm
    first = (size - 1) / 2 - (count - 1) / 2 * ratio
    at = np.clip(first + ratio * np.arange(count), 0, size - 1)
    below = np.minimum(at.astype(int), max(size - 2, 0))
    share = at - below
    sigma = max(0.0, (blur_mm / spacing_mm - 1) / 2)
    reach = int(np.ceil(FARTHEST_SIGMA * sigma))
    offsets = np.arange(-reach, reach + 1)
    bell = np.exp(-0.5 * (offsets / sigma) ** 2) if sigma else np.ones(1)
    bell /= bell.sum()
    places, weights = [], []
    for offset, weight in zip(offsets, bell, strict=True):
        places += [np.clip(below + offset, 0, size - 1), np.clip(below + 1 + offset, 0, size - 1)]
        weights += [weight * (1 - share), weight * share]
    return _sparse(places, weights, size), ratio, first


def up(at: NDArray[np.float64], size: int) -> Any:
    """Linear interpolation at the places `at` between `size` samples at 0, 1, 2 ...: a matrix (len(at), size).

    The outermost sample goes on for one step; farther out everything is 0.
    """
    held = np.clip(at, 0, size - 1)
    below = np.minimum(held.astype(int), max(size - 2, 0))
    share = held - below
    near = (at >= -1) & (at <= size)
    return _sparse([below, np.minimum(below + 1, size - 1)], [near * (1 - share), near * share], size)


def _sparse(places: list[NDArray[np.intp]], weights: list[NDArray[np.float64]], size: int) -> Any:
    """Rows whose entry at places[n] is weights[n]; what falls on one place is added."""
    from scipy.sparse import csr_array

    rows = np.tile(np.arange(len(places[0])), len(places))
    held = (np.concatenate(weights).astype(np.float32), (rows, np.concatenate(places)))
    matrix = csr_array(held, shape=(len(places[0]), size))
    matrix.eliminate_zeros()
    return matrix
