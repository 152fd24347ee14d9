"""Histograms of local binary patterns (LBP) of a region: Ojala, Pietikainen and Maenpaa, IEEE TPAMI 24 (2002)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError
from lungseg_monai.features.region import box, checked, whole

RADII = (1, 2, 3, 4)
STEPS = 65535  # grey values are told apart as finely


def lbp(
    image: NDArray,
    region: NDArray,
    radii: Sequence[int] = RADII,
    points: int = 8,
    rotation_invariant: bool = False,
) -> NDArray[np.float32]:
    """For each radius, how often each uniform pattern is found at the pixels of a region.

    image: (rows, columns), any real dtype; region: the same shape, bool or 0 and 1. A pattern tells which of `points`
    neighbours on a circle of `radius` pixels are at least as bright as the pixel; neighbours may lie outside the
    region, and at the slice's edge the edge goes on. Returns one histogram a radius, each summing to 1, of
    points (points - 1) + 3 bins (59 for 8 points), or points + 2 if `rotation_invariant`. The same for image * a + b
    with a above 0. Raises ConfigError for settings and arrays that can't be.
    """
    from skimage.feature import local_binary_pattern

    image, region = checked(image, region)
    whole("points", points, 2)
    if not len(radii):
        raise ConfigError("radii is empty; wanted one or more whole numbers from 1")
    for radius in radii:
        whole("a radius of lbp", radius, 1)
    margin = int(max(radii)) + 1
    image, region = np.pad(image, margin, mode="edge"), np.pad(region, margin)
    inside = box(region, margin)
    image, region = image[inside], region[inside]
    low, high = image.min(), image.max()
    # Whole numbers, so that rounding errors of a flat part are no pattern.
    grey = np.rint((image - low) / (high - low) * STEPS).astype(np.uint16) if high > low else np.zeros(image.shape, int)
    method, bins = ("uniform", points + 2) if rotation_invariant else ("nri_uniform", points * (points - 1) + 3)
    found = []
    for radius in radii:
        codes = local_binary_pattern(grey, points, radius, method)[region].astype(np.int64)
        found.append(np.bincount(codes, minlength=bins) / len(codes))
    return np.concatenate(found).astype(np.float32)
