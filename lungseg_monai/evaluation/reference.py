"""The truth to score against: the original label files, never resampled, and how several make one label."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lungseg_monai.errors import DatasetError, EvaluationError, NothingToDoError
from lungseg_monai.evaluation.masks import WANTED, Source, is_mask_file, is_picture, stem
from lungseg_monai.evaluation.picture_masks import sides_in
from lungseg_monai.evaluation.predictions import mask_files
from lungseg_monai.evaluation.segmentation import JOURNAL, Files, Values, read_segmentation, told_beside, unfold
from lungseg_monai.io import read_json
from lungseg_monai.rois import NEVER_DRAWN, is_usable, lost_labels


class Reference(Protocol):
    def case_ids(self) -> list[str]:
        """Every case that has a reference."""

    def names(self, case_id: str) -> set[str | None]:
        """What masks the case has; None is one whose name says only the case."""

    def files(self, case_id: str, label: str, parts: Iterable[str]) -> Sequence[Source]:
        """The masks whose union is `label`: those called so, else all of `parts`.

        Raises EvaluationError when the case or one of the parts has no mask.
        """

    def undrawn(self, case_id: str, label: str, parts: Iterable[str]) -> Path | None:
        """The image of a case of which it is known that nobody drew `label` or any of `parts`; None for any other."""

    def about(self, case_id: str) -> "About":
        """What is known of a radiograph and its masks."""


@dataclass(frozen=True)
class About:
    """convention: what the masks leave out. spacing_mm: between rows, between columns. group: whose images go together.

    None is what nobody said.
    """

    convention: str | None = None
    spacing_mm: tuple[float, float] | None = None
    group: str | None = None


@dataclass(frozen=True)
class PreparedReference:
    """A PREPARED folder: ROIs by their label in dataset.json. cases: id -> entry of dataset.json."""

    folder: Path
    cases: dict[str, dict[str, Any]]

    def case_ids(self) -> list[str]:
        return list(self.cases)

    def names(self, case_id: str) -> set[str | None]:
        return {roi["label"] for roi in self.cases.get(case_id, {}).get("rois", []) if roi["label"]}

    def files(self, case_id: str, label: str, parts: Iterable[str]) -> list[Path]:
        if case_id not in self.cases:
            raise EvaluationError(f"no reference: {self.folder / 'dataset.json'} has no case {case_id}")
        rois = self.cases[case_id].get("rois", [])
        lost = lost_labels(rois)
        files: dict[str | None, list[Path]] = {}
        for roi in filter(is_usable, rois):
            files.setdefault(roi["label"], []).append(self.folder / roi["file"])
        parts = list(parts)
        wanted = choose({*files, *(part for part in parts if part in lost)}, label, parts)
        for name in wanted:
            if name in lost:
                raise EvaluationError(f"no whole reference: {lost[name]}")
        return [file for name in wanted for file in files[name]]

    def undrawn(self, case_id: str, label: str, parts: Iterable[str]) -> Path | None:
        """A refused ROI of these labels was drawn, so that something is there; an empty entry of a template was not."""
        rois = self.cases[case_id].get("rois", []) if case_id in self.cases else []
        drawn = {roi["label"] for roi in rois if is_usable(roi) or roi.get("reason") != NEVER_DRAWN}
        return self.image(case_id) if case_id in self.cases and not drawn & {label, *parts} else None

    def about(self, case_id: str) -> About:
        case = self.cases.get(case_id, {})
        spacing = case.get("spacing_mm")
        pair = (float(spacing[0]), float(spacing[1])) if spacing and len(spacing) == 2 else None
        return About(case.get("convention"), pair, case.get("group"))

    def image(self, case_id: str) -> Path:
        """The case's image. Raises EvaluationError when dataset.json names none."""
        file = self.cases.get(case_id, {}).get("image")
        if not file:
            raise EvaluationError(f"{self.folder / 'dataset.json'} has no image of case {case_id}")
        return self.folder / file


@dataclass(frozen=True)
class FolderReference:
    """Masks matched by their names. masks: case -> name (None: `<case>.nii.gz`) -> file."""

    folder: Path
    masks: dict[str, Files]

    def case_ids(self) -> list[str]:
        return list(self.masks)

    def names(self, case_id: str) -> set[str | None]:
        return set(self.masks.get(case_id, {}))

    def files(self, case_id: str, label: str, parts: Iterable[str]) -> Sequence[Source]:
        masks = self.masks.get(case_id)
        if masks is None:
            raise EvaluationError(f"no reference: {self.folder} has no mask of {case_id}")
        if None in masks:
            return [masks[None]]
        return [masks[name] for name in choose(masks, label, parts)]

    def undrawn(self, case_id: str, label: str, parts: Iterable[str]) -> Path | None:
        return None  # a mask that is not there may be lost

    def about(self, case_id: str) -> About:
        files = self.masks.get(case_id, {})
        return About(told_beside(files)[0]) if files else About()


@dataclass(frozen=True)
class FileReference:
    """One mask for the only prediction there is, whatever both are called."""

    path: Path
    case_id: str

    def case_ids(self) -> list[str]:
        return [self.case_id]

    def names(self, case_id: str) -> set[str | None]:
        return {None}

    def files(self, case_id: str, label: str, parts: Iterable[str]) -> list[Path]:
        if case_id != self.case_id:
            raise EvaluationError(f"no reference: {self.path} is the reference of {self.case_id}")
        return [self.path]

    def undrawn(self, case_id: str, label: str, parts: Iterable[str]) -> Path | None:
        return None

    def about(self, case_id: str) -> About:
        return About()


def find_reference(path: Path, only_case: str | None = None, values: Values | None = None) -> Reference:
    """Read a PREPARED folder (or its dataset.json), a segmentation, a folder of masks, or a single mask.

    `only_case` is the id of the prediction where there is just one: a single mask is taken for that. values: what the
    values of files of several labels mean.
    Raises NothingToDoError when there is nothing to compare with, DatasetError when dataset.json is damaged.
    """
    if not path.exists():
        raise NothingToDoError(f"{path} is not there: give a prepared folder, a folder with masks, or one mask")
    if path.name == "dataset.json":
        return read_prepared(path.parent)
    if path.is_file():
        if not is_mask_file(path) and not is_picture(path):
            raise NothingToDoError(f"{path} is no mask: {WANTED}")
        parts = unfold({None: path}, values or sides_in([{None: path}]))
        if None not in parts:
            return FolderReference(path.parent, {only_case or stem(path): parts})
        return FileReference(path, only_case or stem(path))
    if (path / "dataset.json").is_file():
        return read_prepared(path)
    if not values and (path / JOURNAL).is_file():
        return FolderReference(path, read_segmentation(path)[0])
    found = mask_files(path)
    values = values or sides_in(found.values())
    masks = {case: unfold(files, values) for case, files in found.items()}
    if not masks:
        raise NothingToDoError(
            f"{path} holds neither dataset.json nor masks (<case>/<label>.nii.gz or <case>.nii.gz, of X-rays .png) to "
            "compare with"
        )
    return FolderReference(path, masks)


def read_prepared(folder: Path) -> PreparedReference:
    """dataset.json's cases. Raises DatasetError when it is missing or damaged."""
    file = folder / "dataset.json"
    try:
        cases = {str(case["id"]): case for case in read_json(file)["cases"]}
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{file} is damaged ({type(error).__name__}: {error}): run lungseg-prep again") from error
    return PreparedReference(folder, cases)


def choose(there: Iterable[str | None], label: str, parts: Iterable[str]) -> list[str]:
    """Which of the names that are there make `label`: itself if it is one of them, else every part.

    Raises EvaluationError when a part is missing: half a lung is no reference for both.
    """
    names = set(there)
    if label in names:
        return [label]
    wanted = list(parts)
    missing = [part for part in wanted if part not in names]
    if missing or not wanted:
        have = ", ".join(sorted(name for name in names if name)) or "none"
        raise EvaluationError(
            f"no whole reference: no mask of {' or '.join(missing or [label])} (there: {have}). "
            f"Say with --label what {label} is compared with."
        )
    return wanted
