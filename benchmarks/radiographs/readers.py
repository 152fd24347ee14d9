"""Perfect masks of made radiographs by one convention, scored by readers of another."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.radiographs.measure import FILM, dice
from benchmarks.radiographs.prepared import Case
from benchmarks.radiographs.spine import to_the_spine
from lungseg_monai.pictures.left_lung import complete_left_lung, complete_lungs
from lungseg_monai.pictures.sides import Labels
from lungseg_monai.synthesis.radiograph import make_radiograph

SEED = 9200  # as in measure.py
SPINES_MM = (32.0, 24.0, 16.0)  # on the receptor, from the midline: where a reader of the left-out strip stops
MASKS: dict[str, Callable[[Labels], Labels]] = {
    "visible": lambda labels: labels,
    "complete_left_lung(visible)": complete_left_lung,
    "complete_lungs(visible)": complete_lungs,
}


@dataclass(frozen=True)
class Read:
    """dice by (mask, reader) of one film; gain: pixels that a mask adds, of those visible; inside: of them, in lung."""

    view: str
    healthy: bool
    dice: dict[tuple[str, str], float]
    gain: dict[str, float]
    inside: dict[str, float]


def readers() -> list[str]:
    return ["visible", *(f"to {mm:g} mm" for mm in SPINES_MM), "completed", "anatomical"]


def read_film(number: int) -> Read | None:
    """None where a lung is missing: nothing to compare."""
    film = make_radiograph(SEED, number, replace(FILM, difficulty=0.7))
    if not all((film.visible == side).any() for side in (1, 2)):
        return None
    masks = {name: change(film.visible) for name, change in MASKS.items()}
    truths = {
        "visible": film.visible,
        **{f"to {mm:g} mm": to_the_spine(film, mm) for mm in SPINES_MM},
        "completed": film.completed,
        "anatomical": film.anatomical,
    }
    scores = {(name, by): dice(mask > 0, truth > 0) for name, mask in masks.items() for by, truth in truths.items()}
    seen = int(np.count_nonzero(film.visible))
    added = {name: (mask > 0) & (film.visible == 0) for name, mask in masks.items()}
    inside = {name: float((film.completed[where] > 0).mean()) if where.any() else 1.0 for name, where in added.items()}
    gain = {name: int(np.count_nonzero(where)) / seen for name, where in added.items()}
    return Read(film.facts["view"], not film.facts["findings"], scores, gain, inside)


def read_drawn(case: Case) -> dict[str, float] | None:
    """Dice of a real reader's mask with itself completed: no score, but what the conventions are apart there."""
    labels = case.read()[1]
    if not all((labels == side).any() for side in (1, 2)):
        return None
    return {name: dice(change(labels) > 0, labels > 0) for name, change in MASKS.items()}
