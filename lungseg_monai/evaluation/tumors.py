"""How well tumours were found: Kamal's Dice in each of the ways it can be meant, and what that leaves out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from lungseg_monai.errors import EvaluationError, NothingToDoError
from lungseg_monai.evaluation.bootstrap import LEVEL, Bootstrap, intervals
from lungseg_monai.evaluation.lesions import lesion_counts
from lungseg_monai.evaluation.metrics import BoolArray, Score, count_slices, overlap_scores
from lungseg_monai.evaluation.surface import surface_scores

TOLERANCE_MM = 3.0  # one slice of NSCLC-Radiomics
Kind = Literal["TP", "FP", "FN", "TN"]
Case = Mapping[str, Any]

DICE_COLUMNS = {
    "slice_dice_section_3_3": "slice Dice by section 3.3: all slices of all patients pooled, both empty 1, "
    "false positive 0",
    "slice_dice_authors_code": "slice Dice as the authors' code: slices of exactly 0 or 1 left out, mean of each "
    "patient, then over patients",
    "volume_dice": "volume Dice of each patient with tumour",
}


def slice_table(predicted: BoolArray, reference: BoolArray) -> list[dict[str, Any]]:
    """Two (I, J, K) masks -> K rows, one for each slice of the third axis.

    Keys: `slice`, `reference_voxels`, `predicted_voxels`, `both_voxels`; `dice` by Kamal's section 3.3 (equation 1;
    both empty 1, false positive 0), never None; `kind`: "TN" both empty, "FP" only the prediction holds something,
    "TP" they overlap, "FN" a slice with tumour whose prediction is empty or does not overlap it: the rule of the
    authors' code. By the plain rule only those "FN" count whose `predicted_voxels` is 0.
    Raises EvaluationError where the shapes differ.
    """
    if predicted.shape != reference.shape or predicted.ndim != 3:
        raise EvaluationError(
            f"the masks have shapes {predicted.shape} and {reference.shape}; two of one shape (I, J, K) are wanted: "
            "write the prediction on the grid of the reference"
        )
    return [
        {
            "slice": k,
            "reference_voxels": count.reference,
            "predicted_voxels": count.predicted,
            "both_voxels": count.both,
            "dice": overlap_scores(count, "one")["dice"],
            "kind": _kind(count.predicted, count.reference, count.both),
        }
        for k, count in enumerate(count_slices(np.asarray(predicted, bool), np.asarray(reference, bool)))
    ]


def _kind(predicted: int, reference: int, both: int) -> Kind:
    if not reference:
        return "FP" if predicted else "TN"
    return "TP" if both else "FN"


def tumor_scores(
    predicted: BoolArray,
    reference: BoolArray,
    spacing_mm: Sequence[float],
    tolerance_mm: float = TOLERANCE_MM,
    slices: Sequence[tuple[int, int]] | None = None,
) -> dict[str, Any]:
    """One patient's scores from two (I, J, K) masks; `summarise_tumors` takes a list of these.

    slices: [start, stop) ranges of the third axis that count, by default all. Keys (numbers, None where not computed):

    - `tumor_bearing` (bool: the reference holds a voxel), `slices`, `tumor_slices`, `overlapping_slices`
    - `slice_dice`: each slice's Dice by section 3.3; `slice_kinds`: each slice's kind (`slice_table`)
    - `slice_dice_section_3_3`: mean of `slice_dice`; `slice_dice_authors_code`: mean of those that are neither exactly
      0 nor exactly 1, None if none is; `slice_dice_tumor_slices`: mean over the slices with tumour, None if none
    - `volume_dice`: of all voxels, None without tumour
    - `false_positive_slices`; `false_negative_slices` (empty or not overlapping), `missed_slices` (empty)
    - `hd95_mm` (None if either mask is empty), `surface_dice` (None if both are), `tolerance_mm`
    - `lesions`, `lesions_found`, `false_positive_lesions`: pieces in 3D, see `lesions.lesion_counts`
    - `reference_ml`, `predicted_ml`, `false_positive_ml`: predicted outside the reference

    Raises EvaluationError where shapes, spacing or tolerance can't be used.
    """
    if len(spacing_mm) != 3 or not all(np.isfinite(step) and step > 0 for step in spacing_mm):
        raise EvaluationError(f"the spacing is {tuple(spacing_mm)}; three positive lengths in mm are wanted")
    if not (np.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise EvaluationError(f"the tolerance is {tolerance_mm} mm; 0 or more is wanted")
    predicted, reference = np.asarray(predicted, bool), np.asarray(reference, bool)
    chosen = _mask_of(slices, reference.shape[-1])
    rows = [row for row, counts in zip(slice_table(predicted, reference), chosen, strict=True) if counts]
    kept_predicted, kept_reference = predicted & chosen, reference & chosen
    lesions = lesion_counts(kept_predicted, kept_reference)
    surfaces = surface_scores(predicted, reference, spacing_mm, slices, tolerance_mm)
    return (
        _slice_scores(rows)
        | _volume_scores(rows, float(np.prod(spacing_mm)) / 1000)
        | {"hd95_mm": surfaces["hd95_mm"], "surface_dice": surfaces["surface_dice"], "tolerance_mm": tolerance_mm}
        | {"lesions": lesions.reference, "lesions_found": lesions.found}
        | {"false_positive_lesions": lesions.false_positive}
    )


def _mask_of(slices: Sequence[tuple[int, int]] | None, count: int) -> BoolArray:
    chosen = np.full(count, slices is None)
    for start, stop in slices or ():
        if not 0 <= start < stop <= count:
            raise EvaluationError(f"the slices [{start}, {stop}) are not in a volume of {count} slices")
        chosen[start:stop] = True
    return chosen


def _slice_scores(rows: Sequence[Case]) -> dict[str, Any]:
    dice, kinds = [row["dice"] for row in rows], [row["kind"] for row in rows]
    with_tumor = [row["dice"] for row in rows if row["reference_voxels"]]
    return {
        "tumor_bearing": bool(with_tumor),
        "slices": len(rows),
        "tumor_slices": len(with_tumor),
        "overlapping_slices": kinds.count("TP"),
        "slice_dice": dice,
        "slice_kinds": kinds,
        "slice_dice_section_3_3": _mean(dice),
        "slice_dice_authors_code": _mean(neither_0_nor_1(dice)),
        "slice_dice_tumor_slices": _mean(with_tumor),
        "false_positive_slices": kinds.count("FP"),
        "false_negative_slices": kinds.count("FN"),
        "missed_slices": sum(row["kind"] == "FN" and not row["predicted_voxels"] for row in rows),
    }


def _volume_scores(rows: Sequence[Case], voxel_ml: float) -> dict[str, Any]:
    predicted, reference, both = (
        sum(row[name] for row in rows) for name in ("predicted_voxels", "reference_voxels", "both_voxels")
    )
    return {
        "volume_dice": 2 * both / (predicted + reference) if reference else None,
        "reference_ml": reference * voxel_ml,
        "predicted_ml": predicted * voxel_ml,
        "false_positive_ml": (predicted - both) * voxel_ml,
    }


def summarise_tumors(cases: Iterable[Case], bootstrap: Bootstrap | None = None) -> dict[str, Any]:
    """Many patients' `tumor_scores` -> one dict of numbers, None where not computed: it goes into JSON as it is.

    - The three columns, `slice_dice_section_3_3`, `slice_dice_authors_code`, `volume_dice` (DICE_COLUMNS says what each
      is), and `slice_dice_authors_code_pooled`, `slice_dice_tumor_slices` (pooled over slices with tumour, a miss 0),
      `hd95_mm`, `surface_dice` (patients with tumour): each {"mean", "median", "mean_ci95", "median_ci95", "n",
      "not_computed", "of"}. `of` is what n counts, "slices" or "patients"; an interval is [low, high] or None.
    - `lesion_sensitivity` {"value", "ci95", "found", "lesions"}; `false_positive_lesions_per_scan` {"value", "ci95"}
    - `patients`, `tumor_bearing_patients`, `slices`, `tumor_slices`, `tumor_free_slices`, `overlapping_slices`,
      `false_positive_slices`, `false_negative_slices` (empty or not overlapping), `missed_slices` (empty): of all
    - `tumor_free`: {"patients", "with_false_positives", "false_positive_slices", "false_positive_ml": {"total",
      "mean", "max"}}: patients without tumour; they stand in no volume Dice, distance or surface Dice
    - `tolerance_mm`, `bootstrap` {"level", "resamples", "seed", "drawn": "patients"}

    Raises NothingToDoError without a case, EvaluationError where the cases' tolerances differ.
    """
    everyone = list(cases)
    if not everyone:
        raise NothingToDoError("there is no case to summarise: score at least one")
    tolerances = sorted({case["tolerance_mm"] for case in everyone})
    if len(tolerances) > 1:
        raise EvaluationError(f"the cases were scored with the tolerances {tolerances} mm: score them with one")
    how = bootstrap or Bootstrap()
    bearing = [case for case in everyone if case["tumor_bearing"]]
    return (
        _columns(everyone, bearing, how)
        | _lesions(everyone, how)
        | _totals(everyone)
        | {"patients": len(everyone), "tumor_bearing_patients": len(bearing)}
        | {"tumor_free": _tumor_free([case for case in everyone if not case["tumor_bearing"]])}
        | {"tolerance_mm": tolerances[0]}
        | {"bootstrap": {"level": LEVEL, "resamples": how.resamples, "seed": how.seed, "drawn": "patients"}}
    )


def neither_0_nor_1(dice: Iterable[float]) -> list[float]:
    """What the authors' code keeps of a patient's slices: it drops hits of exactly 1 together with blank pairs."""
    return [value for value in dice if value not in (0, 1)]


def _columns(everyone: Sequence[Case], bearing: Sequence[Case], how: Bootstrap) -> dict[str, Any]:
    kept = [neither_0_nor_1(case["slice_dice"]) for case in everyone]
    on_tumor = [
        [dice for dice, kind in zip(case["slice_dice"], case["slice_kinds"], strict=True) if kind in ("TP", "FN")]
        for case in everyone
    ]
    columns = {
        "slice_dice_section_3_3": _pooled([case["slice_dice"] for case in everyone], how),
        "slice_dice_authors_code": _over_patients(bearing, "slice_dice_authors_code", how),
        "slice_dice_authors_code_pooled": _pooled(kept, how),
        "slice_dice_tumor_slices": _pooled(on_tumor, how),
    }
    for name in ("volume_dice", "hd95_mm", "surface_dice"):
        columns[name] = _over_patients(bearing, name, how)
    return columns


def _over_patients(cases: Sequence[Case], name: str, how: Bootstrap) -> dict[str, Any]:
    values = [[case[name]] if case[name] is not None else [] for case in cases]
    return _column(values, how) | {"not_computed": sum(not value for value in values), "of": "patients"}


def _pooled(patients: Sequence[Sequence[float]], how: Bootstrap) -> dict[str, Any]:
    return _column(patients, how) | {"not_computed": 0, "of": "slices"}


def _column(patients: Sequence[Sequence[float]], how: Bootstrap) -> dict[str, Any]:
    values = [value for patient in patients for value in patient]
    mean, median = intervals(patients, how)
    return {
        "mean": _mean(values),
        "median": float(np.median(values)) if values else None,
        "mean_ci95": mean and list(mean),
        "median_ci95": median and list(median),
        "n": len(values),
    }


def _lesions(cases: Sequence[Case], how: Bootstrap) -> dict[str, Any]:
    found, lesions = (sum(case[name] for case in cases) for name in ("lesions_found", "lesions"))
    hits = [[1.0] * case["lesions_found"] + [0.0] * (case["lesions"] - case["lesions_found"]) for case in cases]
    false = [[float(case["false_positive_lesions"])] for case in cases]
    sensitivity, per_scan = intervals(hits, how)[0], intervals(false, how)[0]
    return {
        "lesion_sensitivity": {
            "value": found / lesions if lesions else None,
            "ci95": sensitivity and list(sensitivity),
            "found": found,
            "lesions": lesions,
        },
        "false_positive_lesions_per_scan": {
            "value": _mean([value for (value,) in false]),
            "ci95": per_scan and list(per_scan),
        },
    }


def _totals(cases: Sequence[Case]) -> dict[str, int]:
    names = ("slices", "tumor_slices", "overlapping_slices", "false_positive_slices", "false_negative_slices")
    totals = {name: sum(case[name] for case in cases) for name in (*names, "missed_slices")}
    return totals | {"tumor_free_slices": totals["slices"] - totals["tumor_slices"]}


def _tumor_free(cases: Sequence[Case]) -> dict[str, Any]:
    millilitres = [case["false_positive_ml"] for case in cases]
    return {
        "patients": len(cases),
        "with_false_positives": sum(case["false_positive_slices"] > 0 for case in cases),
        "false_positive_slices": sum(case["false_positive_slices"] for case in cases),
        "false_positive_ml": {
            "total": float(sum(millilitres)),
            "mean": _mean(millilitres),
            "max": max(millilitres, default=None),
        },
    }


def _mean(values: Sequence[float]) -> Score:
    return float(np.mean(values)) if values else None
