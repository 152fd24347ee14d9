"""A CT as the tumour networks see it, and back: axes to L, P, S by turning alone, slices last, resized in plane.

Equal to transforms/tumor_chains.py, which training runs, but in numpy alone, and never all of it in floats at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError
from lungseg_monai.inplane import resize_linear
from lungseg_monai.segment.image import Image

Floats = NDArray[np.float32]
AT_ONCE = 16  # slices that are floats at the image's own size
INTENSITIES = ("window", "stretch")


@dataclass(frozen=True, eq=False)
class Upright:
    """An image's voxels with axes that point to L, P and S as nearly as turning can make them; a view, no copy.

    array: (I, J, K). spacing_mm: along them. back: nibabel's orientation that turns an array here into the image's.
    """

    array: NDArray[Any]
    spacing_mm: tuple[float, float, float]
    forth: NDArray[np.float64]
    back: NDArray[np.float64]

    @property
    def shape_ij(self) -> tuple[int, int]:
        return self.array.shape[0], self.array.shape[1]

    def turned(self, array: NDArray) -> NDArray:
        """An array on the image's grid, turned as this one."""
        from nibabel.orientations import apply_orientation

        out: NDArray = apply_orientation(array, self.forth)
        return out

    def as_image(self, array: NDArray) -> NDArray:
        """An array (I, J, K) here -> on the image's own axes."""
        from nibabel.orientations import apply_orientation

        out: NDArray = apply_orientation(array, self.back)
        return out


def upright(image: Image) -> Upright:
    """The image with axes L, P, S, as MONAI's Orientation("LPS") turns it."""
    from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

    own, wanted = io_orientation(image.affine_ras), axcodes2ornt("LPS")
    forth = ornt_transform(own, wanted)
    steps = np.empty(3)
    steps[forth[:, 0].astype(int)] = image.spacing_mm
    i, j, k = steps.tolist()
    turned = apply_orientation(image.array_ijk, forth)
    return Upright(turned, (i, j, k), forth, ornt_transform(wanted, own))


def upright_grid(shape_ijk: Sequence[int], affine_ras: NDArray[np.float64]) -> Upright:
    """How the grid of an image lies when it is turned to L, P, S; `array` holds nothing."""
    return upright(Image(np.broadcast_to(np.False_, tuple(shape_ijk)), affine_ras))


def network_volume(
    array: NDArray[Any], intensity: str, window_hu: Sequence[float], shape_ij: tuple[int, int]
) -> Floats:
    """HU (I, J, K), axes L, P, S -> (*shape_ij, K) float32 in 0..1, as the network was trained on it.

    intensity: "window": window_hu becomes 0..1. "stretch": each slice by itself to 8 bits. Raises ConfigError.
    """
    if intensity not in INTENSITIES:
        raise ConfigError(f"the intensity must be one of {', '.join(INTENSITIES)}, got {intensity!r}")
    out = np.empty((*shape_ij, array.shape[2]), np.float32)
    low, high = (np.float32(one) for one in window_hu)
    for first in range(0, array.shape[2], AT_ONCE):
        some = np.array(array[:, :, first : first + AT_ONCE], np.float32)
        if intensity == "window":
            np.clip(some, low, high, out=some)
            some -= low
            some /= high - low
            part = resize_linear(some, shape_ij)
        else:
            part = np.rint(resize_linear(_stretched(some), shape_ij))
            part /= 255
        out[:, :, first : first + AT_ONCE] = part
    return out


def _stretched(slices: Floats) -> Floats:
    """(I, J, n): in each slice the lowest value becomes 0, the highest 255, in whole steps; one of one value 0."""
    low, high = slices.min(axis=(0, 1)), slices.max(axis=(0, 1))
    out = (slices - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    out *= 255
    return np.rint(out, out=out)
