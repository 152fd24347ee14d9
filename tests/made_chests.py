"""Made chests on a coarse grid, and what a network would say of them: truth, blurred."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.phantom import PhantomOptions, make_patient

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class MadeChest:
    """hu int16, truth 1 right and 2 left, air of the airways, gas of the bowels; axes as the grid has them."""

    hu: NDArray[np.int16]
    truth: NDArray[np.uint8]
    air: NDArray[np.uint8]
    gas: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]
    affine_ras: NDArray[np.float64]


@cache
def made_chest(seed: int, spacing_mm: tuple[float, float, float] = (4.0, 4.0, 4.0), noise_hu: float = 18.0):
    """Axes to left, back and up. The arrays are shared: copy before writing."""
    patient = make_patient(seed, 1, PhantomOptions(spacing_mm=spacing_mm, noise_hu=noise_hu))
    truth = patient.truth_mask("Lung-Right") + 2 * patient.truth_mask("Lung-Left")
    air, gas = (patient.truth_mask(name) for name in ("Airway-Lumen", "Gas"))
    grid = patient.grid
    return MadeChest(patient.volume_hu(), truth.astype(np.uint8), air, gas, grid.spacing_mm, grid.affine_ras)


def probabilities(labels: NDArray[np.uint8], sigma: float = 0.6) -> NDArray[np.float32]:
    """(3, I, J, K): background, right, left."""
    lungs = [ndimage.gaussian_filter((labels == side).astype(np.float32), sigma) * 0.98 for side in (1, 2)]
    return np.stack([1 - lungs[0] - lungs[1], *lungs]).astype(np.float32)


def coarse_labels(chest: MadeChest, step_mm: float = 3.0) -> NDArray[np.uint8]:
    """chest.truth as it comes back from a coarse grid: averaged, with slow errors of a voxel, interpolated."""
    random, drawn = np.random.default_rng(5), np.zeros((2, *chest.truth.shape), np.float32)
    zoom = [step / step_mm for step in chest.spacing_mm]
    for side in (1, 2):
        share = ndimage.gaussian_filter((chest.truth == side).astype(np.float32), [0.4 / z for z in zoom])
        small = ndimage.zoom(share, zoom, order=1, grid_mode=True, mode="nearest")
        errors = ndimage.gaussian_filter(random.standard_normal(small.shape), 2)
        small = ndimage.gaussian_filter(small, 0.6)
        small += 0.2 * errors / errors.std() * (small > 0.02)
        back = [a / b for a, b in zip(share.shape, small.shape, strict=True)]
        drawn[side - 1] = ndimage.zoom(small, back, order=1, grid_mode=True, mode="nearest")
    return np.where(drawn.max(axis=0) > 0.5, drawn.argmax(axis=0) + 1, 0).astype(np.uint8)


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other)))
