"""Threshold and kernel of a model chosen on its validation patients."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lungseg_monai.postprocessing import TumorRules, mask_on_image
from lungseg_monai.reproduce.cohort import Patient, reference_mask, taken
from lungseg_monai.reproduce.predicting import read_probability, upright

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def choose_rules(probabilities: Path, patients: Sequence[Patient], base: TumorRules) -> tuple[TumorRules, float] | None:
    """The threshold and kernel with the highest mean volume Dice over the patients with tumour, and that Dice.

    Tried are THRESHOLDS, without dilation and with disks of 1 to base.radius pixels on base.grid. None where no
    patient has a tumour. Of equal ones the first.
    """
    bearing = [patient for patient in patients if patient.masks]
    if not bearing:
        return None
    rules = [
        replace(base, threshold=threshold, kernel="disk" if radius else "none", radius=radius)
        for radius in range(base.radius + 1)
        for threshold in THRESHOLDS
    ]
    dice = np.mean([_dice(probabilities, patient, rules) for patient in bearing], axis=0)
    best = int(np.argmax(dice))
    return rules[best], float(dice[best])


def _dice(probabilities: Path, patient: Patient, rules: Sequence[TumorRules]) -> list[float]:
    """Volume Dice of one patient by each of `rules`."""
    shape, spacing_mm, back = upright(patient.image)
    probability = read_probability(probabilities, patient).astype(np.float32)
    truth = taken(reference_mask(patient), patient)
    found = []
    for one in rules:
        mask = taken(back(mask_on_image(probability, one, spacing_mm, (shape[0], shape[1]))), patient)
        both, total = np.count_nonzero(mask & truth), np.count_nonzero(mask) + np.count_nonzero(truth)
        found.append(2 * both / total if total else 1.0)
    return found
