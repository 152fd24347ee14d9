"""NIfTI out: atomic, the same bytes for the same voxels, one affine in sform and qform, both with code 1."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import OutputError

GZIP_LEVEL = 1  # isal's level 1 is smaller than zlib's and several times faster


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a hidden file beside `path`; put it in place when the block ends well, remove it when it does not.

    Raises OutputError when the folder can't be written or the disk is full.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(
                f"can't write {path}: {error.strerror or error}. Choose a folder you may write to, with room left."
            ) from error
        raise


def write_nifti(path: Path, array_ijk: NDArray, affine_ras: NDArray[np.float64]) -> None:
    """Write `array_ijk` (any NIfTI dtype, axes i, j, k) as .nii.gz with `affine_ras` (index -> mm, RAS).

    Same input, same bytes: the gzip header carries no time and no file name. Raises OutputError.
    """
    import nibabel as nib
    from isal import igzip

    header = nib.Nifti1Header()
    header.set_data_dtype(array_ijk.dtype)
    header.set_data_shape(array_ijk.shape)
    header.set_xyzt_units("mm")
    header.set_sform(affine_ras, code=1)
    header.set_qform(affine_ras, code=1)
    header["pixdim"][1:4] = np.linalg.norm(affine_ras[:3, :3], axis=0)
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["vox_offset"] = 352
    with (
        atomic_file(path) as stream,
        igzip.IGzipFile(filename="", fileobj=stream, mode="wb", compresslevel=GZIP_LEVEL, mtime=0) as packed,
    ):
        packed.write(header.binaryblock + bytes(4))
        for k in range(array_ijk.shape[2]):  # a slice at a time: no second copy of the volume
            packed.write(array_ijk[:, :, k].tobytes(order="F"))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
