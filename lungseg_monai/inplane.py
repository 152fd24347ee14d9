"""Volumes (I, J, K) resized in plane, slice by slice, in numpy: pixels are areas, both grids cover the same.

The convention of torch.nn.functional.interpolate (align_corners=False) and of cv2.resize.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def resize_linear(volume: NDArray, shape_ij: tuple[int, int]) -> Floats:
    """volume (I, J, K) -> float32 (*shape_ij, K), linear between the centres of pixels, no smoothing beforehand."""
    out = np.asarray(volume, np.float32)
    for axis, size in sorted(enumerate(shape_ij), key=lambda one: one[1] / volume.shape[one[0]]):  # shrinks first
        out = _linear_along(out, axis, size)
    return out


def resize_nearest(volume: NDArray, shape_ij: tuple[int, int]) -> NDArray:
    """volume (I, J, K) -> (*shape_ij, K) of the same kind: each new pixel has the value of the one its centre is in."""
    out = volume
    for axis, size in enumerate(shape_ij):
        old = volume.shape[axis]
        if size != old:
            out = out.take(np.minimum(((np.arange(size) + 0.5) * old / size).astype(int), old - 1), axis=axis)
    return out


def _linear_along(volume: Floats, axis: int, size: int) -> Floats:
    old = volume.shape[axis]
    if size == old:
        return volume
    at = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    below = np.minimum(at.astype(int), max(old - 2, 0))
    share = (at - below).astype(np.float32).reshape([-1 if one == axis else 1 for one in range(3)])
    low = volume.take(below, axis=axis)
    high = volume.take(np.minimum(below + 1, old - 1), axis=axis)
    high -= low
    high *= share
    low += high
    return low
