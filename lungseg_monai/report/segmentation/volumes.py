"""A case's preview as the browser gets it: the image in 256 greys, and the labels, each a .nii.gz in base64."""

import base64
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.nifti import nifti_header
from lungseg_monai.errors import ReportError

RANGE_HU = (-1024.0, 600.0)  # of a preview; a grey is 6.4 HU, far below the noise
SLOPE_AT = 112  # byte of scl_slope in a NIfTI-1 header; scl_inter follows
MARGIN = 3  # voxels of air around what is shown in 3D
MOST_VOXELS = 256  # along an axis: what a 3D texture can hold on any graphics chip


@dataclass(frozen=True)
class Preview:
    """hu (I, J, K) int16 or alike, labels (I, J, K) uint8, affine_ras (4, 4)."""

    hu: NDArray[Any]
    labels: NDArray[np.uint8]
    affine_ras: NDArray[np.float64]


def read_preview(ct: Path, labels: Path) -> Preview | None:
    """None where there is no preview. Raises ReportError where it is damaged or too large."""
    if not ct.is_file() or not labels.is_file():
        return None
    hu, affine_ras = _unpacked(ct)
    preview = Preview(hu, _unpacked(labels)[0].astype(np.uint8), affine_ras)
    if preview.hu.ndim != 3 or preview.hu.shape != preview.labels.shape or max(preview.hu.shape) > 2 * MOST_VOXELS:
        raise ReportError(
            f"the preview's image and labels must share one grid of at most {2 * MOST_VOXELS} voxels along an axis, "
            f"they have {list(preview.hu.shape)} and {list(preview.labels.shape)}: run lungseg segment again"
        )
    return preview


def read_beside(path: Path, preview: Preview) -> NDArray[np.uint8] | None:
    """Another volume on the preview's grid; None where it is not there. Raises ReportError where it is damaged."""
    if not path.is_file():
        return None
    values = _unpacked(path)[0].astype(np.uint8)
    if values.shape != preview.hu.shape:
        raise ReportError(f"{path.name} of the preview has another grid: run lungseg segment again")
    return values


def _unpacked(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Voxels (I, J, K) and affine_ras; isal unpacks several times faster than what nibabel uses."""
    import nibabel as nib
    from isal import igzip
    from isal.igzip_lib import IsalError
    from nibabel.filebasedimages import ImageFileError

    try:
        image = nib.Nifti1Image.from_bytes(igzip.decompress(path.read_bytes()))
        return np.asarray(image.dataobj), np.asarray(image.affine, np.float64)
    except (ImageFileError, OSError, EOFError, ValueError, IsalError) as error:  # type: ignore[misc]  # wrong in its stub
        raise ReportError(f"{path.name} of the preview can't be read: run lungseg segment again") from error


def grey_nifti(preview: Preview) -> str:
    """The image in 256 steps over RANGE_HU; the header's slope and intercept give HU back."""
    low, high = RANGE_HU
    step = (high - low) / 255
    whole = np.clip(preview.hu, low, high).astype(np.int16) - np.int16(low)
    table = np.rint(np.arange(high - low + 1) / step).astype(np.uint8)
    return _packed(table[whole], preview.affine_ras, (step, low))


def label_nifti(preview: Preview, values: NDArray[np.uint8] | None = None) -> str:
    """The labels as they are, or other values on their grid."""
    return _packed(preview.labels if values is None else values, preview.affine_ras)


def cropped_nifti(preview: Preview) -> str:
    """The labels' box and a margin of air, so that they fill the view in 3D; everything where there are none."""
    low, high = np.zeros(3, int), np.array(preview.labels.shape)
    if preview.labels.any():
        used = [np.flatnonzero(preview.labels.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        low = np.array([max(0, axis[0] - MARGIN) for axis in used])
        high = np.array([min(size, axis[-1] + 1 + MARGIN) for axis, size in zip(used, high, strict=True)])
    box = preview.labels[tuple(slice(*ends) for ends in zip(low, high, strict=True))]
    affine_ras = preview.affine_ras.copy()
    affine_ras[:3, 3] += affine_ras[:3, :3] @ low
    return _packed(box, affine_ras)


def _packed(
    array_ijk: NDArray[np.uint8], affine_ras: NDArray[np.float64], line: tuple[float, float] = (1.0, 0.0)
) -> str:
    """line: slope and intercept."""
    from isal import igzip

    header = bytearray(nifti_header(array_ijk.shape, array_ijk.dtype, affine_ras))
    struct.pack_into("<2f", header, SLOPE_AT, *line)
    voxels = np.asfortranarray(array_ijk).tobytes(order="F")
    return base64.b64encode(igzip.compress(bytes(header) + bytes(4) + voxels, 3, mtime=0)).decode()
