"""Files in and out: JSON, NIfTI grids, masks. What is written is written whole or not at all."""

import json
from collections.abc import Mapping, Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.nifti import atomic_file, write_nifti
from lungseg_monai.errors import DatasetError

Grid = tuple[tuple[int, ...], NDArray[np.float64]]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises DatasetError when it can't be read or holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} can't be read ({error}): write it again") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} must hold a JSON object, it holds a {type(content).__name__}: write it again")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` atomically. Raises data_prep's OutputError."""
    with atomic_file(path) as stream:
        stream.write(json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")


def sha256(path: Path) -> str:
    """Hash of a file's bytes, in hex. Raises DatasetError when it can't be read."""
    try:
        with path.open("rb") as stream:
            return file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} can't be read: {error.strerror or error}") from error


def grid_of(path: Path) -> Grid:
    """shape_ijk and affine_ras (4, 4; index -> mm) of a three-dimensional NIfTI file, from its header alone.

    Raises DatasetError when the file is missing, no NIfTI, in colours, or not three-dimensional.
    """
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError

    if not path.is_file():
        raise DatasetError(f"the file {path} is missing")
    try:
        image: Any = nib.load(path)
        shape, affine = tuple(map(int, image.shape)), np.asarray(image.affine, np.float64)
    except (ImageFileError, OSError, EOFError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path} can't be read as NIfTI: {error}") from error
    if image.get_data_dtype().fields:
        raise DatasetError(f"{path} holds colours, not Hounsfield units or a mask: give the CT that it was made from")
    if len(shape) != 3 or min(shape) < 1:
        raise DatasetError(f"{path} must hold one volume with three axes, it has the shape {list(shape)}")
    return shape, affine


def write_masks(
    folder: Path, masks: NDArray[np.uint8], affine_ras: NDArray[np.float64], names: Sequence[str], image: Path
) -> dict[str, Path]:
    """Write masks (T, I, J, K) as folder/<name>.nii.gz on the grid of `image`, the file they were predicted from.

    Raises DatasetError when shape or affine differ from that file's: the mask would lie beside the anatomy.
    """
    shape, affine = grid_of(image)
    if masks.shape != (len(names), *shape) or not np.allclose(affine_ras, affine, atol=1e-3):
        raise DatasetError(
            f"the prediction for {image} is not on its grid: {len(names)} masks of {list(shape)} voxels were wanted, "
            f"got {list(masks.shape)}; largest difference of the affines {np.abs(affine_ras - affine).max():.3g}"
        )
    files = {name: folder / f"{name}.nii.gz" for name in names}
    for mask, path in zip(masks, files.values(), strict=True):
        write_nifti(path, np.ascontiguousarray(mask), affine)
    return files
