"""A probability map cut into a mask: by one threshold for all of it, by one for each pixel's block, or by both."""

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]


def otsu(probability: Map) -> float:
    """The threshold between two classes of most variance between them (Otsu 1979), of 256 bins over 0 ... 1.

    A map without two classes (nothing above 0.5, or all of it) has no such threshold: 0.5.
    """
    from skimage.filters import threshold_otsu

    if not 0 < np.count_nonzero(probability > 0.5) < probability.size:
        return 0.5
    counts, edges = np.histogram(probability, bins=256, range=(0.0, 1.0))
    return float(threshold_otsu(hist=(counts, (edges[:-1] + edges[1:]) / 2)))


def local_threshold(probability: Map, block: int, offset: float) -> Map:
    """(H, W): for each pixel the mean of the square of `block` (odd) pixels about it, less `offset`.

    As skimage.filters.threshold_local(method="mean"), in time that does not grow with the block. Mirrored at edges.
    """
    from scipy.ndimage import uniform_filter

    means: Map = uniform_filter(probability, block, mode="reflect", output=np.float64)
    return means - offset


def united(probability: Map, level: float | None, local: Map | None, floor: float) -> Mask:
    """What lies above the global `level`, or above both the `local` threshold and `floor`. None: not asked."""
    mask = np.zeros(probability.shape, bool)
    if level is not None:
        mask |= probability > level
    if local is not None:
        mask |= (probability > local) & (probability > floor)
    return mask
