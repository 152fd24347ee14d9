"""Patients of `lungseg-prep phantom`: made by other code than the training's, with exact truth on any grid."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.lungs.sample import SEED, Sample
from data_prep.phantom import PhantomOptions, make_patient


@dataclass(frozen=True)
class Turn:
    """Axes in another order, some of them backwards: the same voxels at the same places."""

    axes: tuple[int, int, int] = (0, 1, 2)
    flipped: tuple[int, ...] = ()

    def array(self, array: NDArray) -> NDArray:
        return np.ascontiguousarray(np.flip(array.transpose(self.axes), self.flipped))

    def back(self, array: NDArray) -> NDArray:
        return np.flip(array, self.flipped).transpose(np.argsort(self.axes))

    def affine(self, affine_ras: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
        """affine_ras of the turned array; shape: before turning."""
        turned = affine_ras.copy()
        turned[:3, :3] = affine_ras[:3, :3][:, list(self.axes)]
        for axis in self.flipped:
            turned[:3, 3] += turned[:3, axis] * (shape[self.axes[axis]] - 1)
            turned[:3, axis] *= -1
        return turned

    def sample(self, one: Sample) -> Sample:
        return Sample(self.array(one.hu), self.array(one.truth), self.affine(one.affine_ras, one.hu.shape))


@dataclass(frozen=True)
class Scan:
    """How patients are scanned, and how their voxels are stored."""

    what: str
    options: PhantomOptions
    turn: Turn = field(default_factory=Turn)


SCANS = {
    "full": Scan("512 x 512, slices of 1.5 to 3 mm", PhantomOptions(size="full")),
    "small": Scan("128 x 128, slices of 5 to 6 mm", PhantomOptions()),
    "thin": Scan("1 x 1 x 1 mm", PhantomOptions(spacing_mm=(1, 1, 1))),
    "thick": Scan("1 x 1 x 8 mm", PhantomOptions(spacing_mm=(1, 1, 8))),
    "thick-10": Scan("1.5 x 1.5 x 10 mm", PhantomOptions(spacing_mm=(1.5, 1.5, 10))),
    "anisotropic": Scan("1.2 x 2.5 x 4 mm", PhantomOptions(spacing_mm=(1.2, 2.5, 4))),
    "coarse": Scan("4 x 4 x 4 mm", PhantomOptions(spacing_mm=(4, 4, 4))),
    "oblique": Scan(
        "2 x 2 x 3 mm, planes turned by 12, -8 and 15 degrees",
        PhantomOptions(spacing_mm=(2, 2, 3), oblique_deg=(12, -8, 15)),
    ),
    "oblique-25": Scan(
        "2 x 2 x 3 mm, planes turned by 25 degrees about x",
        PhantomOptions(spacing_mm=(2, 2, 3), oblique_deg=(25, 0, 0)),
    ),
    "flipped": Scan("2 x 2 x 3 mm, stored to RAS", PhantomOptions(spacing_mm=(2, 2, 3)), Turn((0, 1, 2), (0, 1))),
    "sagittal": Scan("2 x 2 x 3 mm, stored as P, S, L", PhantomOptions(spacing_mm=(2, 2, 3)), Turn((1, 2, 0))),
    "coronal": Scan("2 x 2 x 3 mm, stored as R, I, P", PhantomOptions(spacing_mm=(2, 2, 3)), Turn((0, 2, 1), (0, 1))),
    "noisy": Scan("2 x 2 x 3 mm, noise of 80 HU", PhantomOptions(spacing_mm=(2, 2, 3), noise_hu=80)),
}
ROWS = {name: scan.what for name, scan in SCANS.items()}
TURNS = {
    "LPS": Turn(),
    "RAS": Turn((0, 1, 2), (0, 1)),
    "LPI": Turn((0, 1, 2), (2,)),
    "RPS": Turn((0, 1, 2), (0,)),
    "PSL": Turn((1, 2, 0)),
    "ASR": Turn((1, 2, 0), (0, 2)),
    "SLP": Turn((2, 0, 1)),
    "LSP": Turn((0, 2, 1)),
    "RIA": Turn((0, 2, 1), (0, 1, 2)),
}


@lru_cache(maxsize=1)
def _patient(number: int, options: PhantomOptions) -> Sample:
    patient = make_patient(SEED, number + 1, options)
    truth = patient.truth_mask("Lung-Right") + 2 * patient.truth_mask("Lung-Left")
    return Sample(patient.volume_hu(), truth.astype(np.uint8), patient.grid.affine_ras)


def scanned_patient(row: str, number: int) -> Sample:
    scan = SCANS[row]
    return scan.turn.sample(_patient(number, scan.options))


TURNED_SCAN = PhantomOptions(spacing_mm=(1.7, 1.7, 3))


def turned_patient(turn: str, number: int) -> Sample:
    return TURNS[turn].sample(_patient(number, TURNED_SCAN))
