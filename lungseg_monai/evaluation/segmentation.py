"""Masks as `lungseg segment` writes them, and other files of several labels: which value is which ROI."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lungseg_monai.errors import DatasetError, UsageError
from lungseg_monai.evaluation.masks import MaskFile, Source, path_of
from lungseg_monai.io import read_json

JOURNAL = "segment.json"
CASE_FILE = "case.json"
WRITTEN = ("nifti", "nrrd", "png")  # kinds of masks that can be scored
WHOLES = {"lungs": ("lung_left", "lung_right")}  # labels that are made of others, where nobody says otherwise
Files = dict[str | None, Source]
Values = Mapping[int, str]


def parse_values(text: str | None, option: str) -> dict[int, str]:
    """`1=lung_right,2=lung_left` -> value -> label; nothing for None. Raises UsageError."""
    values: dict[int, str] = {}
    for part in text.split(",") if text is not None else ():
        value, _, name = (piece.strip() for piece in part.partition("="))
        if not value.isdecimal() or int(value) == 0 or not name or int(value) in values:
            raise UsageError(
                f"{option}: {part!r} is no VALUE=NAME; wanted e.g. 1=lung_right,2=lung_left, each value once"
            )
        values[int(value)] = name
    return values


def by_label(path: Path, values: Values) -> Files:
    """A file of several labels as one mask a label, and as the whole that they make together (WHOLES).

    Values of one name are united.
    """
    known = tuple(values)
    inside: dict[str, tuple[int, ...]] = {}
    for value, name in values.items():
        inside[name] = (*inside.get(name, ()), value)
    for whole, parts in WHOLES.items():
        if whole not in inside and all(part in inside for part in parts):
            inside[whole] = tuple(value for part in parts for value in inside[part])
    return {name: MaskFile(path, which, known) for name, which in inside.items()}


def unfold(files: Mapping[str | None, Source], values: Values) -> Files:
    """A case's masks; if it is one single file of several labels, by `values` or as its header says, by label."""
    (first, *more) = files.values()
    if more or isinstance(first, MaskFile):
        return dict(files)
    named = values or named_in_header(first)
    return by_label(first, named) if named else dict(files)


def named_in_header(path: Path) -> dict[int, str]:
    """value -> label, or name where our table does not know it, of 3D Slicer's segmentations (.seg.nrrd)."""
    if not path.name.lower().endswith(".nrrd"):
        return {}
    import SimpleITK

    from data_prep.roi_names import label_of

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:  # it is read again for its voxels, and refused there
        return {}
    tags = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    numbers = [match[1] for key in tags if (match := re.fullmatch(r"Segment(\d+)_LabelValue", key))]
    if any(tags.get(f"Segment{number}_Layer", "0") != "0" for number in numbers):
        return {}
    found = {int(tags[f"Segment{one}_LabelValue"]): tags.get(f"Segment{one}_Name", f"segment {one}") for one in numbers}
    return {value: label_of(name) or name for value, name in found.items()}


def read_segmentation(folder: Path) -> tuple[dict[str, Files], list[tuple[str, str]]]:
    """Case -> its masks, and (case, why) of those without, as segment.json has them.

    Raises DatasetError where segment.json is damaged.
    """
    entries = read_json(folder / JOURNAL).get("cases")
    if not isinstance(entries, dict):
        raise DatasetError(f"{folder / JOURNAL} is damaged (it names no cases): run lungseg segment again")
    cases: dict[str, Files] = {}
    lost: list[tuple[str, str]] = []
    for name, entry in entries.items():
        try:
            if entry["status"] != "done":
                lost.append((name, f"{entry['status']} by lungseg segment: {entry['error']}"))
                continue
            cases[name] = read_segmented(folder / entry["folder"])[1]
        except (KeyError, TypeError) as error:
            raise DatasetError(f"{folder / JOURNAL} is damaged at {name}: run lungseg segment again") from error
        except DatasetError as error:
            lost.append((name, str(error)))
    return cases, lost


def read_segmented(folder: Path) -> tuple[str, Files]:
    """A case's name and masks by its case.json. Raises DatasetError where that is damaged or names no mask."""
    record = read_json(folder / CASE_FILE)
    try:
        values = {int(value): str(name) for value, name in record["labels"].items()}
        file = next((record["outputs"][kind] for kind in WRITTEN if record["outputs"].get(kind)), None)
        name = str(record["case"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{folder / CASE_FILE} is damaged: run lungseg segment again with --overwrite") from error
    if not file:
        raise DatasetError(f"{folder} holds no NIfTI, NRRD or PNG mask: run lungseg segment again with --format nifti")
    return name, by_label(folder / file, values)


def told_beside(files: Files) -> tuple[str | None, Path | None]:
    """The convention that case.json says the mask of a radiograph follows, and its map of probabilities, if any."""
    folder = path_of(next(iter(files.values()))).parent
    if not is_segmented(folder):
        return None, None
    record = read_json(folder / CASE_FILE)
    probability = record["outputs"].get("probability")
    return record.get("convention"), folder / probability if probability else None


def is_segmented(folder: Path) -> bool:
    """Whether `folder` is one case of a segmentation."""
    try:
        record: Any = read_json(folder / CASE_FILE)
    except DatasetError:
        return False
    return {"labels", "outputs", "fingerprint"} <= record.keys()
