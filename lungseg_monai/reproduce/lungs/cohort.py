"""The patients of a PREPARED folder with lungs to find, and how many of their slices hold any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungseg_monai.data import select_cases
from lungseg_monai.io import read_json
from lungseg_monai.reproduce.cohort import Cohort, Patient, hash_of, is_phantom, reference_mask, stamp_of, taken


@dataclass(frozen=True)
class Slices:
    """Of one section."""

    patients: int
    slices: int
    with_lung: int


def read_lungs(folder: Path, labels: Mapping[str, Sequence[str]]) -> Cohort:
    """The cases of dataset.json and datalist.json with masks of `labels` (one target and the labels that it unites).

    Raises DatasetError where no training or no test case is left, or files are damaged.
    """
    (target,) = labels
    lists = select_cases(folder, labels, needed=("training", "test"))
    known = {str(case["id"]): case for case in read_json(folder / "dataset.json")["cases"]}
    used = [known[case.case_id] for case in lists.cases]
    patients = [
        Patient(
            case.case_id,
            case.section,
            case.image,
            tuple(case.masks[target]),
            tuple((start, stop) for start, stop in case.slices) if case.slices else None,
        )
        for case in lists.cases
    ]
    return Cohort(
        (lists.folder or folder).resolve(),
        patients,
        hash_of(used, lists, [*labels[target], target]),
        stamp_of([is_phantom(case) for case in used]),
        str(lists.split.get("warning") or ""),
        [dict(entry) for entry in lists.left_out],
    )


def count(patients: Sequence[Patient]) -> Slices:
    """Of a split within one patient, the section's slices alone."""
    held = [taken(np.asarray(reference_mask(one).any(axis=(0, 1))), one) for one in patients]
    return Slices(
        len({one.case_id for one in patients}), sum(len(one) for one in held), sum(int(one.sum()) for one in held)
    )
