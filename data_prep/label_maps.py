"""Masks of one case -> one map of labels on the image's grid."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import DatasetError
from data_prep.geometry import is_sheared
from data_prep.nifti import write_nifti
from data_prep.verify_nifti import Nifti, apart_mm, parse_nifti


def merge(
    prepared: Path, image: str, files: Sequence[Sequence[str]], labels: Sequence[str], target: Path
) -> dict[str, int]:
    """Write the masks `files` (those of each of `labels` in turn) as one uint8 map with values 1, 2, ... to `target`.

    Where labels overlap the later one wins. Returns how many voxels changed hands, by "earlier later".
    Raises DatasetError for a file that can't be read, a mask off the image's grid, a sheared grid (ITK, and so nnU-Net,
    reads none) and a label of which nothing is left; OutputError.
    """
    grid = _read(prepared, image)
    if is_sheared(grid.affine_ras):
        raise DatasetError("lies on a sheared grid, which nnU-Net can't read: convert it with --tilt resample")
    merged: NDArray[np.uint8] = np.zeros(grid.shape, np.uint8, order="F")
    overlaps: dict[str, int] = {}
    for value, group in enumerate(files, start=1):
        inside = np.zeros(grid.shape, bool, order="F")
        for file in group:
            mask = _read(prepared, file)
            if mask.shape != grid.shape or apart_mm(mask.affine_ras, grid.affine_ras, grid.shape) > 0:
                raise DatasetError(f"{file} does not lie on its image's grid")
            inside |= mask.voxels > 0
        counts = np.bincount(merged[inside], minlength=value)
        overlaps |= {f"{labels[n - 1]} {labels[value - 1]}": int(counts[n]) for n in range(1, value) if counts[n]}
        merged[inside] = value
    left = np.bincount(merged.reshape(-1, order="F"), minlength=len(labels) + 1)
    gone = [label for value, label in enumerate(labels, start=1) if not left[value]]
    if gone:
        raise DatasetError(f"nothing of {', '.join(gone)} is left: later labels cover it, or its mask is empty")
    write_nifti(target, merged, grid.affine_ras)
    return overlaps


def _read(prepared: Path, file: str) -> Nifti:
    try:
        nifti = parse_nifti((prepared / file).read_bytes())
    except OSError as error:
        raise DatasetError(f"{file} can't be read: {error.strerror}") from error
    if isinstance(nifti, str):
        raise DatasetError(f"{file} {nifti}")
    return nifti
