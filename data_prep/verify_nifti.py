"""NIfTI files read to the last byte, and what is wrong with their headers and grids."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep import nifti
from data_prep.geometry import Array

SAME_PLACE_MM = 0.01  # how far a file's affine may put a voxel from where dataset.json says: float32 rounds
QFORM_MM = nifti.SAME_PLACE_MM * 1.01  # how far qform and sform may be apart
HEADER_BYTES = 352


@dataclass(frozen=True, eq=False)
class Nifti:
    """One file's voxels, as stored with axes i, j, k, its sform (index -> mm, RAS) and its header."""

    voxels: NDArray
    affine_ras: Array
    header: object

    @property
    def shape(self) -> tuple[int, ...]:
        return self.voxels.shape


def parse_nifti(packed: bytes) -> Nifti | str:
    """The bytes of a .nii.gz file as a volume, or what is wrong with them. Every byte is looked at."""
    import nibabel as nib
    from isal import igzip
    from isal.isal_zlib import IsalError

    try:
        content = igzip.decompress(packed)
    except (OSError, EOFError, ValueError, MemoryError, IsalError) as error:  # type: ignore[misc]  # isal's stubs say too little
        return f"can't be unpacked to its end ({type(error).__name__}): damaged or cut short"
    try:
        header = nib.Nifti1Header(content[:348])
        dtype, shape = header.get_data_dtype(), header.get_data_shape()
        affine = header.get_sform()
    except (ValueError, nib.spatialimages.HeaderDataError, nib.wrapstruct.WrapStructError) as error:
        return f"is no NIfTI ({type(error).__name__})"
    wanted = HEADER_BYTES + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if len(shape) != 3 or len(content) != wanted or header["vox_offset"] != HEADER_BYTES:
        return f"holds {len(content)} bytes; its header, of shape {list(shape)}, wants {wanted} in three dimensions"
    voxels = np.frombuffer(content, dtype, offset=HEADER_BYTES).reshape(shape, order="F")
    return Nifti(voxels, affine, header)


def header_problems(one: Nifti) -> Iterator[str]:
    """What readers could take in two ways: the codes, the two affines, scaling."""
    header: dict = one.header  # type: ignore[assignment]
    if not np.isfinite(one.affine_ras).all() or abs(np.linalg.det(one.affine_ras)) < 1e-9:
        yield "its sform is no affine"
        return
    if int(header["sform_code"]) != 1:
        yield f"sform code is {int(header['sform_code'])}; wanted 1"
    if int(header["qform_code"]) == 0 and not nifti.has_qform(one.affine_ras, one.shape):
        pass  # a tilted gantry, for example
    elif int(header["qform_code"]) != 1:
        yield f"qform code is {int(header['qform_code'])}; wanted 1"
    else:
        off_mm = apart_mm(header.get_qform(), one.affine_ras, one.shape)  # type: ignore[attr-defined]
        if off_mm > QFORM_MM:
            yield f"qform and sform put a corner {off_mm:.3f} mm apart"
    if header["scl_slope"] not in (0, 1) or header["scl_inter"] != 0:
        yield "its header scales the voxels; wanted them as they are"


def apart_mm(one: Array, other: Array, shape: tuple[int, ...]) -> float:
    """The farthest that two (4, 4) affines put one voxel of a grid apart: at a corner, since they are linear."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape[:3]], [1])).reshape(4, -1)
    return float(np.linalg.norm(((np.asarray(one) - np.asarray(other)) @ corners)[:3], axis=0).max())
