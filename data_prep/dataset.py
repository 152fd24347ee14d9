"""dataset.json, the contract between preparation and training: write, read, check. See docs/reference/files.md."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path, PurePosixPath
from typing import Any

from data_prep.errors import DatasetError
from data_prep.nifti import atomic_file
from data_prep.versions import tool_versions

SCHEMA_VERSION = "1.2"  # dataset.schema.json describes it; readers accept every 1.x
SCHEMA = Path(__file__).with_name("dataset.schema.json")
FILE_NAME = "dataset.json"
CASE_FILE = "case.json"  # in each case's folder: its entry again, so that a broken-off run can go on
CASE_KEYS = ("id", "patient_id", "status", "image", "modality", "shape", "spacing_mm", "orientation", "rois")
ROI_KEYS = ("name", "label", "status", "file")
TEXTS = ("id", "patient_id", "status", "image", "modality", "orientation", "name")  # label and file may be null too
RADIOGRAPHS = ("CR", "DX")  # modalities of images with two axes, rows and columns, whose spacing may be unknown
AFFINE_TOLERANCE = 1e-4


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` atomically; the same content gives the same bytes. Raises OutputError."""
    with atomic_file(path) as stream:
        stream.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256, hexadecimal, of each file below a case's `folder`, by its path there with `/`, in order.

    Left out are case.json, which holds these hashes, and hidden files. Raises OSError for what can't be read.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != CASE_FILE and not path.name.startswith("."):
            with path.open("rb") as stream:
                found[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def write_dataset(
    folder: Path,
    cases: Sequence[Mapping[str, Any]],
    refused: Sequence[Mapping[str, Any]],
    ignored: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Write `folder`/dataset.json, cases in the order of their ids, and return what was written. Raises OutputError."""
    dataset = {
        "schema_version": SCHEMA_VERSION,
        "created_by": tool_versions(),
        "cases": sorted(cases, key=lambda case: case["id"]),
        "refused": list(refused),
        "ignored": list(ignored),
    }
    write_json(folder / FILE_NAME, dataset)
    return dataset


def read_dataset(path: Path) -> dict[str, Any]:
    """Read dataset.json (or the one in the folder `path`).

    Raises DatasetError for a file that is missing, no JSON, of another schema, without a required key or with a value
    of another kind, or that names files outside its own folder.
    """
    path = path / FILE_NAME if path.is_dir() else path
    try:
        dataset = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"can't read {path}: {error.strerror}. Make it with `lungseg-prep dicom2nifti`.") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is no JSON ({error}). Make it again with `lungseg-prep dicom2nifti`.") from error
    found = dataset.get("schema_version") if isinstance(dataset, dict) else None
    if not isinstance(found, str) or not re.fullmatch(r"1\.[0-9]+", found):
        raise DatasetError(f"{path} has schema_version {found}; this version reads 1.x, written as text")
    if not isinstance(dataset.get("cases"), list):
        raise DatasetError(f"{path} has no list `cases`")
    for case in dataset["cases"]:
        _check_keys(case, CASE_KEYS, "case", path)
        for roi in case["rois"]:
            _check_keys(roi, ROI_KEYS, f"ROI of case {case['id']}", path)
        for file in (case["image"], *(roi["file"] for roi in case["rois"])):
            if file is not None and not stays_inside(file):
                raise DatasetError(f"{path} names a file outside its own folder: {json.dumps(file)[:80]}")
    return dataset


def stays_inside(file: str) -> bool:
    """Whether `file`, a path of dataset.json, names something below the folder that holds it, on every system."""
    path = PurePosixPath(file)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and not set(file) & {"\\", "\0"}


def _check_keys(entry: Any, keys: Sequence[str], what: str, path: Path) -> None:
    missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
    if missing:
        raise DatasetError(f"a {what} in {path} lacks {', '.join(missing)}")
    for key in keys:
        wanted = _wanted(key, entry[key], 2 if is_radiograph(entry) else 3)
        if wanted:
            raise DatasetError(
                f"{key} of a {what} in {path} is {json.dumps(entry[key])[:80]}; wanted {wanted}. "
                "Make it again with `lungseg-prep dicom2nifti`."
            )


def is_radiograph(case: Mapping[str, Any]) -> bool:
    """Whether a case of dataset.json is an X-ray: shape and spacing_mm are [rows, columns], files are PNG."""
    return case.get("modality") in RADIOGRAPHS


def holds_radiographs(folder: Path) -> bool:
    """Whether a prepared folder's dataset.json lists X-rays; False where there is none that can be read."""
    try:
        return any(map(is_radiograph, read_dataset(folder / FILE_NAME)["cases"]))
    except (DatasetError, OSError):
        return False


def _wanted(key: str, value: Any, axes: int) -> str | None:
    """What `key` should hold instead of `value`, or None if all is well. axes: those of the image, 2 for an X-ray."""
    if key == "rois":
        return None if isinstance(value, list) else "a list"
    if key in ("shape", "spacing_mm"):
        kinds = int if key == "shape" else (int, float)
        fits = isinstance(value, list) and len(value) == axes
        fits = fits and all(isinstance(one, kinds) and not isinstance(one, bool) and 0 < one < inf for one in value)
        unknown = axes == 2 and key == "spacing_mm"
        if fits or (unknown and value is None):
            return None
        count = f"{'two' if axes == 2 else 'three'} {'whole ' if key == 'shape' else ''}numbers above 0"
        return f"{count} or null" if unknown else count
    if isinstance(value, str) or (value is None and key not in TEXTS):
        return None
    return "text" if key in TEXTS else "text or null"


def check_files(path: Path) -> list[str]:
    """What is wrong with the files that dataset.json names, one sentence each; empty when all is well.

    Reads headers only: files that are missing or no NIfTI (an X-ray: no PNG), an image whose shape differs from
    dataset.json's, a mask on another grid than its image. Raises DatasetError as read_dataset does.
    """
    folder = path if path.is_dir() else path.parent
    problems: list[str] = []
    for case in read_dataset(path)["cases"]:
        if is_radiograph(case):
            problems.extend(_picture_problems(folder, case))
            continue
        image = _header(folder, case["image"], problems)
        if image is not None and list(image.shape) != list(case["shape"]):
            problems.append(f"{case['image']} has shape {list(image.shape)}; dataset.json says {case['shape']}")
        for roi in case["rois"]:
            mask = _header(folder, roi["file"], problems) if roi["file"] else None
            if mask is not None and image is not None:
                problems.extend(_grid_problem(roi["file"], mask, image))
    return problems


def _picture_problems(folder: Path, case: Mapping[str, Any]) -> list[str]:
    from data_prep.radiographs.png import png_header

    problems = []
    for file in filter(None, (case["image"], *(roi["file"] for roi in case["rois"]))):
        found = png_header(folder / file)
        if not (folder / file).is_file():
            problems.append(f"{file} is missing")
        elif found is None:
            problems.append(f"{file} is no readable PNG")
        elif [found.rows, found.columns] != list(case["shape"]):
            problems.append(f"{file} has shape {[found.rows, found.columns]}; dataset.json says {case['shape']}")
    return problems


def _header(folder: Path, file: str, problems: list[str]) -> Any:
    """The opened NIfTI (its voxels unread), or None with a problem noted."""
    import nibabel as nib

    if not (folder / file).is_file():
        problems.append(f"{file} is missing")
        return None
    try:
        return nib.load(folder / file)
    except (OSError, ValueError, EOFError, nib.filebasedimages.ImageFileError) as error:
        problems.append(f"{file} is no readable NIfTI ({type(error).__name__})")
        return None


def _grid_problem(file: str, mask: Any, image: Any) -> list[str]:
    import numpy as np

    if mask.shape != image.shape:
        return [f"{file} has shape {list(mask.shape)}, its image {list(image.shape)}: not the same grid"]
    off = float(np.abs(mask.affine - image.affine).max())
    return (
        [f"{file} lies on another grid than its image: affines differ by {off:.4g}"] if off > AFFINE_TOLERANCE else []
    )
