"""Dice of what a model finds in damaged test pictures, and in made radiographs of no hospital."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from benchmarks.radiographs.finders import finder
from benchmarks.radiographs.prepared import Case
from benchmarks.radiographs.spine import to_the_spine
from lungseg_monai.errors import LungsegError
from lungseg_monai.pictures.corruptions import corrupt, grades, mixed
from lungseg_monai.pictures.grey import Picture
from lungseg_monai.pictures.left_lung import complete_left_lung, complete_lungs
from lungseg_monai.pictures.resize import resize
from lungseg_monai.pictures.sides import Labels
from lungseg_monai.synthesis.radiograph import RadiographOptions, make_radiograph

SEED = 9100  # training on made radiographs draws from small seeds, trials of left_lung.py from 4100
NONE, MIXED = ("none", ""), ("three at once", "mixed")
ROWS = [NONE, *grades(), MIXED]
QUICK = [NONE, ("rotated", "strong"), ("borders", "strong"), ("white_lung", "strong"), MIXED]
FILM = RadiographOptions(shape=(256, 256), grid_mm=3.2)
MASKS = {"visible": lambda labels: labels, "left": complete_left_lung, "both": complete_lungs}
SPINE_MM = 24.0
TO_SPINE = f"to {SPINE_MM:g} mm"
REFERENCES = ("visible", TO_SPINE, "completed", "anatomical")


@dataclass(frozen=True)
class Task:
    """One test picture, or made radiograph `number` where there is none, and what is tried on it."""

    case: Case | None
    number: int
    models: tuple[str, ...]
    rows: tuple[tuple[str, str], ...] = ()
    longest: int = 512


@dataclass(frozen=True)
class Score:
    """dice by (reference, mask): of one picture of `row` by `model`. refused: said in place of finding lungs."""

    case_id: str
    model: str
    row: tuple[str, str]
    dice: dict[tuple[str, str], float]
    refused: str = ""


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """2 |A and B| / (|A| + |B|); 1 for two empty masks."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * float(np.count_nonzero(first & second)) / total if total else 1.0


def damaged_scores(task: Task) -> list[Score]:
    """Against the reader's mask ("drawn") and against it completed by the same geometry ("completed")."""
    assert task.case is not None
    picture, labels = _at_most(*task.case.read(), task.longest)
    seed = crc32(task.case.case_id.encode()) % 100_000
    found = []
    for row in task.rows:
        if row == NONE:
            film, truth = picture, labels
        elif row == MIXED:
            film, truth, _ = mixed(picture, labels, seed)
        else:
            film, truth = corrupt(picture, labels, *row, seed)
        references = {"drawn": truth, "completed": complete_lungs(truth)}
        found += [_scored(task.case.case_id, model, row, film, references) for model in task.models]
    return found


def made_scores(task: Task) -> list[Score]:
    film = make_radiograph(SEED, task.number, FILM)
    references = {name: getattr(film, name) for name in REFERENCES if name != TO_SPINE}
    references[TO_SPINE] = to_the_spine(film, SPINE_MM)
    row = ("made", film.facts["view"])
    return [_scored(f"made-{task.number}", model, row, film.image, references) for model in task.models]


def _scored(case_id: str, model: str, row: tuple[str, str], film: Picture, references: dict[str, Labels]) -> Score:
    try:
        labels, refused = finder(model)(film), ""
    except LungsegError as error:
        labels, refused = np.zeros(film.shape, np.uint8), type(error).__name__
    found = {name: change(labels) > 0 for name, change in MASKS.items()}
    scores = {(by, name): dice(mask, truth > 0) for by, truth in references.items() for name, mask in found.items()}
    return Score(case_id, model, row, scores, refused)


def _at_most(picture: Picture, labels: Labels, longest: int) -> tuple[Picture, Labels]:
    """No larger than `longest` pixels a side."""
    share = longest / max(picture.shape)
    if share >= 1:
        return picture, labels
    size = [round(share * side) for side in picture.shape]
    out = np.zeros(size, np.uint8)
    for value in (1, 2):
        out[resize(labels == value, size) >= 0.5] = value
    return np.clip(resize(picture, size), 0, 1), out
