"""Sums along the rays, carried over to the film's pixels; attenuation by Beer and Lambert's law."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.fields import Field

WATER_PER_MM = ((50.0, 0.02269), (60.0, 0.02059), (80.0, 0.01837))
"""keV and linear attenuation of water, 1/mm: NIST XCOM (mass attenuation 0.2269, 0.2059, 0.1837 cm2/g)."""
BONE_FROM_HU = 100.0


@dataclass(frozen=True)
class Quality:
    """Of the beam. mu_per_mm: of water. bone: what 1000 HU above soft tissue add, against the same mass of water."""

    mu_per_mm: float
    bone: float


def draw_quality(random: np.random.Generator) -> Quality:
    """Effective energies of 50 to 70 keV, as of chest tubes at about 80 to 130 kV; bone counts more in soft beams."""
    energy = float(random.uniform(50, 70))
    kev, per_mm = np.array(WATER_PER_MM).T
    mu = float(np.interp(energy, kev, per_mm))
    return Quality(mu, float(np.interp(energy, [50, 70], [1.5, 1.0]) * random.uniform(0.85, 1.15)))


def attenuation(hu: Field, path_mm: Field, quality: Quality) -> Field:
    """(I, K) line integral of the attenuation of `hu` (I, J, K); path_mm (I, K) from plane to plane."""
    water = 1 + np.maximum(hu, np.float32(-1000)) / np.float32(1000)
    water += np.maximum(hu - np.float32(BONE_FROM_HU), 0) * np.float32((quality.bone - 1) / 1000)
    return np.asarray(water.sum(axis=1) * path_mm * np.float32(quality.mu_per_mm), np.float32)


def path_through(part: NDArray[np.floating] | NDArray[np.bool_], path_mm: Field) -> Field:
    """(I, K): mm of each ray within a part, given how much of each voxel it fills (I, J, K)."""
    return np.asarray(part.sum(axis=1, dtype=np.float32) * path_mm, np.float32)


def onto_film(values: Field, shape: tuple[int, int], *, even: bool = False) -> Field:
    """A grid's map (I, K) as (rows, columns) of the same field: rows from the top, cubic between the grid's points.

    even: smooth the steps that labels of whole voxels leave.
    """
    from scipy import ndimage

    hung = values.T[::-1]
    if even:
        hung = ndimage.gaussian_filter(hung, 0.7, mode="nearest")
    zoom = [new / old for new, old in zip(shape, hung.shape, strict=True)]
    return np.asarray(ndimage.zoom(hung, zoom, order=3, mode="nearest", grid_mode=True), np.float32)
