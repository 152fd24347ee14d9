"""NIfTI masks -> regions to export: binary files, files of several labels, folders of either."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import NothingToDoError, UsageError
from data_prep.export.regions import MaskError, Refused, Region
from data_prep.geometry import LPS_TO_RAS, Array, Grid

ENDINGS = (".nii.gz", ".nii")
SAME_FORMS_MM = 0.1  # how far sform and qform may put a corner of the volume apart
MOST_LABELS = 256  # an image of more values is no label map
NO_MILLIMETRES = ("meter", "micron")


def find_masks(sources: Sequence[Path]) -> list[Path]:
    """The NIfTI files that `sources` mean: files as they are, of a folder all that lie directly in it, by name.

    Of a case's folder as `lungseg-prep dicom2nifti` writes it, those in `masks`. Raises UsageError for what does not
    exist and NothingToDoError for a folder without NIfTI.
    """
    files: list[Path] = []
    for source in map(Path, sources):
        if source.is_dir():
            inside = source / "masks" if (source / "masks").is_dir() else source
            found = sorted(path for path in inside.iterdir() if path.name.lower().endswith(ENDINGS) and path.is_file())
            if not found:
                raise NothingToDoError(f"no NIfTI masks (.nii.gz, .nii) in {inside}")
            files += found
        elif source.exists():
            files.append(source)
        else:
            raise UsageError(f"{source} does not exist")
    return files


def read_masks(files: Sequence[Path], labels: Mapping[int, str] | None = None) -> Iterator[Region | Refused]:
    """The regions in `files`, one volume in memory at a time; a file that can't be used costs only itself.

    labels: value -> name for files of several values; values without a name are left out. None: such regions are
    called by file and value. A file of one value is called as dataset.json says where that lies at the folder of the
    cases, else by its file name.
    """
    for path in files:
        try:
            values, grid = _read(path)
            present = _labels_in(values)
        except MaskError as error:
            yield Refused(_stem(path), str(error))
            continue
        name, label = _called(path)
        if labels is None and len(present) <= 1:
            yield Region(name, values, grid, label)
            continue
        wanted = labels or {value: f"{name}-{value}" for value in present}
        for value, one in wanted.items():
            yield Region(one, values == value, grid)
        for value in sorted(set(present) - set(wanted)):
            yield Refused(f"{name}, value {value}", "--labels does not name it")


def parse_labels(text: str) -> dict[int, str]:
    """`1=lung_right,2=lung_left` -> value -> name. Raises UsageError."""
    labels: dict[int, str] = {}
    for part in text.split(","):
        value, _, name = (piece.strip() for piece in part.partition("="))
        if not value.isdecimal() or int(value) == 0 or not name or int(value) in labels:
            raise UsageError(
                f"--labels: {part!r} is no VALUE=NAME; wanted e.g. 1=lung_right,2=lung_left, each value once"
            )
        labels[int(value)] = name
    return labels


def _stem(path: Path) -> str:
    ending = next((one for one in ENDINGS if path.name.lower().endswith(one)), "")
    return path.name[: len(path.name) - len(ending)] or path.name


def _called(path: Path) -> tuple[str, str | None]:
    """What the region in `path` was called when it was converted, and its label; else the file's name."""
    folder = path.parent.parent.parent  # PREPARED/<case>/masks/<roi>.nii.gz
    try:
        cases: Any = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["cases"]
        for roi in (roi for case in cases for roi in case["rois"]):
            if roi["file"] and folder / roi["file"] == path:
                return str(roi["name"]) or _stem(path), roi["label"]
    except (OSError, ValueError, LookupError, TypeError):  # none there, or no dataset.json of ours
        pass
    return _stem(path), None


def _read(path: Path) -> tuple[NDArray[np.generic], Grid]:
    """Voxels and where they lie. Raises MaskError."""
    try:
        image = _load(path)
        values = np.asanyarray(image.dataobj)
    except Exception as error:  # nibabel and isal raise whatever damaged bytes lead to; it costs this mask
        raise MaskError(f"{path.name} is no readable NIfTI ({type(error).__name__})") from error
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3 or not values.size:
        raise MaskError(f"it has shape {values.shape}; wanted one volume of three axes")
    return values, Grid(values.shape, _affine_lps(image))


def _load(path: Path) -> Any:
    """The opened NIfTI; of a gzipped one the whole, which isal unpacks twice as fast as nibabel would."""
    import nibabel as nib
    from isal import igzip

    if path.name.lower().endswith(".gz"):
        raw = igzip.decompress(path.read_bytes())
        for kind in (nib.Nifti1Image, nib.Nifti2Image):
            if raw[:4] in (kind.header_class.sizeof_hdr.to_bytes(4, order) for order in ("little", "big")):
                return kind.from_bytes(raw)
    return nib.load(path)


def _affine_lps(image: Any) -> Array:
    header = image.header
    if not hasattr(header, "get_sform"):
        raise MaskError(f"it is {type(image).__name__}, wanted NIfTI")
    sform, qform = _forms(image)
    affine = qform if sform is None else sform
    if affine is None:
        raise MaskError("it has neither sform nor qform, so it does not say where its voxels lie")
    linear = affine[:3, :3]
    if not np.isfinite(affine).all() or abs(np.linalg.det(linear)) < 1e-9:
        raise MaskError("its affine is singular or holds no finite numbers")
    if header.get_xyzt_units()[0] in NO_MILLIMETRES:
        raise MaskError(f"its unit is {header.get_xyzt_units()[0]}; wanted mm")
    unit = linear / np.linalg.norm(linear, axis=0)
    upright = np.abs(unit.T @ unit - np.eye(3)).max() < 1e-3  # a sheared sform can have no equal qform
    if sform is not None and qform is not None and upright:
        corners = np.array(np.meshgrid(*[[0, size - 1] for size in image.shape[:3]])).reshape(3, -1)
        apart = np.linalg.norm((sform - qform)[:3, :3] @ corners + (sform - qform)[:3, 3:], axis=0).max()
        if apart > SAME_FORMS_MM:
            raise MaskError(f"its sform and qform put voxels {apart:.1f} mm apart: which one is right can't be told")
    return LPS_TO_RAS @ affine


def _forms(image: Any) -> tuple[Array | None, Array | None]:
    """sform and qform, None where its code says that there is none. Raises MaskError."""
    from nibabel.spatialimages import HeaderDataError

    try:
        forms = image.header.get_sform(coded=True), image.header.get_qform(coded=True)
    except (HeaderDataError, ValueError) as error:
        raise MaskError("its qform makes no sense") from error
    sform, qform = (None if form is None else np.asarray(form, float) for form, _ in forms)
    return sform, qform


def _labels_in(values: NDArray[np.generic]) -> list[int]:
    """The values in a mask but 0. Raises MaskError for those of an image."""
    if values.dtype.kind == "b":
        return [1] if values.any() else []
    if values.dtype.kind not in "iuf":
        raise MaskError(f"its voxels are {values.dtype}; wanted whole numbers")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise MaskError("it holds voxels that are no finite numbers")
    seen: set[float] = set()
    for k in range(values.shape[2]):  # a slice at a time: sorting the whole volume takes seconds
        slab = values[:, :, k]
        inside = slab[slab != 0]
        if inside.size:
            same = inside.min() == inside.max()
            seen.update(inside[:1].tolist() if same else np.unique(inside).tolist())
        if len(seen) > MOST_LABELS:
            break
    found = sorted(seen)
    if len(found) > MOST_LABELS or any(value != round(value) or value < 0 for value in found):
        raise MaskError("its voxels are not a few whole numbers from 0 up: an image or probabilities, not a mask")
    return [int(value) for value in found]
