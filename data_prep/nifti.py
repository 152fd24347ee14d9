"""NIfTI out: atomic, the same bytes for the same voxels, one affine in sform and qform, both with code 1.

The header is written here, 348 bytes of the NIfTI-1 standard: importing a library for it takes longer than the image.
"""

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import OutputError

GZIP_LEVEL = 1  # isal's level 1 is smaller than zlib's and several times faster
MOST_THREADS = 4  # more wait for the disk
# How far the quaternion may put a voxel from where the sform puts it. Volumes of 512 x 512 x 300 along DICOM's axes
# stay within 0.0001 mm, nearly all turned at random within 0.01. Those turned by 0.01 to 2 degrees off DICOM's axes
# often don't: float32 is too short for the quaternion there, and the sform alone says where they lie.
SAME_PLACE_MM = 0.01
TYPES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768, "i8": 1024, "u8": 1280}
HEADER = struct.Struct("<i10s18sih1sB8h3f4h8f3fhBB4f2i80s24s2h6f12f16s4s")
MILLIMETRES = 2


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


def write_nifti(path: Path, array_ijk: NDArray, affine_ras: NDArray[np.float64], *, threads: int | None = None) -> None:
    """Write `array_ijk` (any NIfTI dtype, axes i, j, k) as .nii.gz with `affine_ras` (index -> mm, RAS).

    Same input, same bytes, whatever the number of threads (None: one a core, MOST_THREADS at most): one gzip member
    without time and file name. The qform has code 0 where no quaternion says what the sform says (`has_qform`).
    In memory: a few blocks beside the array if that lies slice by slice. Raises OutputError.
    """
    from isal import igzip_threaded

    little = array_ijk.dtype.newbyteorder("<")
    header = nifti_header(array_ijk.shape, little, affine_ras)
    planes = array_ijk.transpose(2, 1, 0)
    with (
        atomic_file(path) as stream,
        igzip_threaded.open(stream, "wb", GZIP_LEVEL, threads=threads or _cores()) as packed,
    ):
        packed.write(header + bytes(4))
        for plane in planes:  # a slice at a time: no second copy of the volume
            packed.write(np.ascontiguousarray(plane, little).data.cast("B"))


def nifti_header(shape_ijk: tuple[int, ...], dtype: np.dtype, affine_ras: NDArray[np.float64]) -> bytes:
    """The 348 bytes of a NIfTI-1 header of one file, little endian. Raises OutputError for what NIfTI-1 can't hold."""
    code = TYPES.get(dtype.str[1:])
    if code is None or len(shape_ijk) != 3 or max(shape_ijk) > 2**15 - 1:
        raise OutputError(f"NIfTI-1 can't hold {dtype} voxels of shape {list(shape_ijk)}: wanted three axes < 32768")
    affine_ras = _as_stored(affine_ras)
    spacing_mm = np.linalg.norm(affine_ras[:3, :3], axis=0)
    facing, quaternion = _quaternion(affine_ras)
    return HEADER.pack(
        *(348, b"", b"", 0, 0, b"", 0),
        *(3, *shape_ijk, 1, 1, 1, 1),
        *(0, 0, 0, 0, code, dtype.itemsize * 8, 0),
        *(facing, *spacing_mm, 1, 1, 1, 1),
        *(352, 1, 0, 0, 0, MILLIMETRES),
        *(0, 0, 0, 0, 0, 0, b"", b""),
        *(int(has_qform(affine_ras, shape_ijk)), 1),
        *(*quaternion, *affine_ras[:3, 3]),
        *affine_ras[:3].ravel(),
        *(b"", b"n+1"),
    )


def has_qform(affine_ras: NDArray[np.float64], shape_ijk: tuple[int, ...]) -> bool:
    """Whether a NIfTI quaternion can say `affine_ras`: within SAME_PLACE_MM at all corners, as readers compute it.

    It can't for a shear, as of a tilted gantry, nor for some turns by nearly 180 degrees, where float32 is too short.
    """
    affine_ras = _as_stored(affine_ras)
    facing, (b, c, d) = _quaternion(affine_ras)
    square = 1 - (b * b + c * c + d * d)
    a = np.sqrt(square) if square > 1e-7 else 0.0
    length = 1.0 if square > 1e-7 else np.sqrt(b * b + c * c + d * d)
    b, c, d = b / length, c / length, d / length
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    apart = turn * np.linalg.norm(affine_ras[:3, :3], axis=0) * [1, 1, facing] - affine_ras[:3, :3]
    corners = np.indices((2, 2, 2)).reshape(3, -1) * (np.array(shape_ijk)[:, None] - 1)
    return bool(np.linalg.norm(apart @ corners, axis=0).max() <= SAME_PLACE_MM)


def _as_stored(affine_ras: NDArray[np.float64]) -> NDArray[np.float64]:
    """As the sform's float32 hold it, so that writer and reader come to one quaternion."""
    return affine_ras.astype(np.float32).astype(float)


def _quaternion(affine_ras: NDArray[np.float64]) -> tuple[int, tuple[float, float, float]]:
    """qfac, and b, c, d as float32 holds them, of the rotation nearest to the affine's axes (a >= 0)."""
    axes = affine_ras[:3, :3] / np.linalg.norm(affine_ras[:3, :3], axis=0)
    facing = -1 if np.linalg.det(axes) < 0 else 1
    left, _, right = np.linalg.svd(axes * [1, 1, facing])
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = left @ right
    # The quaternion is the eigenvector of the largest eigenvalue (Bar-Itzhack 2000): steady at all angles.
    symmetric = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    a, *rest = np.linalg.eigh(symmetric)[1][:, -1]
    b, c, d = (float(np.float32(value if a >= 0 else -value)) for value in rest)
    return facing, (b, c, d)


def _cores() -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MOST_THREADS)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
