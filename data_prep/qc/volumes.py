"""NIfTI of a prepared case -> array and grid, fast and never larger than its header and dataset.json agree on."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import DatasetError
from data_prep.geometry import LPS_TO_RAS, Grid

HEADER_BYTES = 348


def read_volume(path: Path, shape: Sequence[int]) -> tuple[NDArray, Grid]:
    """The voxels [i, j, k], scaled as the header says (int16 and uint8 as stored), and where they lie.

    `shape` is what dataset.json says. Raises DatasetError where the file is missing, damaged, of another shape, or
    has no usable affine. In memory: the volume once.
    """
    try:
        with _opened(path) as stream:
            header = _header(stream, path, shape)
            array = _voxels(stream, header, tuple(shape))
            if stream.read(1):  # makes gzip compare its checksum, too
                raise DatasetError(f"{path.name} holds more than its header says")
    except FileNotFoundError as error:
        raise DatasetError(f"{path.name} is missing") from error
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise DatasetError(f"{path.name} is damaged or no NIfTI ({type(error).__name__})") from error
    except Exception as error:
        # isal's own error for damaged data derives from Exception alone.
        if type(error).__module__.partition(".")[0] in ("isal", "nibabel", "igzip_lib", "zlib"):
            raise DatasetError(f"{path.name} is damaged or no NIfTI ({type(error).__name__})") from error
        raise
    return array, _grid(header, path, shape)


def _opened(path: Path) -> IO[bytes]:
    from isal import igzip

    return igzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb")


def _header(stream: IO[bytes], path: Path, shape: Sequence[int]) -> Any:
    import nibabel as nib

    header = nib.Nifti1Header.from_fileobj(io.BytesIO(stream.read(HEADER_BYTES)))
    found = header.get_data_shape()
    if tuple(found) != tuple(shape):
        raise DatasetError(f"{path.name} has shape {list(found)}; wanted {list(shape)}")
    return header


def _voxels(stream: IO[bytes], header: Any, shape: tuple[int, ...]) -> NDArray:
    array = np.empty(shape, header.get_data_dtype(), order="F")
    stream.read(max(int(header.get_data_offset()) - HEADER_BYTES, 0))
    view = memoryview(array.T.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    filled = 0
    while filled < len(view):
        count = stream.readinto(view[filled : filled + (1 << 22)])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        filled += count
    slope, intercept = header.get_slope_inter()
    if (slope, intercept) in ((None, None), (1.0, 0.0)):
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    return array * np.float32(slope) + np.float32(intercept)


def _grid(header: Any, path: Path, shape: Sequence[int]) -> Grid:
    affine_ras = header.get_best_affine()
    if not np.isfinite(affine_ras).all() or abs(np.linalg.det(affine_ras[:3, :3])) < 1e-9:
        raise DatasetError(f"{path.name} has no usable affine")
    i, j, k = (int(size) for size in shape)
    return Grid((i, j, k), LPS_TO_RAS @ affine_ras)
