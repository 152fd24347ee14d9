"""From attenuation to grey: scatter, grid, noise, look-up curves, processing, collimation. Dense is bright."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.fields import Field


@dataclass(frozen=True)
class Exposure:
    """scatter: of what reaches the receptor, against the primary's mean. spread_mm: of it. photons: a pixel in air.

    slope: of log exposure across the film (decentred grid, heel): (along rows, along columns). compress: share of the
    slow part that processing takes out; sharpen: of the fine part that it adds. curve: exponent of the look-up curve.
    bend: 0 a straight one, 1 an S. low, high: percentiles of the body that bound its grey; black lies `toe` of that
    range below the first, white at the second.
    """

    scatter: float
    spread_mm: float
    photons: float
    slope: tuple[float, float]
    compress: float
    sharpen: float
    curve: float
    bend: float
    low: float
    high: float
    toe: float


def draw_exposure(random: np.random.Generator, view: str, difficulty: float) -> Exposure:
    """One receptor and its processing. difficulty 0: a good digital PA film; 1: portable ones and old films too."""

    def up_to(value: float) -> float:
        return float(random.uniform(0, value)) * difficulty

    portable = view == "AP"
    scatter = 0.015 + up_to(0.12 if portable else 0.05)
    slope = (
        float(random.normal(0, 0.12)) * difficulty,
        float(random.normal(0, 0.2 if portable else 0.08)) * difficulty,
    )
    return Exposure(
        scatter=scatter,
        spread_mm=float(random.uniform(25, 60)),
        photons=float(np.exp(random.uniform(np.log(8e3), np.log(2e5)))) if difficulty else 5e4,
        slope=slope,
        compress=float(random.uniform(0.1, 0.3)) + up_to(0.3),
        sharpen=float(random.uniform(0.2, 0.7)) + up_to(0.9),
        curve=float(np.exp(random.normal(0, 0.05 + 0.2 * difficulty))),
        bend=up_to(1.0),
        low=0.3 + up_to(3.0),
        high=99.8 - up_to(2.5),
        toe=float(random.uniform(0.15, 0.3)) + float(random.uniform(-0.12, 0.25)) * difficulty,
    )


def expose(
    integral: Field, spacing_mm: float, exposure: Exposure, random: np.random.Generator, *, noisy: bool = True
) -> Field:
    """Log exposure (rows, columns), dense high, of the line integrals `integral`."""
    primary = np.exp(-integral)
    total = primary + np.float32(exposure.scatter) * _blur(np.minimum(primary, 0.35), exposure.spread_mm / spacing_mm)
    if noisy:
        grain = random.standard_normal(total.shape).astype(np.float32)
        total = total + grain * np.sqrt(total / np.float32(exposure.photons))
    down, across = (np.linspace(-1, 1, n, dtype=np.float32) for n in integral.shape)
    tilt = np.float32(exposure.slope[0]) * down[:, None] + np.float32(exposure.slope[1]) * across[None]
    return np.asarray(-np.log(np.maximum(total, np.float32(1e-4))) + tilt, np.float32)


def develop(density: Field, spacing_mm: float, exposure: Exposure, within: NDArray[np.bool_]) -> Field:
    """Grey (rows, columns) from 0 to 1. within: pixels of the body in the field, which the
    percentiles are taken of.
    """
    slow = _blur(density, 22 / spacing_mm)
    fine = density - _blur(density, max(0.7, 1.6 / spacing_mm))
    processed = density - np.float32(exposure.compress) * slow + np.float32(exposure.sharpen) * fine
    low, high = np.percentile(processed[within], [exposure.low, exposure.high]).tolist()
    low -= exposure.toe * (high - low)
    grey = np.clip((processed - np.float32(low)) / np.float32(max(high - low, 1e-3)), 0, 1)
    grey = grey ** np.float32(exposure.curve)
    curved = grey * grey * (3 - 2 * grey)
    return np.asarray(grey + np.float32(exposure.bend) * (curved - grey), np.float32)


def _blur(values: Field, sigma: float) -> Field:
    """Gaussian; wide ones on a coarser image, as they are smooth."""
    from scipy import ndimage

    step = int(sigma // 4)
    if step < 2:
        return np.asarray(ndimage.gaussian_filter(values, sigma, mode="nearest"), np.float32)
    rows, columns = values.shape
    padded = np.pad(values, ((0, -rows % step), (0, -columns % step)), mode="edge")
    coarse = padded.reshape(padded.shape[0] // step, step, -1, step).mean(axis=(1, 3))
    soft = ndimage.gaussian_filter(coarse, sigma / step, mode="nearest")
    wide = ndimage.zoom(soft, step, order=1, mode="nearest", grid_mode=True)
    return np.asarray(wide[:rows, :columns], np.float32)
