"""What a tool wrote, held against the truth in world coordinates: no matter how its grid runs."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers.cases import Volume
from benchmarks.peers.shapes import Inside

TOLERANCE_HU = 4  # rounding to whole HU, twice, and interpolation


@dataclass(frozen=True)
class Written:
    """A volume as a tool wrote it. array: [i, j, k]; steps_mm: (3, 2), voxel to voxel along i and j;
    positions_mm: (slices, 3), centre of voxel 0, 0 of each slice, LPS; voxel_mm3: (slices,)."""

    path: Path
    name: str
    array: np.ndarray
    steps_mm: np.ndarray
    positions_mm: np.ndarray

    def points_mm(self, i: np.ndarray, j: np.ndarray, k: np.ndarray) -> np.ndarray:
        return self.positions_mm[k] + i[..., None] * self.steps_mm[:, 0] + j[..., None] * self.steps_mm[:, 1]

    def all_points_mm(self) -> np.ndarray:
        """[i, j, k, 3]."""
        i, j, k = np.indices(self.array.shape)
        return self.points_mm(i, j, k)

    @property
    def voxel_mm3(self) -> np.ndarray:
        normal = np.cross(self.steps_mm[:, 0], self.steps_mm[:, 1])
        if len(self.positions_mm) < 2:
            return np.full(len(self.positions_mm), np.nan)
        return np.abs(np.gradient(self.positions_mm @ normal))


def read(path: Path) -> Written:
    """A mask or image: .npz as rt_utils.py here writes it, NIfTI by its sform, which may be askew, .nrrd and others.

    Raises ValueError for other than three dimensions, and what nibabel and SimpleITK raise.
    """
    if path.suffix == ".npz":
        with np.load(path) as data:
            return Written(path, str(data["name"]), data["array"], data["steps"], data["positions"])
    array, affine = _nifti(path) if ".nii" in path.name else _other(path)
    if array.ndim != 3:
        raise ValueError(f"{array.ndim} dimensions")
    positions = affine[:3, 3] + np.arange(array.shape[2])[:, None] * affine[:3, 2]
    return Written(path, path.name.split(".nii")[0].split(".nrrd")[0], array, affine[:3, :2], positions)


def _nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Array and affine (LPS)."""
    import nibabel

    image = nibabel.load(path)
    array = np.asarray(image.dataobj)
    while array.ndim > 3 and array.shape[-1] == 1:  # SimpleITK's way to write a series of one volume
        array = array[..., 0]
    return array, np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine


def _other(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import SimpleITK

    image = SimpleITK.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).T, affine


def plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


@dataclass(frozen=True)
class MaskScore:
    """dice: weighted by what voxels stand for. volume_error: relative. off_mm: between centres of mass."""

    dice: float
    volume_error: float
    off_mm: float


def score_mask(mask: Written, inside: Inside, reference_mm3: float) -> MaskScore:
    """reference_mm3: the truth's volume on the voxels of the case's own grid."""
    size = mask.voxel_mm3
    drawn = mask.array != 0
    points = mask.all_points_mm()
    truth = inside(points)
    drawn_mm3, both_mm3, truth_mm3 = ((what.sum(axis=(0, 1)) * size).sum() for what in (drawn, drawn & truth, truth))
    total = drawn_mm3 + reference_mm3
    dice = 2 * both_mm3 / total if total else 1.0
    off = np.nan
    if drawn_mm3 and truth_mm3:
        centres = [(points[what] * size[np.nonzero(what)[2], None]).sum(axis=0) for what in (drawn, truth)]
        off = float(np.linalg.norm(centres[0] / drawn_mm3 - centres[1] / truth_mm3))
    return MaskScore(float(dice), float(drawn_mm3 / reference_mm3 - 1) if reference_mm3 else np.inf, off)


@dataclass(frozen=True)
class ImageScore:
    """wrong: share of voxels whose HU are not those of their place. off_mm: at least so far off is the worst of 99 %.

    covered: how much of the series' volume is there. Voxels beyond the series, padding, do not count.
    """

    wrong: float
    off_mm: float
    covered: float


def score_image(image: Written, volume: Volume, slope_hu: np.ndarray) -> ImageScore:
    """The case's HU rise evenly in space, by slope_hu (3,) a mm, so a deviation in HU is a distance at least."""
    points = image.all_points_mm()
    held = (volume.inside(points, rim=0.5).sum(axis=(0, 1)) * image.voxel_mm3).sum() / volume.volume_mm3
    inside = volume.inside(points)
    if not inside.any():
        return ImageScore(1.0, np.inf, float(held))
    off = np.abs(image.array[inside] - (points[inside] @ slope_hu + volume.offset_hu)) / np.linalg.norm(slope_hu)
    wrong = float((off > TOLERANCE_HU / np.linalg.norm(slope_hu)).mean())
    return ImageScore(wrong, float(np.quantile(off, 0.99)), float(held))
