"""Threshold, kernel and smallest piece of a model chosen on its validation patients, as `lungseg tune` chooses them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lungseg_monai.io import sha256
from lungseg_monai.postprocessing import TumorRules
from lungseg_monai.reproduce.cohort import Patient, reference_mask
from lungseg_monai.reproduce.kept import read_probability
from lungseg_monai.reproduce.tumours.predicting import upright_of


def choose_rules(
    probabilities: Path, patients: Sequence[Patient], base: TumorRules, weights: Path | None = None, stride: int = 1
) -> tuple[TumorRules, float] | None:
    """The rules of tuning.candidates with the highest mean volume Dice over the patients with tumour, and that Dice.

    From kept probabilities, so that nothing is predicted twice. With `weights` they are written beside that file, where
    `lungseg segment --weights` finds them. None where no patient has a tumour.
    """
    from lungseg_monai.tuned import write_tuned
    from lungseg_monai.tuning import Tuned, candidates

    rules = candidates(base)
    bearing = [patient for patient in patients if patient.masks]
    if not bearing:
        return None
    dice = np.stack([_dice(probabilities, patient, rules) for patient in bearing], axis=1)
    free = [_dice(probabilities, patient, rules) for patient in patients if not patient.masks]
    alarms = np.sum([one == 0 for one in free], axis=0) if free else np.zeros(len(rules), np.int64)
    found = Tuned(tuple(rules), dice, alarms, len(free))
    best = found.rules[found.best]
    if weights is not None:
        facts = {"section": "validation", "stride": stride, "weights_sha256": sha256(weights), **found.facts()}
        write_tuned(weights.parent, best, facts)
    return best, float(dice[found.best].mean())


def _dice(probabilities: Path, patient: Patient, rules: Sequence[TumorRules]) -> np.ndarray:
    """(R,) volume Dice of one patient by each of `rules`; without tumour 1 where nothing is found, else 0."""
    from lungseg_monai.tuning import scores_of

    up = upright_of(patient.image)
    truth = reference_mask(patient)
    counted = np.zeros(truth.shape, bool)
    for start, stop in patient.slices or ((0, truth.shape[2]),):
        counted[:, :, start:stop] = True
    probability = read_probability(probabilities, patient).astype(np.float32)
    return scores_of(probability, up, up.turned(truth & counted), up.turned(counted), rules)
