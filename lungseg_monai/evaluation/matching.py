"""What is compared with what: each prediction meets its reference, or is refused by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from lungseg_monai.errors import EvaluationError, UsageError
from lungseg_monai.evaluation.masks import Source
from lungseg_monai.evaluation.predictions import PredictedCase, Predictions, Ranges
from lungseg_monai.evaluation.reference import PreparedReference, Reference
from lungseg_monai.evaluation.segmentation import WHOLES

UNNAMED = "mask"  # the label of <case>.nii.gz against <case>.nii.gz
Labels = Mapping[str, tuple[str, ...]]
Absent = Literal["refuse", "empty"]


@dataclass(frozen=True)
class Pair:
    """One mask and the masks whose union it is compared with, in the slices of one section.

    blank_on: the image of a case in which nobody drew the label, so that its reference is empty, on that image's grid.
    """

    case_id: str
    section: str
    label: str
    prediction: Source
    references: tuple[Source, ...]
    slices: Ranges | None = None
    blank_on: Path | None = None


@dataclass(frozen=True)
class Refusal:
    """What is not scored, and why. section is None where no prediction says it."""

    case_id: str
    section: str | None
    label: str | None
    reason: str


@dataclass
class Matching:
    pairs: list[Pair] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


def parse_labels(texts: Sequence[str]) -> Labels:
    """`["lungs=lung_left+lung_right", "gtv"]` -> `{"lungs": ("lung_left", "lung_right"), "gtv": ("gtv",)}`.

    Raises UsageError when a name is empty or comes twice.
    """
    labels: dict[str, tuple[str, ...]] = {}
    for text in texts:
        label, equals, union = (part.strip() for part in text.partition("="))
        parts = tuple(part.strip() for part in union.split("+")) if equals else (label,)
        if not label or not all(parts):
            raise UsageError(f"--label must look like lungs=lung_left+lung_right, got {text!r}")
        if label in labels:
            raise UsageError(f"--label {label} is there twice: join its parts with +")
        labels[label] = parts
    return labels


def resolve_labels(asked: Labels, predictions: Predictions, reference: Reference) -> Labels:
    """label -> the reference's labels it unites: as asked, else by predictions.json, else by the masks' names.

    Raises UsageError where the masks' names don't say what they are.
    """
    if asked:
        return asked
    if predictions.labels:
        return predictions.labels
    names = {name for case in predictions.cases for name in case.files}
    theirs = {name for case in predictions.cases for name in reference.names(case.case_id)}
    if None in names and predictions.pictures and None not in theirs:
        return {"lungs": WHOLES["lungs"]}  # what a nameless mask of a radiograph shows
    if None in names and isinstance(reference, PreparedReference):
        raise UsageError(
            "the predictions' names don't say what they are: add, e.g., --label lungs=lung_left+lung_right"
        )
    return {name or UNNAMED: WHOLES.get(name or UNNAMED, (name or UNNAMED,)) for name in sorted(names, key=str)}


def named_by_folder(predictions: Predictions, reference: Reference) -> Predictions:
    """A single mask whose own name is no case, `<case>/lungs.nii.gz`, becomes that of the case its folder names."""
    if not predictions.single:
        return predictions
    (case,) = predictions.cases
    folder = predictions.folder.resolve().name
    there = reference.case_ids()
    if case.case_id in there or folder not in there:
        return predictions
    return replace(predictions, cases=[replace(case, case_id=folder)])


def match(
    predictions: Predictions, reference: Reference, labels: Labels, asked: bool = True, absent: Absent = "refuse"
) -> Matching:
    """Pair every predicted case with its reference, a pair a label.

    asked: whether somebody said which labels; else, of a file of several labels, those the reference has too count.
    absent: a prepared case in which nobody drew the label is refused, or its reference is taken as empty.

    Refused: a prediction without reference, a case that predictions.json refuses or whose file it does not name, and,
    where neither predictions.json nor a single mask says which cases were meant, a reference without prediction.
    """
    matching = Matching()
    matching.refused += [
        Refusal(case_id, None, None, f"no prediction: {reason}") for case_id, reason in predictions.refused
    ]
    for case in predictions.cases:
        chosen = labels if asked or not predictions.by_label else _suiting(case, labels, reference)
        for label, parts in chosen.items():
            try:
                prediction = _prediction(case, label, alone=len(chosen) == 1)
                references, blank_on = _references(case.case_id, label, parts, reference, absent)
                matching.pairs.append(
                    Pair(case.case_id, case.section, label, prediction, references, case.slices, blank_on)
                )
            except EvaluationError as error:
                matching.refused.append(Refusal(case.case_id, case.section, label, str(error)))
    if not predictions.labels and not predictions.single:
        predicted = {case.case_id for case in predictions.cases} | {case_id for case_id, _ in predictions.refused}
        matching.refused += [
            Refusal(case_id, None, None, f"no prediction: {predictions.folder} has no mask of {case_id}")
            for case_id in reference.case_ids()
            if case_id not in predicted
        ]
    return matching


def _suiting(case: PredictedCase, labels: Labels, reference: Reference) -> Labels:
    """The case's own labels; of a whole and its parts the parts, unless the reference has only the whole."""
    there = reference.names(case.case_id)
    chosen = {label: parts for label, parts in labels.items() if label in case.files}
    for whole, parts in WHOLES.items():
        if whole not in chosen or not all(part in chosen for part in parts):
            continue
        only_whole = not there & set(parts) and bool(there & {whole, None})
        dropped = parts if only_whole else (whole,)
        chosen = {label: of for label, of in chosen.items() if label not in dropped}
    return chosen


def _references(
    case_id: str, label: str, parts: Sequence[str], reference: Reference, absent: Absent
) -> tuple[tuple[Source, ...], Path | None]:
    """The masks to compare with, or none and the image on whose grid the reference is empty."""
    undrawn = reference.undrawn(case_id, label, parts)
    if undrawn and absent == "empty":
        return (), undrawn
    try:
        return tuple(reference.files(case_id, label, parts)), None
    except EvaluationError as error:
        hint = f" If there is no {label} in this case: --absent empty." if undrawn else ""
        raise EvaluationError(f"{error}{hint}") from error


def _prediction(case: PredictedCase, label: str, alone: bool) -> Source:
    prediction = case.files.get(label)
    if prediction is None and (alone or label == UNNAMED):
        prediction = case.files.get(None)
    if prediction is None:
        have = ", ".join(str(name) for name in case.files if name) or "none"
        raise EvaluationError(f"no prediction: {case.case_id} has no mask called {label} (there: {have})")
    return prediction
