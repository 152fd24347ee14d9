"""Saved masks against the original label files, case by case."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.progress import Progress, silent
from lungseg_monai.errors import EvaluationError, NothingToDoError
from lungseg_monai.evaluation.masks import check_same_grid, read_mask, read_union
from lungseg_monai.evaluation.matching import Labels, Matching, Pair, Refusal, match, named_by_folder, resolve_labels
from lungseg_monai.evaluation.metrics import OVERLAP_METRICS, Empty, count_slices, overlap_scores, volume_errors
from lungseg_monai.evaluation.predictions import Ranges, find_predictions
from lungseg_monai.evaluation.reference import find_reference
from lungseg_monai.evaluation.segmentation import Values
from lungseg_monai.evaluation.summary import summarise
from lungseg_monai.evaluation.surface import SURFACE_METRICS, surface_scores

SCHEMA_VERSION = "1.0"
CASE_METRICS = (*OVERLAP_METRICS, *SURFACE_METRICS, "volume_error_ml", "volume_error_percent")
Rows = list[dict[str, Any]]


def evaluate(
    predictions: Path,
    reference: Path,
    labels: Labels | None = None,
    empty: Empty = "one",
    progress: Progress = silent,
    *,
    values: Values | None = None,
    reference_values: Values | None = None,
) -> dict[str, Any]:
    """Score the masks in `predictions` against `reference`; returns scores.json's content (docs/reference/files.md).

    `labels`: label -> the reference's labels it unites; by default what predictions.json says, or each label of a
    segmentation. values, reference_values: value -> label, of files of several labels. A case that can't be scored
    stands under `refused` and costs no other. Raises NothingToDoError when no case can be scored, UsageError when
    nothing says what a mask is, DatasetError when dataset.json, predictions.json or segment.json is damaged.
    """
    found = find_predictions(predictions, values)
    truth = find_reference(reference, found.cases[0].case_id if len(found.cases) == 1 else None, reference_values)
    found = named_by_folder(found, truth)
    asked = bool(labels)
    labels = resolve_labels(labels or {}, found, truth)
    matching = match(found, truth, labels, asked)
    cases, slices = score_pairs(matching, empty, progress)
    if not cases:
        reasons = "\n".join(f"  {refusal.case_id}: {refusal.reason}" for refusal in matching.refused[:10])
        raise NothingToDoError(f"no prediction in {predictions} could be compared with {reference}\n{reasons}")
    return {
        "schema_version": SCHEMA_VERSION,
        "empty": empty,
        "warning": found.warning,
        "labels": {label: list(parts) for label, parts in labels.items()},
        "metrics": list(CASE_METRICS),
        "summary": summarise(cases, slices, CASE_METRICS),
        "cases": cases,
        "slices": slices,
        "refused": [asdict(refusal) for refusal in matching.refused],
    }


def score_pairs(matching: Matching, empty: Empty, progress: Progress = silent) -> tuple[Rows, Rows]:
    """Rows of cases and of slices. A pair that can't be scored goes to `matching.refused`."""
    cases: Rows = []
    slices: Rows = []
    for pair in progress(matching.pairs, "scoring"):
        try:
            case, its_slices = score_pair(pair, empty)
        except (EvaluationError, MemoryError) as error:
            reason = str(error) or "there is not enough memory for it"
            matching.refused.append(Refusal(pair.case_id, pair.section, pair.label, reason))
            continue
        cases.append(case)
        slices += its_slices
    return cases, slices


def score_pair(pair: Pair, empty: Empty) -> tuple[dict[str, Any], Rows]:
    """One case's row and its slices' rows. Raises EvaluationError: see masks, and ranges outside the volume."""
    predicted, reference = read_mask(pair.prediction), read_union(pair.references)
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
    case = (
        who
        | overlap_scores(whole, empty)
        | surface_scores(predicted.voxels, reference.voxels, reference.spacing_mm, runs(chosen))
        | volume_errors(whole, reference.voxel_mm3)
    )
    return case, slices


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
