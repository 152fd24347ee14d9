"""The radiographs of a PREPARED folder, what convention their masks follow, and whether they are of patients."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.dataset import is_radiograph
from lungseg_monai.data import Case, select_cases
from lungseg_monai.errors import DatasetError
from lungseg_monai.io import read_json
from lungseg_monai.reproduce.cohort import Cohort, Patient, hash_of, is_phantom, stamp_of

NOT_SAID = "not said"


@dataclass(frozen=True)
class Pictures:
    """Of one section. patients: groups that no split parts."""

    radiographs: int
    patients: int


def read_radiographs(folder: Path, labels: Mapping[str, Sequence[str]]) -> Cohort:
    """The cases of dataset.json and datalist.json with masks of `labels` (one target and the labels that it unites).

    Raises DatasetError where no training or no test case is left, where cases are no radiographs, or files are damaged.
    """
    (target,) = labels
    lists = select_cases(folder, labels, needed=("training", "test"))
    known = {str(case["id"]): case for case in read_json(folder / "dataset.json")["cases"]}
    used = [known[case.case_id] for case in lists.cases]
    others = [case["id"] for case in used if not is_radiograph(case)]
    if others:
        raise DatasetError(f"{others[0]} in {folder} is no radiograph: prepare X-rays with lungseg-prep cxr")
    patients = [_patient(case, target, known[case.case_id]) for case in lists.cases]
    return Cohort(
        lists.folder or folder,
        patients,
        hash_of(used, lists, (target, *labels[target])),
        stamp_of([is_phantom(case) for case in used]),
        str(lists.split.get("warning") or ""),
        [dict(entry) for entry in lists.left_out],
        _conventions([one for one in patients if one.section == "test"]),
    )


def count(patients: Sequence[Patient]) -> Pictures:
    return Pictures(len(patients), len({one.group for one in patients}))


def _patient(case: Case, target: str, entry: Mapping[str, Any]) -> Patient:
    spacing = entry.get("spacing_mm")
    return Patient(
        case.case_id,
        case.section,
        case.image,
        tuple(case.masks[target]),
        spacing_mm=tuple(spacing) if spacing else None,
        convention=entry.get("convention"),
        group=str(entry.get("group") or entry.get("patient_id") or case.case_id),
    )


def _conventions(patients: Sequence[Patient]) -> str:
    """The masks' one convention, or each with how many there are: what a score means."""
    found = Counter(one.convention or NOT_SAID for one in patients)
    return next(iter(found)) if len(found) == 1 else ", ".join(f"{name} ({n})" for name, n in sorted(found.items()))
