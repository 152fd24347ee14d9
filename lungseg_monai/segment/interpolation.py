"""One axis resampled, as a small banded matrix: rows are new places, columns old samples.

It multiplies in blocks of a few rows with the few columns that these see. A product of such a block runs on the core it
is called from: larger ones would start a thread on each core, which is no faster here, and slower by far on a machine
that has other work.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Block = tuple[slice, slice, Floats]
FARTHEST_SIGMA = 4.0
BLOCK_ROWS = 16


@dataclass(frozen=True, eq=False)
class Banded:
    """A matrix of `shape` (rows, columns). blocks: rows, columns, and (rows, columns) float32 of what is not 0."""

    shape: tuple[int, int]
    blocks: tuple[Block, ...]

    def along(self, array: Floats, axis: int) -> Floats:
        """array (..., columns at `axis`, ...) -> (..., rows at `axis`, ...); axis: -1, or -2 of a stack of planes."""
        size = list(array.shape)
        size[axis] = self.shape[0]
        out = np.empty(size, np.float32)
        for rows, columns, block in self.blocks:
            if axis == -1:
                np.matmul(array[..., columns], block.T, out=out[..., rows])
            else:
                np.matmul(block, array[..., columns, :], out=out[..., rows, :])
        return out

    def add(self, array: Floats, first: int, out: Floats) -> None:
        """Add to out (n, rows, m) what array (n, columns, m) gives, which holds only the columns from `first` on."""
        last = first + array.shape[1]
        for rows, columns, block in self.blocks:
            start, stop = max(columns.start, first), min(columns.stop, last)
            if start < stop:
                part = block[:, start - columns.start : stop - columns.start]
                out[:, rows] += part @ array[:, start - first : stop - first]

    def dense(self) -> Floats:
        """All of it, (rows, columns)."""
        out = np.zeros(self.shape, np.float32)
        for rows, columns, block in self.blocks:
            out[rows, columns] = block
        return out


def down(size: int, spacing_mm: float, wanted_mm: float, blur_mm: float) -> tuple[Banded, float, float]:
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
    return _banded(np.array(places), np.array(weights), size), ratio, first


def up(at: NDArray[np.float64], size: int) -> Banded:
    """Linear interpolation at the places `at` between `size` samples at 0, 1, 2 ...: a matrix (len(at), size).

    The outermost sample goes on for one step; farther out everything is 0.
    """
    held = np.clip(at, 0, size - 1)
    below = np.minimum(held.astype(int), max(size - 2, 0))
    share = held - below
    near = (at >= -1) & (at <= size)
    places = np.array([below, np.minimum(below + 1, size - 1)])
    return _banded(places, np.array([near * (1 - share), near * share]), size)


def _banded(places: NDArray[np.intp], weights: NDArray[np.float64], size: int) -> Banded:
    """Each row (of the last axis) has weights[:, row] at places[:, row]; what falls on one place is added."""
    count = places.shape[1]
    blocks = []
    for start in range(0, count, BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, count))
        seen = places[:, rows]
        columns = slice(int(seen.min()), int(seen.max()) + 1)
        block = np.zeros((rows.stop - rows.start, columns.stop - columns.start))
        np.add.at(block, (np.arange(len(block))[None], seen - columns.start), weights[:, rows])
        blocks.append((rows, columns, block.astype(np.float32)))
    return Banded((count, size), tuple(blocks))
