"""Pyramid of histograms of oriented gradients (PHOG) of a region: Bosch, Zisserman and Munoz, CIVR 2007."""

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.features.region import box, checked, whole

LEVELS = 3  # below the whole box: 1, 4, 16 and 64 cells, 85 in all


def phog(image: NDArray, region: NDArray, bins: int = 8, levels: int = LEVELS) -> NDArray[np.float32]:
    """Orientations of the gradient, weighted by its size, in ever smaller cells of the box around a region.

    image: (rows, columns), any real dtype; region: the same shape, bool or 0 and 1. At level l the box is cut into
    2^l x 2^l cells; returns bins (1 + 4 + ... + 4^levels) values that sum to 1, or only zeros for a flat region: first
    the box, then each level's cells row by row, each cell's `bins` orientations of 0 to 180 degrees together. Angles
    are those of the gradient, 0 along a row and 90 along a column; each pixel's goes to the two nearest bins.
    The same for image * a + b with a not 0. Raises ConfigError for settings and arrays that can't be.

    Differs from Bosch et al.: all pixels of the region vote, where theirs are those of Canny's edges, of which a
    nodule a few pixels wide has hardly any.
    """
    image, region = checked(image, region)
    whole("bins", bins, 1)
    whole("levels", levels, 0)
    padded, inside = np.pad(image, 1, mode="edge"), box(region)
    down: NDArray[np.float64] = np.asarray(np.gradient(padded, axis=0))[1:-1, 1:-1][inside]
    along: NDArray[np.float64] = np.asarray(np.gradient(padded, axis=1))[1:-1, 1:-1][inside]
    region = region[inside]
    row, column = np.nonzero(region)
    size = np.hypot(down, along)[row, column]
    if not size.any():
        return np.zeros(bins * sum(4**level for level in range(levels + 1)), np.float32)
    angle = np.arctan2(down, along)[row, column] % np.pi / np.pi * bins
    lower = np.floor(angle).astype(np.int64)
    upper_share = angle - lower
    height, width = region.shape
    found = []
    for level in range(levels + 1):
        cells = 2**level
        cell = (row * cells // height) * cells + column * cells // width
        for_lower = np.bincount(cell * bins + lower % bins, size * (1 - upper_share), minlength=bins * cells**2)
        for_upper = np.bincount(cell * bins + (lower + 1) % bins, size * upper_share, minlength=bins * cells**2)
        found.append(for_lower + for_upper)
    values = np.concatenate(found)
    return (values / values.sum()).astype(np.float32)
