"""NIfTI, NRRD and MetaImage files -> voxels and where they are. The affine decides; the axes stay as stored."""

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import DicomError, GeometryError, SeriesError, UnreadableFileError
from data_prep.geometry import LPS_TO_RAS, Array, Grid
from data_prep.planes import FARTHEST_MM
from data_prep.volume_streams import check_packed, surplus, unpack, unpack_exactly

NIFTI = (".nii", ".nii.gz")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
DETACHED = {".nhdr": rb"data file\s*:", ".mhd": rb"ElementDataFile\s*="}
LARGEST_BYTES = 4 * 2**30  # of voxels in one file
DEFLATE_RATIO = 1032  # no gzip stream grows by more
UNITS_MM = {"meter": 1000.0, "micron": 0.001}
SAME_PLACE_MM = 0.1
SHORTEST_MM, LONGEST_MM = 1e-3, 1e3  # sides of voxels
FLAT = 1e-3  # volume between three unit vectors


@dataclass(frozen=True, eq=False)
class Voxels:
    """array_ijk: as stored, before `slope` and `inter`; a 4th axis counts layers. Grid right-handed: slices ascend
    along the normal. tags: the header's own keys (NRRD). notes: what was assumed or flagged."""

    array_ijk: NDArray
    grid: Grid
    slope: float = 1.0
    inter: float = 0.0
    tags: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def ending(path: Path) -> str | None:
    """Which of the known endings the file has, in lower case; None for another or a hidden file."""
    name = path.name.lower()
    return None if name.startswith(".") else next((end for end in (*NIFTI, *ITK)[::-1] if name.endswith(end)), None)


def stem(path: Path) -> str:
    """The file's name without its ending(s): lung for lung.nii.gz and lung.seg.nrrd."""
    name = path.name[: -len(ending(path) or path.suffix) or None]
    return name[:-4] if name.lower().endswith(".seg") else name


def read_voxels(path: Path) -> Voxels:
    """Read a volume of three dimensions (NRRD: or with layers of labels).

    A left-handed file gets its slices in the other order, so that they ascend along the normal as everywhere here:
    each voxel stays where the file's affine has it. Raises UnreadableFileError for damage and absurd sizes, which are
    refused before memory is taken; SeriesError for colours or other dimensions; GeometryError for a useless affine.
    """
    path = Path(path)
    try:
        found = _read_nifti(path) if ending(path) in NIFTI else _read_itk(path)
    except DicomError:
        raise
    except Exception as error:  # nibabel and ITK raise many kinds for damaged bytes
        raise UnreadableFileError(
            f"{path.name} is damaged or not what its ending says ({type(error).__name__})"
        ) from error
    return _right_handed(found)


def _right_handed(found: Voxels) -> Voxels:
    affine = found.grid.affine_lps
    refused = not np.isfinite(affine).all()
    if not refused:
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        refused = spacing.min() < SHORTEST_MM or spacing.max() > LONGEST_MM or np.abs(affine[:3, 3]).max() > FARTHEST_MM
    if refused or abs(np.linalg.det(affine[:3, :3] / spacing)) < FLAT:
        raise GeometryError(
            "its affine is no use: wanted finite numbers, three directions that span a volume, voxels of 0.001 mm to "
            "1 m, an origin within 1 km"
        )
    if np.linalg.det(affine[:3, :3]) > 0:
        return found
    turned = affine.copy()
    turned[:3, 2] = -affine[:3, 2]
    turned[:3, 3] = affine[:3, 3] + affine[:3, 2] * (found.grid.shape_ijk[2] - 1)
    grid = Grid(found.grid.shape_ijk, turned)
    return Voxels(found.array_ijk[:, :, ::-1], grid, found.slope, found.inter, found.tags, found.notes)


def first_values(path: Path) -> NDArray | None:
    """The first voxels of a packed NIfTI file, with slope and intercept, cheaply; None for other kinds of files.

    Raises UnreadableFileError or SeriesError as `read_voxels` does, for what shows in the header.
    """
    if ending(path) not in NIFTI or not _is_gzip(path):
        return None
    try:
        _, dtype, proxy = _nifti_header(path)
        with path.open("rb") as stream:
            start = next(unpack(stream, path.name), b"")[proxy.offset :]
    except DicomError:
        raise
    except Exception as error:  # as in read_voxels
        raise UnreadableFileError(f"{path.name} is damaged or no NIfTI file ({type(error).__name__})") from error
    values = np.frombuffer(start[: len(start) // dtype.itemsize * dtype.itemsize], dtype)
    return values * float(proxy.slope) + float(proxy.inter)


def _nifti_header(path: Path) -> tuple[Any, np.dtype, Any]:
    """Nibabel's image, with its voxels not read yet; their type, and nibabel's proxy for them."""
    import nibabel as nib

    image: Any = nib.load(path)
    if not isinstance(image, nib.Nifti1Image):  # version 2 is a kind of it
        raise UnreadableFileError(f"{path.name} is no NIfTI file")
    dtype = image.header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise SeriesError(f"{path.name} holds several values a voxel ({dtype}): wanted one, in HU or a label")
    return image, dtype, image.dataobj


def _read_nifti(path: Path) -> Voxels:
    image, dtype, proxy = _nifti_header(path)
    shape = tuple(int(n) for n in image.header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    _refuse_shape(path, shape)
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    _refuse_size(path, size, path.stat().st_size, _is_gzip(path))
    _refuse_no_spacing(path, image.header)
    affine, notes = _nifti_affine(image.header)
    if _is_gzip(path):
        with path.open("rb") as stream:
            content = unpack_exactly(stream, proxy.offset, size, path.name)
        raw = np.frombuffer(content, dtype).reshape(shape, order="F")
    else:
        raw = np.asanyarray(proxy.get_unscaled()).reshape(shape, order="F")
        notes += surplus(path, proxy.offset + size)
    grid = Grid((shape[0], shape[1], shape[2]), LPS_TO_RAS @ affine)
    return Voxels(raw, grid, float(proxy.slope), float(proxy.inter), notes=tuple(notes))


def _nifti_affine(header: Any) -> tuple[Array, list[str]]:
    """The affine (RAS, mm): sform, else qform, else voxel sizes alone; and what has to be said about it."""
    notes = []
    sform, s_code = header.get_sform(coded=True)
    qform, q_code = _qform(header, needed=not s_code)
    affine: Array = sform if s_code else qform if qform is not None and q_code else header.get_base_affine()
    if not s_code and not q_code:
        notes.append(
            "the NIfTI header says nothing of its orientation (sform and qform have code 0): axes taken as left, "
            "anterior, superior, as nibabel does; left and right may be swapped"
        )
    elif s_code and q_code and qform is not None:
        ends = np.array([[0, 0, 0, 1], [*(np.array(header.get_data_shape()[:3]) - 1), 1]], float)
        apart = np.linalg.norm((ends @ (sform - qform).T)[:, :3], axis=1).max()
        if apart > SAME_PLACE_MM:
            notes.append(f"sform and qform of the NIfTI header lie up to {apart:.1f} mm apart: sform was taken")
    factor = UNITS_MM.get(header.get_xyzt_units()[0])
    if factor:
        notes.append(f"the NIfTI header measures in {header.get_xyzt_units()[0]}s: turned into mm")
        affine = np.diag([factor, factor, factor, 1]) @ affine
    return affine, notes


def _qform(header: Any, needed: bool) -> tuple[Array | None, int]:
    """The qform and its code; a damaged one counts as none where the sform decides anyway."""
    from nibabel.spatialimages import HeaderDataError

    try:
        return header.get_qform(coded=True)
    except (HeaderDataError, ValueError):
        if needed:
            raise
        return None, 0


def _read_itk(path: Path) -> Voxels:
    import SimpleITK

    data = _data_file(path)
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("NrrdImageIO" if ending(path) in (".nrrd", ".nhdr") else "MetaImageIO")
    reader.ReadImageInformation()
    kind = SimpleITK.GetPixelIDValueAsString(reader.GetPixelIDValue())
    layers = reader.GetNumberOfComponents()
    tags = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    if "complex" in kind or (layers > 1 and not _has_layers(tags)):
        raise SeriesError(f"{path.name} holds several values a voxel ({kind}): wanted one, in HU or a label")
    shape = tuple(reader.GetSize())
    _refuse_shape(path, shape)
    bits = re.search(r"(\d+)-bit", kind)
    size = int(np.prod(shape, dtype=object)) * layers * int(bits[1] if bits else 64) // 8
    _refuse_size(path, size, path.stat().st_size + (data.stat().st_size if data else 0), True)
    notes = check_packed(path, data, size)
    image = reader.Execute()
    array = SimpleITK.GetArrayFromImage(image)
    array_ijk = array.transpose(2, 1, 0) if array.ndim == 3 else array.transpose(2, 1, 0, 3)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    if ending(path) in (".nrrd", ".nhdr") and "NRRD_space" not in tags:
        notes.append("the NRRD header names no space: axes taken as left, posterior, superior")
    return Voxels(array_ijk, Grid((shape[0], shape[1], shape[2]), affine), tags=tags, notes=tuple(notes))


def _has_layers(tags: Mapping[str, str]) -> bool:
    return any(re.fullmatch(r"Segment\d+_\w+", key) for key in tags)


def _data_file(path: Path) -> Path | None:
    """The file beside a detached header that holds the voxels; refuses one that leads elsewhere."""
    pattern = DETACHED.get(ending(path) or "")
    if pattern is None:
        return None
    with path.open("rb") as stream:
        header = stream.read(2**20)
    named = re.search(pattern + rb"[ \t]*(\S[^\r\n]*)", header, re.IGNORECASE)
    name = named[1].decode("utf-8", "replace").strip() if named else ""
    if Path(name).name != name or not name or name == "..":
        raise UnreadableFileError(f"{path.name} names no single data file beside it: its voxels must lie in its folder")
    data = path.parent / name
    if not data.is_file():
        raise UnreadableFileError(f"{path.name} names a data file that is not there: copy both")
    return data


def _refuse_shape(path: Path, shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise SeriesError(f"{path.name} has the shape {shape}: wanted three dimensions, one volume a file")


def _refuse_no_spacing(path: Path, header: Any) -> None:
    """Where neither sform nor qform says how large a voxel is, pixdim has to; nibabel reads its 0 as 1 mm."""
    if int(header["sform_code"]) or int(header["qform_code"]):
        return
    with gzip.open(path) if _is_gzip(path) else path.open("rb") as stream:
        written = type(header).from_fileobj(stream, check=False)["pixdim"][1:4]
    if not np.all(np.abs(written) > 0):
        raise SeriesError(
            f"{path.name} does not say how large its voxels are (pixdim {written.tolist()}, no sform, no qform): "
            "wanted a spacing in mm; write it again with one"
        )


def _refuse_size(path: Path, wanted: int, file_size: int, packed: bool) -> None:
    if wanted > LARGEST_BYTES:
        raise UnreadableFileError(f"{path.name} declares {wanted / 2**30:.1f} GiB of voxels, more than 4: refused")
    if wanted > file_size * (DEFLATE_RATIO if packed else 1):
        raise UnreadableFileError(f"{path.name} is cut short: {file_size} bytes can't hold the {wanted} it declares")


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"
