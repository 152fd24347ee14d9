"""Saved masks against the original label files, case by case."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from data_prep.progress import Progress, silent
from lungseg_monai.errors import EvaluationError, NothingToDoError, UsageError
from lungseg_monai.evaluation.masks import blank_on, check_same_grid, read_mask, read_union
from lungseg_monai.evaluation.matching import (
    Absent,
    Labels,
    Matching,
    Pair,
    Refusal,
    match,
    named_by_folder,
    resolve_labels,
)
from lungseg_monai.evaluation.metrics import OVERLAP_METRICS, Empty, count_slices, overlap_scores, volume_errors
from lungseg_monai.evaluation.picture_scoring import Conventions, Work, evaluate_pictures
from lungseg_monai.evaluation.predictions import Predictions, Ranges, find_predictions
from lungseg_monai.evaluation.reference import find_reference
from lungseg_monai.evaluation.segmentation import Values
from lungseg_monai.evaluation.summary import groups, select, summarise
from lungseg_monai.evaluation.surface import SURFACE_DICE, SURFACE_METRICS, surface_scores
from lungseg_monai.evaluation.tumors import TOLERANCE_MM, summarise_tumors, tumor_scores

SCHEMA_VERSION = "1.0"
CASE_METRICS = (*OVERLAP_METRICS, *SURFACE_METRICS, "volume_error_ml", "volume_error_percent")
PER_SLICE = ("slice_dice", "slice_kinds")  # what a tumour's case holds of each slice: in a file, the slices' rows do
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Extras:
    """What is scored on request.

    tolerance_mm: of surface Dice; None computes it only with `tumor`, at TOLERANCE_MM. absent: "empty" scores a
    prepared case in which nobody drew the label as one that holds none, which dataset.json can't know.
    """

    tumor: bool = False
    tolerance_mm: float | None = None
    absent: Absent = "refuse"

    def __post_init__(self) -> None:
        if self.tolerance_mm is not None and not 0 <= self.tolerance_mm < np.inf:
            raise UsageError(f"--tolerance-mm: {self.tolerance_mm} mm is no tolerance; 0 or more is wanted")

    @property
    def tolerance(self) -> float | None:
        return TOLERANCE_MM if self.tumor and self.tolerance_mm is None else self.tolerance_mm


@dataclass
class Scored:
    """Rows of cases, of slices, and on request of tumours."""

    cases: Rows = field(default_factory=list)
    slices: Rows = field(default_factory=list)
    tumors: Rows = field(default_factory=list)


def evaluate(
    predictions: Path,
    reference: Path,
    labels: Labels | None = None,
    empty: Empty = "one",
    progress: Progress = silent,
    *,
    values: Values | None = None,
    reference_values: Values | None = None,
    extras: Extras | None = None,
    conventions: Conventions | None = None,
) -> dict[str, Any]:
    """Score the masks in `predictions` against `reference`; returns scores.json's content (docs/reference/files.md).

    `labels`: label -> the reference's labels it unites; by default what predictions.json says, or each label of a
    segmentation. values, reference_values: value -> label, of files of several labels. extras: surface Dice, and
    scores of tumours (docs/reference/scores.md). conventions: of masks of radiographs, where no file says it. A case
    that can't be scored stands under `refused` and costs no other. Raises NothingToDoError when no case can be scored,
    UsageError when nothing says what a mask is or for options that don't go with it, DatasetError when dataset.json,
    predictions.json or segment.json is damaged.
    """
    found = find_predictions(predictions, values)
    truth = find_reference(reference, found.cases[0].case_id if len(found.cases) == 1 else None, reference_values)
    found = named_by_folder(found, truth)
    asked = bool(labels)
    labels = resolve_labels(labels or {}, found, truth)
    extras = extras or Extras()
    matching = match(found, truth, labels, asked, extras.absent)
    _check_options(found, extras, conventions)
    nothing = f"no prediction in {predictions} could be compared with {reference}"
    if found.pictures:
        work = Work(found, truth, empty, conventions or Conventions())
        return evaluate_pictures(work, matching, labels, progress) or _raise_nothing(nothing, matching)
    scored = score_pairs(matching, empty, extras, progress)
    if not scored.cases:
        _raise_nothing(nothing, matching)
    metrics = CASE_METRICS if extras.tolerance is None else (*CASE_METRICS, SURFACE_DICE)
    scores: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "empty": empty,
        "warning": found.warning,
        "labels": {label: list(parts) for label, parts in labels.items()},
        "metrics": list(metrics),
        "summary": summarise(scored.cases, scored.slices, metrics),
        "cases": scored.cases,
        "slices": scored.slices,
        "refused": [asdict(refusal) for refusal in matching.refused],
    }
    if extras.tolerance is not None:
        scores["tolerance_mm"] = extras.tolerance
    return scores | ({"tumors": tumor_part(scored.tumors)} if extras.tumor else {})


def _check_options(found: Predictions, extras: Extras, conventions: Conventions | None) -> None:
    if found.pictures and (extras.tumor or extras.tolerance_mm is not None):
        raise UsageError(f"--tumor and --tolerance-mm are for CT, and {found.folder} holds masks of X-rays")
    if not found.pictures and conventions and (conventions.predictions or conventions.reference):
        raise UsageError(f"--convention and --reference-convention are for X-rays, and {found.folder} holds volumes")


def _raise_nothing(what: str, matching: Matching) -> NoReturn:
    reasons = "\n".join(f"  {refusal.case_id}: {refusal.reason}" for refusal in matching.refused[:10])
    raise NothingToDoError(f"{what}\n{reasons}")


def tumor_part(tumors: Rows) -> dict[str, Rows]:
    """Rows of `tumor_scores` -> a summary for each label and section, and the cases without what slices' rows tell."""
    summary = [
        {"label": label, "section": section} | summarise_tumors(select(tumors, label, section))
        for label, section in groups(tumors)
    ]
    cases = [{key: value for key, value in case.items() if key not in PER_SLICE} for case in tumors]
    return {"summary": summary, "cases": cases}


def score_pairs(matching: Matching, empty: Empty, extras: Extras, progress: Progress = silent) -> Scored:
    """Rows of cases, slices and tumours. A pair that can't be scored goes to `matching.refused`."""
    scored = Scored()
    for pair in progress(matching.pairs, "scoring"):
        try:
            case, slices, tumors = score_pair(pair, empty, extras)
        except (EvaluationError, MemoryError) as error:
            reason = str(error) or "there is not enough memory for it"
            matching.refused.append(Refusal(pair.case_id, pair.section, pair.label, reason))
            continue
        scored.cases.append(case)
        scored.slices += slices
        scored.tumors += tumors
    return scored


def score_pair(pair: Pair, empty: Empty, extras: Extras) -> tuple[dict[str, Any], Rows, Rows]:
    """One case's row, its slices' rows, and a row of its tumours if asked.

    Raises EvaluationError: see masks, and ranges outside the volume.
    """
    predicted = read_mask(pair.prediction)
    reference = blank_on(pair.blank_on) if pair.blank_on else read_union(pair.references)
    check_same_grid(predicted, reference)
    chosen = chosen_slices(pair.slices, reference.voxels.shape[2])
    who = {"case_id": pair.case_id, "section": pair.section, "label": pair.label}

    counts = {int(k): count for k, count in enumerate(count_slices(predicted.voxels, reference.voxels)) if chosen[k]}
    slices = [
        who
        | {"slice": k, "reference_voxels": count.reference, "predicted_voxels": count.predicted}
        | overlap_scores(count, empty)
        for k, count in counts.items()
    ]
    whole = reduce(add, counts.values())
    masks = predicted.voxels, reference.voxels
    case = (
        who
        | overlap_scores(whole, empty)
        | surface_scores(*masks, reference.spacing_mm, runs(chosen), extras.tolerance)
        | volume_errors(whole, reference.voxel_mm3)
    )
    if not extras.tumor:
        return case, slices, []
    tumors = tumor_scores(*masks, reference.spacing_mm, extras.tolerance or 0.0, runs(chosen))
    slices = [row | {"kind": kind} for row, kind in zip(slices, tumors["slice_kinds"], strict=True)]
    return case, slices, [who | tumors]


def chosen_slices(ranges: Ranges | None, count: int) -> NDArray[np.bool_]:
    """[start, stop) ranges -> bool (count,). Raises EvaluationError for ranges that are empty or outside."""
    if ranges is None:
        return np.ones(count, bool)
    chosen = np.zeros(count, bool)
    for start, stop in ranges:
        if not 0 <= start < stop <= count:
            raise EvaluationError(
                f"predictions.json names the slices [{start}, {stop}) of a volume that has {count}: run inference again"
            )
        chosen[start:stop] = True
    if not chosen.any():
        raise EvaluationError("predictions.json names no slice of this volume: run inference again")
    return chosen


def runs(chosen: NDArray[np.bool_]) -> Sequence[tuple[int, int]]:
    """bool (K,) -> the ascending, separate [start, stop) ranges that are True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
