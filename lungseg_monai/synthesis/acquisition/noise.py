"""Noise of a scan: white, correlated, more of it deep in the body."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.acquisition.calibration import WATER_PER_MM, water_path_mm

Volume = NDArray[np.float32]


def make_noise(shape: tuple[int, int, int], sd_hu: float, sigma: float, random: np.random.Generator) -> Volume:
    """Normal noise of sd `sd_hu`, white (sigma 0) or correlated by a Gaussian of `sigma` voxels."""
    noise = random.standard_normal(shape, dtype=np.float32)
    if sigma > 0:
        from scipy.ndimage import gaussian_filter

        noise = gaussian_filter(noise, sigma, mode="wrap", truncate=2.5)
    return noise * np.float32(sd_hu / max(float(noise.std()), 1e-6))


def depth_weight(hu: Volume, spacing_mm: float) -> Volume:
    """(I, J, K) weight of mean square about one: noise is larger where rays meet more tissue on their way."""
    across, through = (np.exp(WATER_PER_MM * (p - p.max())) for p in (water_path_mm(hu, a, spacing_mm) for a in (0, 1)))
    variance = np.float32(0.1) + across.astype(np.float32)[None, :, :] + through.astype(np.float32)[:, None, :]
    return np.sqrt(variance / variance.mean())
