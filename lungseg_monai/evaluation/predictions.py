"""Which masks were predicted: from predictions.json, or from the names of files."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lungseg_monai.errors import DatasetError, NothingToDoError
from lungseg_monai.evaluation.masks import WANTED, Source, is_mask_file, is_picture, is_picture_mask, path_of, stem
from lungseg_monai.evaluation.picture_masks import sides_in, whose
from lungseg_monai.evaluation.segmentation import JOURNAL as SEGMENTED
from lungseg_monai.evaluation.segmentation import (
    WHOLES,
    Files,
    Values,
    is_segmented,
    read_segmentation,
    read_segmented,
    told_beside,
    unfold,
)
from lungseg_monai.io import read_json

JOURNAL = "predictions.json"
NO_SECTION = "all"  # the section of predictions that come without a split
Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PredictedCase:
    """files: label -> mask; the label is None for `<case>.nii.gz`, whose name says only the case.

    slices: [start, stop) ranges of the third axis that count; None for all. Of a radiograph, convention: what the mask
    leaves out, None where nobody said; probability: the map that `lungs` was made from.
    """

    case_id: str
    section: str
    files: Files
    slices: Ranges | None = None
    convention: str | None = None
    probability: Path | None = None


@dataclass(frozen=True)
class Predictions:
    """What predictions.json says, or as much of it as the files' names do.

    labels: label -> the reference's labels it unites. refused: (case id, reason) of what could not be predicted.
    single: one mask was named, so that no other is missed. by_label: files of several labels, in parts and wholes.
    """

    folder: Path
    cases: list[PredictedCase]
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    warning: str | None = None
    checkpoint: dict[str, Any] = field(default_factory=dict)
    refused: list[tuple[str, str]] = field(default_factory=list)
    single: bool = False
    by_label: bool = False

    @property
    def pictures(self) -> bool:
        """Whether these are masks of radiographs."""
        return any(is_picture(path_of(file)) for case in self.cases for file in case.files.values())


def find_predictions(path: Path, values: Values | None = None) -> Predictions:
    """Read a predictions folder, a run that holds one, a segmentation or a case of it, a folder of masks, or one mask.

    values: what the values of files of several labels mean, where no case.json says it. Raises NothingToDoError when
    there is no mask, DatasetError when predictions.json or segment.json is damaged.
    """
    if not path.exists():
        raise NothingToDoError(f"{path} is not there: give a folder with masks, or one mask")
    if not values and (found := _segmentation(path)):
        return found
    found = _find(path)
    values = values or sides_in(case.files for case in found.cases)
    cases = [replace(case, files=unfold(case.files, values)) for case in found.cases]
    parts = any(not isinstance(file, Path) for case in cases for file in case.files.values())
    return replace(found, cases=cases, by_label=parts or found.by_label)


def _segmentation(path: Path) -> Predictions | None:
    """What `lungseg segment` wrote: all of it, one case's folder, or a file in that; None for anything else."""
    whole = path.parent if path.name == SEGMENTED else path
    if (whole / SEGMENTED).is_file():
        cases, lost = read_segmentation(whole)
        found = [_segmented(name, files) for name, files in cases.items()]
        return Predictions(whole, found, refused=lost, by_label=True)
    folder = path if path.is_dir() else path.parent
    if not is_segmented(folder):
        return None
    name, files = read_segmented(folder)
    if path.is_file() and all(one.path.name != path.name for one in files.values() if not isinstance(one, Path)):
        return None
    return Predictions(folder, [_segmented(name, files)], single=True, by_label=True)


def _segmented(name: str, files: Files) -> PredictedCase:
    if not is_picture(path_of(next(iter(files.values())))):
        return PredictedCase(name, NO_SECTION, files)
    convention, probability = told_beside(files)
    return PredictedCase(name, NO_SECTION, files, convention=convention, probability=probability)


def _find(path: Path) -> Predictions:
    if path.name == JOURNAL:
        return _read_journal(path.parent)
    if path.is_file():
        if not is_mask_file(path) and not is_picture(path):
            raise NothingToDoError(f"{path} is no mask: {WANTED}")
        return Predictions(path.parent, [PredictedCase(stem(path), NO_SECTION, {None: path})], single=True)
    for folder in (path, path / "predictions"):
        if (folder / JOURNAL).is_file():
            return _read_journal(folder)
    files = mask_files(path)
    if not files:
        raise NothingToDoError(
            f"{path} holds neither {JOURNAL} nor masks (<case>/<label>.nii.gz or <case>.nii.gz, of X-rays "
            ".png): run inference first"
        )
    return Predictions(path, [PredictedCase(case, NO_SECTION, masks) for case, masks in files.items()])


def mask_files(folder: Path) -> dict[str, Files]:
    """case -> name -> file, of `<case>/<name>.nii.gz`, `<case>/masks/<name>.nii.gz` and (name None) `<case>.nii.gz`.

    Pictures (`<case>/lungs.png`, `<case>.png`, `<case>_mask.png`) are taken where the folder holds no volume.
    """
    volumes: dict[str, Files] = {}
    pictures: dict[str, Files] = {}
    for path in _visible(folder):
        if path.is_dir():
            inside = [file for place in (path / "masks", path) if place.is_dir() for file in _visible(place)]
            for found, fits in ((volumes, is_mask_file), (pictures, is_picture_mask)):
                masks: dict[str | None, Source] = {stem(file): file for file in inside if fits(file)}
                if masks:
                    found.setdefault(path.name, {}).update(masks)
        elif is_mask_file(path):
            volumes.setdefault(stem(path), {})[None] = path
        elif is_picture_mask(path):
            case, name = whose(path)
            if name not in pictures.get(case, {}) or path.stem != case:  # a_mask.png beside a.png, the image
                pictures.setdefault(case, {})[name] = path
    return volumes or pictures


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))


def _read_journal(folder: Path) -> Predictions:
    content = read_json(folder / JOURNAL)
    try:
        labels = {str(label): tuple(map(str, parts)) for label, parts in content["labels"].items()}
        values = {int(value): str(name) for value, name in (content.get("values") or {}).items()}
        cases = [_case(folder, entry, values, content.get("convention")) for entry in content["cases"]]
        warning = (content.get("split") or {}).get("warning")
        checkpoint = dict(content.get("checkpoint") or {})
        refused = [(str(entry["case_id"]), str(entry["reason"])) for entry in content.get("refused") or []]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"{folder / JOURNAL} is damaged ({type(error).__name__}: {error}): run inference again"
        ) from error
    seen = Counter((case.case_id, case.section) for case in cases)
    twice = [f"{case_id} ({section})" for (case_id, section), times in seen.items() if times > 1]
    if twice:
        raise DatasetError(
            f"{folder / JOURNAL} names a case twice in one section: {', '.join(twice)}; remove one entry"
        )
    parts = {name: WHOLES.get(name, (name,)) for case in cases for name in case.files if name} if values else {}
    whole = {label: of for label, of in labels.items() if of != (label,)}  # what the training's labels say goes first
    return Predictions(
        folder, cases, {**labels, **parts, **whole}, warning, checkpoint, refused, by_label=len(values) > 1
    )


def _case(folder: Path, entry: dict[str, Any], values: Values, convention: str | None) -> PredictedCase:
    slices = entry.get("slices")
    files: Files = {str(label): folder / file for label, file in entry["files"].items()}
    return PredictedCase(
        case_id=str(entry["case_id"]),
        section=str(entry.get("section") or NO_SECTION),
        files=unfold(files, values) if values else files,
        slices=None if slices is None else tuple((int(start), int(stop)) for start, stop in slices),
        convention=convention,
        probability=folder / entry["probability"] if entry.get("probability") else None,
    )
