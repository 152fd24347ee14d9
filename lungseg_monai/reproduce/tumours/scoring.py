"""Masks out of kept probabilities by a row's rules, and their scores against the original masks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.io import grid_of
from lungseg_monai.postprocessing import TumorRules, mask_on_image
from lungseg_monai.reproduce.cohort import Patient, reference_mask
from lungseg_monai.reproduce.kept import keep_scores, read_probability, scores_path
from lungseg_monai.reproduce.tumours.predicting import upright_of

SCHEMA = 1  # of the kept scores: raise it when what a score means changes


def predicted_mask(probabilities: Path, patient: Patient, rules: TumorRules) -> NDArray[np.bool_]:
    """bool (I, J, K) on the grid and in the axes of the patient's image file."""
    up = upright_of(patient.image)
    probability = read_probability(probabilities, patient).astype(np.float32)
    return up.as_image(mask_on_image(probability, rules, up.spacing_mm, up.shape_ij))


def score_patient(probabilities: Path, patient: Patient, rules: TumorRules) -> dict[str, Any]:
    """evaluation.tumors.tumor_scores of one patient, with `case_id`."""
    from lungseg_monai.evaluation.tumors import tumor_scores

    _, affine_ras = grid_of(patient.image)
    spacing_mm = [float(step) for step in np.linalg.norm(affine_ras[:3, :3], axis=0)]
    mask = predicted_mask(probabilities, patient, rules)
    scores = tumor_scores(mask, reference_mask(patient), spacing_mm, slices=patient.slices)
    return {"case_id": patient.case_id, **scores}


def score_row(
    run: Path, probabilities: Path, patients: Sequence[Patient], rules: TumorRules
) -> tuple[dict[str, Any], list[str]]:
    """The summary of all patients by `rules`, and which patients could not be scored, and why.

    Scores are kept in RUN/scores/; those of the same probabilities and rules are not made again.
    """
    from lungseg_monai.evaluation.tumors import summarise_tumors

    path = scores_path(run, probabilities, rules)
    scores, failed = keep_scores(path, patients, rules, SCHEMA, lambda one: score_patient(probabilities, one, rules))
    return (summarise_tumors(scores) if scores else {}), failed


def rules_text(rules: TumorRules, spatial_size: int) -> str:
    """Rules in a few words: "p > 0.7, disk 7x7 on the network's 256x256"."""
    grid = f"the network's {spatial_size}x{spatial_size}" if rules.grid == "network" else "the image's own grid"
    across = 2 * rules.radius + 1
    kernel = "no dilation" if rules.kernel == "none" or not rules.radius else f"{rules.kernel} {across}x{across}"
    ends = f", first and last {100 * rules.skip_ends:g} % of the slices empty" if rules.skip_ends else ""
    small = f", pieces of {rules.least_mm3:g} mm3 or more" if rules.least_mm3 else ""
    return f"p > {rules.threshold:g}, {kernel} on {grid}{ends}{small}"


def tumor_rules(rules: Any) -> TumorRules:
    """For the type checker: the rules of such a plan are of this kind."""
    if not isinstance(rules, TumorRules):
        raise TypeError(f"wanted TumorRules, got {type(rules).__name__}")
    return rules
