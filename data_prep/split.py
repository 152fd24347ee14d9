"""Who trains and who tests: dataset.json -> datalist.json, by patient (Gao section 2.3.2 splits 2:1).

X-rays are split by group (patient, and same pixels), counted in images.
"""

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil, inf
from pathlib import Path
from typing import Any

from data_prep.dataset import is_radiograph, read_dataset
from data_prep.errors import DatasetError, UsageError
from data_prep.nifti import atomic_file
from data_prep.split_groups import fill, sizes_of, unit_of
from data_prep.split_lists import SECTIONS, read_lists

LARGEST_SHARE = 1e6
WITHIN_PATIENT_WARNING = (
    "Split within one patient: training and test slices come from the same person, "
    "so these scores say nothing about other patients."
)


@dataclass(frozen=True)
class SplitOptions:
    """How to split.

    ratio: training to test, in patients (1:0 keeps none for testing). validation: share of the training patients
    that validates. folds: spread the training patients over so many folds instead. gap_mm: distance left out between
    blocks of one patient's slices (within_patient only). test_count: exactly so many patients test, in place of ratio.
    Of X-rays all of these count images; whole groups of them go to one side, so that a count may miss by one group.
    """

    ratio: tuple[float, float] = (2, 1)
    validation: float = 0.0
    folds: int | None = None
    seed: int = 0
    within_patient: bool = False
    gap_mm: float = 10.0
    test_count: int | None = None

    def __post_init__(self) -> None:
        train, test = self.ratio
        if not 0 < train <= LARGEST_SHARE or not 0 <= test <= LARGEST_SHARE:
            raise UsageError(
                f"--ratio must be TRAIN:TEST, TRAIN above 0, TEST at least 0, both up to 1e6; got {train:g}:{test:g}"
            )
        if not 0 <= self.validation < 1:
            raise UsageError(f"--val is a share of the training patients from 0 up to 1, got {self.validation}")
        if self.folds is not None and self.folds < 2:
            raise UsageError(f"--folds must be 2 or more, got {self.folds}")
        if self.folds and self.validation:
            raise UsageError("--folds and --val exclude each other: each fold validates in its turn")
        if self.folds and self.within_patient:
            raise UsageError("--folds needs several patients; it can't be used with --within-patient")
        if self.test_count is not None and self.test_count < 0:
            raise UsageError(f"--test-count must be 0 or more patients, got {self.test_count}")
        if self.test_count is not None and self.within_patient:
            raise UsageError("--test-count counts patients; it can't be used with --within-patient")
        if not 0 <= self.gap_mm < inf:
            raise UsageError(f"--gap-mm must be a finite number, 0 or more, got {self.gap_mm}")


def write_split(dataset_path: Path, options: SplitOptions, lists: Path | None = None) -> dict[str, Any]:
    """Split dataset.json (or the one in this folder) and write datalist.json beside it; returns what was written.

    `lists`: a file that says who is in which list (split_lists.read_lists), in place of ratio and seed.
    Raises DatasetError (unreadable, or no labelled case), UsageError (too few patients), OutputError.
    """
    if dataset_path.is_dir():
        dataset_path /= "dataset.json"
    datalist = split(read_dataset(dataset_path), options, None if lists is None else read_lists(lists))
    with atomic_file(dataset_path.parent / "datalist.json") as stream:
        stream.write(json.dumps(datalist, indent=2, ensure_ascii=False).encode() + b"\n")
    return datalist


def split(dataset: dict[str, Any], options: SplitOptions, sections: Mapping[str, str] | None = None) -> dict[str, Any]:
    """dataset.json's content -> datalist.json's content. The same cases and seed give the same lists, in any order.

    `sections`: case or patient id -> training, validation or test; without it options decide.
    """
    check_together(options, sections)
    cases = sorted((case for case in dataset["cases"] if labelled_rois(case)), key=lambda case: case["id"])
    left_out = [
        {"case_id": case["id"], "reason": "no ROI with a known label"}
        for case in dataset["cases"]
        if not labelled_rois(case)
    ]
    if not cases:
        raise DatasetError(
            "no case in dataset.json has a mask with a known label, so there is nothing to train on. "
            "See `label` and `reason` of its ROIs."
        )
    if sections is not None:
        lists, unlisted = split_by_lists(cases, sections)
        left_out += unlisted
    else:
        lists = split_slices(cases, options) if options.within_patient else split_patients(cases, options)
    description: dict[str, Any] = {
        "by": "slice" if options.within_patient else "patient",
        "seed": options.seed,
        "ratio": list(options.ratio),
        "folds": options.folds,
    }
    if options.test_count is not None:
        description |= {"ratio": None, "test_count": options.test_count}
    if sections is not None:
        description |= {"seed": None, "ratio": None, "lists": True}
    if any(map(is_radiograph, cases)):
        description["counted"] = "images"
    if options.within_patient:
        description |= {"gap_mm": options.gap_mm, "warning": WITHIN_PATIENT_WARNING}
    return {
        "schema_version": "1.0",
        "dataset": "dataset.json",
        "split": description,
        **lists,
        "left_out": left_out,
        "options": {
            name: value for name, value in asdict(options).items() if name != "test_count" or value is not None
        },
    }


def check_together(options: SplitOptions, sections: Mapping[str, str] | None) -> None:
    """Raise UsageError for options that `sections` would overrule without a word."""
    if sections is not None and replace(options, seed=0) != SplitOptions():
        raise UsageError("--lists says who is in which list: give none of --ratio, --test-count, --val, --folds, "
                         "--within-patient, --gap-mm with it")  # fmt: skip


def split_by_lists(
    cases: Sequence[dict[str, Any]], sections: Mapping[str, str]
) -> tuple[dict[str, list[dict[str, Any]]], list[dict[str, str]]]:
    """Cases to the list that `sections` names for their id, else for their patient's; those without are left out.

    Raises UsageError when a name belongs to no case, when a patient would be in two lists, or when none trains.
    """
    known = {name for case in cases for name in (case["id"], case["patient_id"])}
    unknown = sorted(set(sections) - known)
    if unknown:
        raise UsageError(
            f"--lists names {len(unknown)} that dataset.json has no labelled case of: {', '.join(unknown[:5])}"
            f"{' ...' if len(unknown) > 5 else ''}. Names are case ids, or patient ids, as dataset.json has them."
        )
    lists: dict[str, list[dict[str, Any]]] = {section: [] for section in SECTIONS}
    left_out, section_of, unit = [], dict[str, str](), unit_of(cases)
    for case in cases:
        section = sections.get(case["id"], sections.get(case["patient_id"]))
        if section is None:
            left_out.append({"case_id": case["id"], "reason": "not in the lists"})
            continue
        if section_of.setdefault(unit[case["id"]], section) != section:
            also = " (or with the same pixels)" if is_radiograph(case) else ""
            raise UsageError(
                f"--lists puts case {case['id']} into {section}, another one of that patient{also} into "
                f"{section_of[unit[case['id']]]}: a patient is never on two sides"
            )
        lists[section].append(datalist_entry(case))
    if not lists["training"]:
        raise UsageError("--lists names no case for training")
    return lists, left_out


def split_patients(cases: Sequence[dict[str, Any]], options: SplitOptions) -> dict[str, list[dict[str, Any]]]:
    """Whole patients (X-rays: whole groups) to one list each. Raises UsageError when there are too few of them."""
    unit, size = unit_of(cases), sizes_of(cases)
    units = sorted(size)
    random.Random(options.seed).shuffle(units)
    total = sum(size.values())
    n_test = test_count(total, options.ratio) if options.test_count is None else options.test_count
    test, training = fill(units, size, n_test)
    rest = sum(size[one] for one in training)
    n_validation = max(1, round(options.validation * rest)) if options.validation else 0
    if n_test > total or rest - n_validation < 1 or len(training) < (options.folds or 1):
        raise UsageError(too_few(total, options, "image" if any(map(is_radiograph, cases)) else "patient"))
    validation, training = fill(training, size, n_validation)
    if not training:
        raise UsageError(too_few(len(units), options, "group of images"))

    section_of = dict.fromkeys(test, "test") | dict.fromkeys(validation, "validation")
    fold_of = {one: index % options.folds for index, one in enumerate(training)} if options.folds else {}
    lists: dict[str, list[dict[str, Any]]] = {section: [] for section in SECTIONS}
    for case in cases:
        entry = datalist_entry(case)
        if unit[case["id"]] in fold_of:
            entry["fold"] = fold_of[unit[case["id"]]]
        lists[section_of.get(unit[case["id"]], "training")].append(entry)
    return lists


def test_count(patients: int, ratio: tuple[float, float]) -> int:
    """How many of so many patients (X-rays: images) test: the ratio rounded, at least one where it asks for any.

    The X-ray paper's 3616 images, a tenth to test and a fifth of the rest to validate, are 2603, 651 and 362 so
    (361.6 and 650.8: rounding up gives the same, rounding down does not).
    """
    train, test = ratio
    return max(1, round(patients * test / (train + test))) if test else 0


test_count.__test__ = False  # type: ignore[attr-defined]  # a name that pytest would collect


def too_few(patients: int, options: SplitOptions, what: str = "patient") -> str:
    """The message for a cohort that is too small for its split."""
    sides = f"{options.ratio[0]:g}:{options.ratio[1]:g}"
    if options.test_count is not None:
        sides = f"into training and {options.test_count} that test"
    message = f"{patients} {what}{'s' * (patients != 1)} can't be split {sides}"
    if options.validation:
        message += f" with {options.validation:g} of the training {what}s for validation"
    if options.folds:
        message += f" with {options.folds} folds"
    if what != "patient":
        return f"{message}: images of one patient, or with the same pixels, are never on two sides. Add images."
    advice = "use --within-patient (its scores say nothing about others)" if patients == 1 else "add patients"
    return f"{message}: a patient is never on two sides. To go on, {advice}."


def split_slices(cases: Sequence[dict[str, Any]], options: SplitOptions) -> dict[str, list[dict[str, Any]]]:
    """One patient's slices in contiguous blocks with gaps. Raises UsageError for several patients or too few slices."""
    if any(map(is_radiograph, cases)):
        raise UsageError("--within-patient splits the slices of a CT volume; X-rays have none: leave it out")
    patients = {case["patient_id"] for case in cases}
    if len(patients) > 1:
        raise UsageError(
            f"--within-patient is for a single patient, this dataset has {len(patients)}: "
            "leave it out to split by patient"
        )
    train, test = options.ratio
    weights = {
        "training": train * (1 - options.validation),
        "validation": train * options.validation,
        "test": test,
    }
    wanted = {section: weight for section, weight in weights.items() if weight > 0}
    lists: dict[str, list[dict[str, Any]]] = {section: [] for section in SECTIONS}
    for case in cases:
        gap = ceil(options.gap_mm / case["spacing_mm"][2])
        for section, ranges in slice_blocks(case["shape"][2], wanted, gap).items():
            lists[section].append(datalist_entry(case) | {"slices": [list(block) for block in ranges]})
    return lists


def slice_blocks(slices: int, weights: dict[str, float], gap: int) -> dict[str, list[tuple[int, int]]]:
    """Ranges [start, stop) of each section: the sections in turn, up to three times over, then the first once more.

    `gap` slices are left out between blocks. Several rounds let every section see different heights of the chest
    (short volumes get fewer). The first section, training, has both ends: nothing else in this patient could teach
    what neck and abdomen look like. Raises UsageError when the gaps leave no slice for some section.
    """
    first = next(iter(weights))
    for rounds in (3, 2, 1):
        order = [*list(weights) * rounds, *([first] if len(weights) > 1 else [])]
        usable = slices - gap * (len(order) - 1)
        share = {section: weight / sum(weights.values()) / order.count(section) for section, weight in weights.items()}
        sizes = [int(usable * share[section]) for section in order]
        if usable > 0 and min(sizes) >= max(gap, 1):
            break
    else:
        raise UsageError(
            f"{slices} slices are too few for {len(weights)} sections with gaps of {gap} slices: lower --gap-mm"
        )
    sizes[0] += usable - sum(sizes)  # what rounding left over
    blocks: dict[str, list[tuple[int, int]]] = {section: [] for section in weights}
    start = 0
    for section, size in zip(order, sizes, strict=True):
        blocks[section].append((start, start + size))
        start += size + gap
    return blocks


def labelled_rois(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The usable ROIs of a case: a file and a known label."""
    return [roi for roi in case["rois"] if roi["file"] and roi["label"]]


def datalist_entry(case: dict[str, Any]) -> dict[str, Any]:
    """A case as an entry of a MONAI datalist; `label` and `label_names` run in parallel.

    An X-ray's has its `group` and the `convention` of its masks besides.
    """
    rois = labelled_rois(case)
    more = ("group", "convention") if is_radiograph(case) else ()
    about: dict[str, Any] = {key: case[key] for key in more if key in case}
    return {
        "case_id": case["id"],
        "patient_id": case["patient_id"],
        "image": case["image"],
        "label": [roi["file"] for roi in rois],
        "label_names": [roi["label"] for roi in rois],
        **about,
    }


def summary(datalist: dict[str, Any]) -> str:
    """A line a list, for people."""
    lines = []
    for section in SECTIONS:
        entries = datalist[section]
        line = f"{section:<11} {len(entries):>4} cases of {len({e['patient_id'] for e in entries})} patients"
        if datalist["split"]["by"] == "slice":
            line += f", {sum(stop - start for e in entries for start, stop in e['slices'])} slices"
        folds = Counter(entry["fold"] for entry in entries if "fold" in entry)
        if folds:
            line += ", in folds of " + ", ".join(str(folds[fold]) for fold in sorted(folds))
        lines.append(line)
    lines += [f"left out: {case['case_id']} ({case['reason']})" for case in datalist["left_out"]]
    if "warning" in datalist["split"]:
        lines.append(datalist["split"]["warning"])
    return "\n".join(lines)
