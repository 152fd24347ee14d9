"""Errors of HU: gain, offset, shading, streaks of shoulders and of metal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.acquisition.waves import spread_matrix
from lungseg_monai.synthesis.fields import noise

Volume = NDArray[np.float32]
WATER_PER_MM = 0.02  # attenuation of water near 70 keV


def gain_and_offset(hu: Volume, gain: float, offset_hu: float) -> Volume:
    """Attenuation times `gain` (air stays air), then `offset_hu` on everything."""
    return (hu + np.float32(1000)) * np.float32(gain) + np.float32(offset_hu - 1000)


def cupping(hu: Volume, depth_hu: float, centre_ij: tuple[float, float], radius: float) -> Volume:
    """Beam hardening's bowl: `depth_hu` darker in the middle, rising with the square of the distance in the plane."""
    i, j = np.ogrid[: hu.shape[0], : hu.shape[1]]
    square = ((i - centre_ij[0]) ** 2 + (j - centre_ij[1]) ** 2) / radius**2
    bowl = np.float32(depth_hu) * np.clip(square - 1, -1, 0.5).astype(np.float32)
    return hu + bowl[:, :, None]


def slow_waves(hu: Volume, amplitude_hu: float, cell: float, random: np.random.Generator) -> Volume:
    """Slow random shading of sd `amplitude_hu`, about `cell` voxels long."""
    return hu + np.float32(amplitude_hu) * noise(hu.shape, cell, random)


def water_path_mm(hu: Volume, axis: int, spacing_mm: float) -> NDArray[np.float32]:
    """How many mm of water a ray along `axis` meets."""
    return np.clip(hu + np.float32(1000), 0, 3000).sum(axis) * np.float32(spacing_mm / 1000)


def shoulder_streaks(hu: Volume, sd_hu: float, spacing_mm: float, random: np.random.Generator) -> Volume:
    """Streaks along x where rays from side to side meet most tissue: shoulders, arms. sd is that of the worst rows."""
    path_mm = water_path_mm(hu, 0, spacing_mm)  # (J, K)
    weight = np.exp(0.5 * WATER_PER_MM * (path_mm - path_mm.max()))
    along = spread_matrix(hu.shape[0], hu.shape[0] / 4, random)  # (I, controls)
    lines = random.standard_normal((along.shape[1], *hu.shape[1:]), dtype=np.float32)
    lines *= np.float32(sd_hu) * weight.astype(np.float32)
    return hu + np.tensordot(along, lines, axes=1)


def metal_star(
    hu: Volume, point: tuple[float, float, float], strength_hu: float, reach: float, random: np.random.Generator
) -> Volume:
    """Bright and dark rays from a metal point (voxels) in its slices; `reach` voxels away they are half as strong."""
    hu = hu.copy()
    first, last = max(0, round(point[2]) - 3), min(hu.shape[2], round(point[2]) + 4)
    if first >= last:
        return hu
    i, j = np.ogrid[: hu.shape[0], : hu.shape[1]]
    radius = np.hypot(i - point[0], j - point[1])
    angle = np.mod(np.arctan2(j - point[1], i - point[0]), np.pi)  # a ray goes on at the far side
    knots = np.linspace(0, np.pi, 49)
    for k in range(first, last):
        rays = random.standard_t(3, knots.size).clip(-4, 4)
        rays[-1] = rays[0]
        fade = strength_hu * np.exp(-0.5 * ((k - point[2]) / 1.2) ** 2) / (1 + radius / reach)
        hu[:, :, k] += (fade * np.interp(angle, knots, rays)).astype(np.float32)
    return hu
