"""Masks from files, refused unless they are what they claim: readable, three axes, values that were named, one grid."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import EvaluationError
from lungseg_monai.evaluation.metrics import BoolArray

NIFTI = (".nii.gz", ".nii")
SUFFIXES = (*NIFTI, ".seg.nrrd", ".nrrd", ".mha")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif")
NO_MASKS = {"image", "overlay", "probability", "preview", "uncertainty"}  # pictures that stand beside masks
WANTED = "a name that ends in .nii.gz, .nii, .nrrd or .mha is wanted, or for X-rays .png, .jpg, .bmp, .tif or .gif"
AFFINE_TOLERANCE = 1e-3  # of each of the affine's elements


@dataclass(frozen=True)
class MaskFile:
    """What of a file of several labels is meant: voxels of one of `values`. known: all values that have a name."""

    path: Path
    values: tuple[int, ...]
    known: tuple[int, ...]


Source = Path | MaskFile  # a file of 0 and 1, or a part of one of several labels


@dataclass(frozen=True, eq=False)
class Volume:
    """voxels: (I, J, K). affine_ras: (4, 4) float64, index -> mm in RAS."""

    path: Path
    voxels: NDArray
    affine_ras: NDArray[np.float64]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        i, j, k = np.linalg.norm(self.affine_ras[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def voxel_mm3(self) -> float:
        return float(abs(np.linalg.det(self.affine_ras[:3, :3])))


def is_mask_file(path: Path) -> bool:
    return path.name.endswith(SUFFIXES) and not path.name.startswith(".")


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")


def is_picture_mask(path: Path) -> bool:
    """Whether a picture found in a folder may be a mask: by its name it is none of what stands beside masks."""
    return is_picture(path) and path.stem.lower() not in NO_MASKS


def path_of(source: Source) -> Path:
    return source.path if isinstance(source, MaskFile) else source


def stem(path: Path) -> str:
    """`P1.nii.gz` -> `P1`."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.stem


def read_volume(path: Path) -> Volume:
    """Read a file of three axes. Raises EvaluationError: missing, unreadable, or without a usable grid."""
    if not path.is_file():
        raise EvaluationError(f"{path} is not there. Write it again, or correct the path.")
    voxels, affine = _read_nifti(path) if path.name.endswith(NIFTI) else _read_other(path)
    if voxels.ndim != 3:
        raise EvaluationError(f"{path} has shape {voxels.shape}; three axes are wanted.")
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise EvaluationError(f"{path} has an affine that gives its voxels no size: {affine.tolist()}")
    return Volume(path, voxels, affine)


def _read_nifti(path: Path) -> tuple[NDArray, NDArray[np.float64]]:
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError, SpatialImage

    try:
        image = nib.load(path)
        if not isinstance(image, SpatialImage):
            raise EvaluationError(f"{path} holds a {type(image).__name__}; a NIfTI volume is wanted.")
        return np.asanyarray(image.dataobj), np.asarray(image.affine, dtype=np.float64)
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError) as error:
        raise EvaluationError(f"{path} can't be read as NIfTI ({error}). Write it again.") from error


def _read_other(path: Path) -> tuple[NDArray, NDArray[np.float64]]:
    from data_prep.errors import PrepError
    from data_prep.geometry import LPS_TO_RAS
    from data_prep.volume_files import read_voxels

    try:
        found = read_voxels(path)
    except PrepError as error:
        raise EvaluationError(f"{path} can't be read ({error}). Write it again.") from error
    return found.array_ijk, LPS_TO_RAS @ found.grid.affine_lps


def read_mask(source: Source) -> Volume:
    """Read a mask; `voxels` are bool.

    Raises EvaluationError as `read_volume`, for values other than 0 and 1, and for a file of several labels that holds
    none that has a name.
    """
    if isinstance(source, MaskFile):
        return _read_labels(source)
    path = source
    volume = read_volume(path)
    mask = volume.voxels != 0
    if not np.array_equal(mask, volume.voxels):
        values = np.unique(volume.voxels)
        shown = ", ".join(f"{value:g}" for value in values[:5]) + (", …" if len(values) > 5 else "")
        raise EvaluationError(
            f"{path} holds the values {shown}; a mask holds 0 and 1 only. Of a file of several labels say "
            "what is what: --values 1=lung_right,2=lung_left, or --reference-values."
        )
    return Volume(path, mask, volume.affine_ras)


def _read_labels(source: MaskFile) -> Volume:
    volume = read_volume(source.path)
    mask = np.zeros(volume.voxels.shape, np.bool_)
    for value in source.values:
        mask |= volume.voxels == value
    if not mask.any() and not any((volume.voxels == value).any() for value in source.known):
        there = np.unique(volume.voxels)
        if there.any():
            raise EvaluationError(
                f"{source.path} holds the values {', '.join(f'{one:g}' for one in there[:5])}, and what was named is "
                f"{', '.join(map(str, source.known))}. Correct --values or --reference-values."
            )
    return Volume(source.path, mask, volume.affine_ras)


def read_union(paths: Sequence[Source]) -> Volume:
    """The union of masks on one grid. Raises EvaluationError as `read_mask` and `check_same_grid`."""
    first = read_mask(paths[0])
    union: BoolArray = first.voxels
    for path in paths[1:]:
        other = read_mask(path)
        check_same_grid(other, first)
        union |= other.voxels
    return first


def blank_on(path: Path) -> Volume:
    """A mask that holds nothing, on an image's grid. Raises EvaluationError as `read_volume`."""
    image = read_volume(path)
    return Volume(path, np.zeros(image.voxels.shape, np.bool_), image.affine_ras)


def check_same_grid(volume: Volume, wanted: Volume) -> None:
    """Raise EvaluationError unless both have one shape and one affine (within 1e-3 an element)."""
    if volume.voxels.shape != wanted.voxels.shape:
        raise EvaluationError(
            f"{volume.path} has shape {volume.voxels.shape}, {wanted.path} has {wanted.voxels.shape}. "
            "Write the prediction on the grid of the original image; scores never resample."
        )
    difference = float(np.abs(volume.affine_ras - wanted.affine_ras).max())
    if difference > AFFINE_TOLERANCE:
        raise EvaluationError(
            f"{volume.path} and {wanted.path} have affines that differ by up to {difference:.4g}; "
            f"{AFFINE_TOLERANCE:g} is allowed. Write the prediction with the original image's affine."
        )
