"""The patients of a PREPARED folder for a task in which some have nothing to find, and whether they are real."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.data import SECTIONS, Case, CaseLists, select_cases
from lungseg_monai.errors import DatasetError
from lungseg_monai.io import grid_of, read_json
from lungseg_monai.segment.phantom_only import MAKER

PHANTOM = "phantom data: proves the software, says nothing about patients"
PARTLY_PHANTOM = "partly phantom data: says nothing about patients"
NOT_DRAWN = (
    "no tumour is drawn in it, which does not say that there is none. Count such cases as free of tumour with "
    "--undrawn free"
)


@dataclass(frozen=True)
class Patient:
    """One case of one section. masks: files to unite; none where there is nothing to find. spacing_mm, convention,
    group: of a radiograph, where they are known."""

    case_id: str
    section: str
    image: Path
    masks: tuple[Path, ...] = ()
    slices: tuple[tuple[int, int], ...] | None = None  # of the third axis, where the split is within one patient
    spacing_mm: tuple[float, ...] | None = None
    convention: str | None = None
    group: str = ""


@dataclass(frozen=True)
class Cohort:
    """folder: PREPARED. data_hash: of all images, masks and the split. phantom: stamp for every page, empty for
    patients. left_out: case_id, section, reason. convention: of a radiograph's masks, in words."""

    folder: Path
    patients: list[Patient]
    data_hash: str
    phantom: str = ""
    warning: str = ""
    left_out: list[dict[str, str]] = field(default_factory=list)
    convention: str = ""

    def section(self, *names: str) -> list[Patient]:
        return [one for one in self.patients if one.section in names]


@dataclass(frozen=True)
class Count:
    """Patients, and their slices with and without something to find."""

    patients: int
    with_tumor: int
    without: int


def read_cohort(folder: Path, labels: Mapping[str, Sequence[str]], undrawn: str = "auto") -> Cohort:
    """The cases of dataset.json and datalist.json; `labels`: one target and the labels of ROIs that it unites.

    undrawn: what a case without any such ROI is: "free" of tumour, "skip" (left out), or "auto": free in a phantom,
    left out among patients. A case whose ROI was refused is left out. Raises DatasetError where no training or no test
    case is left, or files are damaged.
    """
    (target,) = labels
    lists = select_cases(folder, labels, needed=("training", "test"), optional=(target,))
    known = {str(case["id"]): case for case in read_json(folder / "dataset.json")["cases"]}
    used = [known[case.case_id] for case in lists.cases]
    made = [is_phantom(case) for case in used]
    free = undrawn == "free" or (undrawn == "auto" and all(made))
    left_out = [dict(entry) for entry in lists.left_out]
    patients = []
    for case in lists.cases:
        if case.masks[target] or free:
            patients.append(_patient(case, target))
        else:
            left_out.append({"case_id": case.case_id, "section": case.section, "reason": NOT_DRAWN})
    data_hash = hash_of(used, lists, labels[target])
    warning = str(lists.split.get("warning") or "")
    cohort = Cohort(folder.resolve(), patients, data_hash, stamp_of(made), warning, left_out)
    _check(cohort, labels[target])
    return cohort


def is_phantom(case: Mapping[str, Any]) -> bool:
    """Whether a case of dataset.json was made by `lungseg-prep phantom`."""
    source = case.get("source")
    return isinstance(source, Mapping) and source.get("manufacturer") == MAKER


def stamp_of(made: Sequence[bool]) -> str:
    """What stands on every page, by which cases are phantoms."""
    return PHANTOM if all(made) else PARTLY_PHANTOM if any(made) else ""


def count_slices(patients: Sequence[Patient]) -> Count:
    """How many slices hold something, by the mask files; of a split within one patient, the section's slices alone."""
    found, total = 0, 0
    for patient in patients:
        held = taken(np.asarray(reference_mask(patient).any(axis=(0, 1))), patient)
        found += int(held.sum())
        total += len(held)
    return Count(len({one.case_id for one in patients}), found, total - found)


def reference_mask(patient: Patient) -> NDArray[np.bool_]:
    """The union of the patient's masks, bool (I, J, K) on the image's grid. Raises DatasetError and EvaluationError."""
    from lungseg_monai.evaluation.masks import read_union

    shape, _ = grid_of(patient.image)
    if not patient.masks:
        return np.zeros(shape, bool)
    union: NDArray[np.bool_] = read_union(list(patient.masks)).voxels
    if union.shape != shape:
        raise DatasetError(f"the masks of {patient.case_id} have shape {union.shape}, its image {shape}: convert again")
    return union


def taken(values: NDArray, patient: Patient) -> NDArray:
    """Of values along the third (or only) axis, those of the patient's slices."""
    if patient.slices is None:
        return values
    return np.concatenate([values[..., start:stop] for start, stop in patient.slices], axis=-1)


def _patient(case: Case, target: str) -> Patient:
    slices = tuple((start, stop) for start, stop in case.slices) if case.slices else None
    return Patient(case.case_id, case.section, case.image, tuple(case.masks[target]), slices)


def _check(cohort: Cohort, parts: Sequence[str]) -> None:
    wanted = " or ".join(parts)
    reasons = "; ".join(f"{entry['case_id']}: {entry['reason']}" for entry in cohort.left_out[:3])
    if not any(patient.masks for patient in cohort.section("training")):
        raise DatasetError(f"no training case of {cohort.folder} has a ROI labelled {wanted}. {reasons}")
    if not cohort.section("test"):
        raise DatasetError(
            f"{cohort.folder} has no test case that can be scored. {reasons} Split again: lungseg-prep split "
            f"{cohort.folder} --ratio 260:40 --val 0.1"
        )


def hash_of(used: Sequence[Mapping[str, Any]], lists: CaseLists, parts: Sequence[str]) -> str:
    """Of the hashes that dataset.json keeps of the files, or where it has none, of sizes and times."""
    told = []
    for entry in used:
        names = [entry["image"], *(roi["file"] for roi in entry["rois"] if roi["label"] in parts and roi["file"])]
        files = entry.get("files") or {}
        folder = lists.folder or Path()
        told.append([entry["id"], [_file_key(folder, name, files) for name in names]])
    sections = {name: [[case.case_id, case.slices] for case in lists.section(name)] for name in SECTIONS}
    return sha256(json.dumps([sorted(told, key=repr), sections]).encode()).hexdigest()


def _file_key(folder: Path, name: str, files: Mapping[str, str]) -> list[Any]:
    within = name.split("/", 1)[-1]
    if within in files:
        return [name, files[within]]
    state = (folder / name).stat() if (folder / name).is_file() else None
    return [name, [state.st_size, state.st_mtime_ns] if state else None]
