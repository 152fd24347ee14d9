"""A PREPARED folder (docs/reference/files.md) as lists of cases to train, validate and predict on."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import PrepError
from data_prep.remote import open_source
from lungseg_monai.errors import ConfigError, DatasetError
from lungseg_monai.io import Grid, grid_of, read_json
from lungseg_monai.pictures.files import picture_grid
from lungseg_monai.rois import NEVER_DRAWN, is_usable, lost_labels

TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # becomes a file's name
SECTIONS = ("training", "validation", "test")
Labels = Mapping[str, Sequence[str]]
log = getLogger(__name__)


@dataclass(frozen=True)
class Case:
    """One case of one section. masks: target -> files to unite, none of them if it is empty; {} to predict.

    slices: [start, stop) of axis 3.
    """

    case_id: str
    section: str
    image: Path
    shape_ijk: tuple[int, ...]
    masks: dict[str, list[Path]] = field(default_factory=dict)
    slices: list[list[int]] | None = None

    @property
    def slice_count(self) -> int:
        return sum(stop - start for start, stop in self.slices) if self.slices else self.shape_ijk[2]

    def item(self) -> dict[str, Any]:
        """What transforms/chains.py takes."""
        files = {target: [str(path) for path in paths] for target, paths in self.masks.items()}
        item: dict[str, Any] = {
            "image": str(self.image),
            "case_id": self.case_id,
            "slice_count": self.slice_count,
            **files,
        }
        return item if self.slices is None else {**item, "slices": self.slices}


@dataclass(frozen=True)
class CaseLists:
    """Cases of all sections, what was left out and why, the split's own description, and the folder they lie in."""

    cases: list[Case]
    left_out: list[dict[str, str]]
    split: dict[str, Any]
    folder: Path | None = None

    def section(self, *sections: str) -> list[Case]:
        """The cases of `sections`; of all without any."""
        return [case for case in self.cases if not sections or case.section in sections]

    def items(self, *sections: str) -> list[dict[str, Any]]:
        return [case.item() for case in self.section(*sections)]

    def case_ids(self) -> dict[str, list[str]]:
        return {section: [case.case_id for case in self.section(section)] for section in SECTIONS}


class LeftOut(Exception):  # noqa: N818 - no error: the case is named in the report and the others go on
    """Why one case can't be used. `damaged` when its files are at fault, not only a label that it lacks."""

    def __init__(self, reason: str, damaged: bool) -> None:
        super().__init__(reason)
        self.damaged = damaged


def select_cases(
    dataset_dir: str | Path,
    labels: Labels | None = None,
    needed: Sequence[str] = ("training",),
    fold: int | None = None,
    optional: Sequence[str] = (),
) -> CaseLists:
    """Read dataset.json and datalist.json of a PREPARED folder (or of a URL) and check the files that they name.

    `labels` says which targets a case must offer: {lungs: [lung_left, lung_right]} takes cases with ROIs labelled
    `lungs`, else those with all of the parts; None asks for none. `fold` makes that fold the validation list.
    `optional` names the targets that a case may lack, whole or in parts: where none of its ROIs was drawn its mask is
    empty (a patient without tumour); where one was drawn that can't be used the case is left out all the same.
    A case that can't be used is left out and named, with the reason. Raises DatasetError when a file is missing or
    damaged, when no case is left in a section of `needed`, or when there is no such fold; ConfigError for `labels` of
    another form or an unknown section.
    """
    if labels is not None:
        check_labels(labels)
    if set(optional) - set(labels or {}):
        raise ConfigError(f"optional targets must be among those of labels {list(labels or {})}, got {list(optional)}")
    unknown = [section for section in needed if section not in SECTIONS]
    if unknown:
        raise ConfigError(f"there is no section {unknown[0]!r}; there are: {', '.join(SECTIONS)}")
    folder = _here(dataset_dir)
    dataset = _read(folder / "dataset.json", "lungseg-prep dicom2nifti DICOM_FOLDER PREPARED")
    datalist = _read(folder / "datalist.json", f"lungseg-prep split {folder / 'dataset.json'}")
    try:
        known = {str(case["id"]): case for case in dataset["cases"]}
        sections = {name: list(datalist.get(name, [])) for name in SECTIONS}
        if fold is not None:
            sections["training"], sections["validation"] = _fold(sections["training"], fold)
        cases, left_out = _check_all(folder, known, sections, labels, optional)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"dataset.json or datalist.json in {folder} is damaged ({type(error).__name__}: {error}). "
            "Write them again with lungseg-prep dicom2nifti and lungseg-prep split."
        ) from error
    for entry in left_out:
        log.warning("Left out of %s: case %s, %s", entry["section"], entry["case_id"], entry["reason"])
    for target in optional:
        empty = [case.case_id for case in cases if not case.masks[target]]
        if empty:
            log.info("No %s was drawn, taken as none there: %s", target, ", ".join(empty))
    lists = CaseLists(cases, left_out, dict(datalist.get("split") or {}), folder.resolve())
    for section in needed:
        if not lists.section(section):
            raise DatasetError(_none_left(folder, section, left_out, known, labels))
    return lists


def _here(dataset_dir: str | Path) -> Path:
    """The folder, copied here first where a URL names it."""
    try:
        return open_source(dataset_dir)
    except PrepError as error:
        raise DatasetError(str(error)) from error


def check_labels(labels: Labels) -> None:
    """Raise ConfigError unless `labels` are {target: [labels]} whose targets can name files."""
    form = isinstance(labels, Mapping) and all(isinstance(parts, list | tuple) for parts in labels.values())
    if not form or not labels or {"image", "label", "case_id", "slices", "slice_count"} & set(labels):
        raise ConfigError(
            f"labels must name targets and the labels that each unites, as {{'lungs': ['lung_left', 'lung_right']}}; "
            f"a target can't be called image, label, case_id, slices or slice_count. Got {labels!r}"
        )
    for target in labels:
        if not TARGET.fullmatch(str(target)):
            raise ConfigError(
                f"the target {target!r} of --labels names files: it may hold letters of ASCII, digits, _ and -, "
                "beginning with a letter or digit"
            )


def _read(path: Path, command: str) -> dict[str, Any]:
    if not path.parent.is_dir():
        raise DatasetError(
            f"dataset_dir {path.parent} is no folder. Give the PREPARED folder that lungseg-prep dicom2nifti wrote."
        )
    if not path.is_file():
        raise DatasetError(f"there is no {path.name} in {path.parent}: write it with `{command}`")
    return read_json(path)


def _fold(entries: list[dict[str, Any]], fold: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    folds = sorted({entry["fold"] for entry in entries if "fold" in entry})
    if fold not in folds:
        there = f"folds {folds}" if folds else "no folds: write them with `lungseg-prep split --folds K`"
        raise DatasetError(f"fold {fold!r} was asked for, but datalist.json has {there}")
    return [e for e in entries if e["fold"] != fold], [e for e in entries if e["fold"] == fold]


def _check_all(
    folder: Path,
    known: dict[str, Any],
    sections: dict[str, list[dict[str, Any]]],
    labels: Labels | None,
    optional: Sequence[str],
) -> tuple[list[Case], list[dict[str, str]]]:
    cases, left_out = [], []
    for section, entries in sections.items():
        for entry in entries:
            case_id = str(entry["case_id"])
            try:
                cases.append(_check(folder, known.get(case_id), entry, section, labels, optional))
            except LeftOut as reason:
                kind = "damaged" if reason.damaged else "no label"
                left_out.append({"case_id": case_id, "section": section, "reason": str(reason), "kind": kind})
    return cases, left_out


def _check(
    folder: Path,
    known: dict[str, Any] | None,
    entry: dict[str, Any],
    section: str,
    labels: Labels | None,
    optional: Sequence[str],
) -> Case:
    """The entry as a Case whose files are there and lie on one grid. Raises LeftOut."""
    if known is None or known["status"] != "ok":
        raise LeftOut("dataset.json does not have it as usable: run lungseg-prep split again", damaged=True)
    masks = _masks(folder, known, entry, labels, optional) if labels else {}
    image = folder / entry["image"]
    shape, affine = _grid(image)
    for path in (path for paths in masks.values() for path in paths):
        difference = grid_difference(_grid(path), (shape, affine))
        if difference:
            raise LeftOut(
                f"the mask {path.name} lies on another grid than its image: {difference}. Convert the case again.",
                damaged=True,
            )
    slices = entry.get("slices")
    if slices is not None and not all(0 <= start < stop <= shape[2] for start, stop in slices):
        raise LeftOut(f"its slices {slices} don't lie within the image's {shape[2]}: split again", damaged=True)
    return Case(str(entry["case_id"]), section, image, shape, masks, slices)


def _masks(
    folder: Path, known: dict[str, Any], entry: dict[str, Any], labels: Labels, optional: Sequence[str]
) -> dict[str, list[Path]]:
    """target -> mask files. A target is made of ROIs that carry its own name, else of all of its parts.

    An `optional` one is made of those that were drawn; of none, it has no file.
    """
    files: dict[str, list[Path]] = {}
    for name, file in zip(entry["label_names"], entry["label"], strict=True):
        files.setdefault(name, []).append(folder / file)
    lost = lost_labels(known["rois"])
    drawn = {roi["label"] for roi in known["rois"] if is_usable(roi) or roi.get("reason") != NEVER_DRAWN}
    found: dict[str, list[Path]] = {}
    for target, parts in labels.items():
        wanted = [target] if target in files else list(parts)
        if target in optional:
            wanted = [part for part in wanted if part in drawn]
            if not wanted and target not in drawn:
                found[target] = []
                continue
        missing = [part for part in wanted if part not in files or part in lost]
        if missing or not wanted:
            there = ", ".join(sorted(set(files) - set(lost))) or "none"
            blame = "".join(f"; {lost[part]}" for part in missing if part in lost)
            raise LeftOut(
                f"it has no whole {' and no whole '.join(missing or [target])} (there: {there}){blame}", damaged=False
            )
        found[target] = [path for part in wanted for path in files[part]]
    return found


def _grid(path: Path) -> Grid:
    try:
        return picture_grid(path) if path.suffix.lower() == ".png" else grid_of(path)
    except DatasetError as error:
        raise LeftOut(str(error), damaged=True) from error


def grid_difference(one: Grid, other: Grid) -> str:
    """How two grids (shape_ijk, affine_ras) differ: in voxels, or by how many mm; empty if in neither."""
    if tuple(one[0]) != tuple(other[0]):
        return f"{list(one[0])} voxels against {list(other[0])}"
    if np.allclose(one[1], other[1], rtol=0, atol=1e-3):
        return ""
    ends = [[0, size - 1] for size in one[0]]
    corners = np.stack(np.meshgrid(*ends, [1.0], indexing="ij")).reshape(4, -1)
    apart_mm = np.linalg.norm(((one[1] - other[1]) @ corners)[:3], axis=0).max()
    return f"as many voxels, but up to {apart_mm:.3g} mm away"


def _none_left(
    folder: Path, section: str, left_out: Iterable[Mapping[str, str]], known: Mapping[str, Any], labels: Labels | None
) -> str:
    entries = [entry for entry in left_out if entry["section"] == section]
    if not entries:
        return f"the {section} list in {folder / 'datalist.json'} is empty: split again with `lungseg-prep split`"
    reasons = [f"case {entry['case_id']}: {entry['reason'].rstrip('.')}" for entry in entries]
    more = [f"and {len(reasons) - 5} more"] if len(reasons) > 5 else []
    told = f"no case of the {section} list in {folder} can be used: {'; '.join(reasons[:5] + more)}."
    if all(entry["kind"] == "damaged" for entry in entries):
        return told
    there = sorted({roi["label"] for case in known.values() for roi in case["rois"] if roi["label"]})
    wanted = "; ".join(f"{target} = {' + '.join(parts) or target}" for target, parts in (labels or {}).items())
    return (
        f"{told} Labels wanted: {wanted or 'any'}; labels there: {', '.join(there) or 'none'}. Say with --labels what "
        "to learn, for example --labels \"{'lungs': ['lung_left', 'lung_right']}\"."
    )
