"""Which slices are shown: best, worst and in-between, as Gao Figures 6-11, but among slices with reference only.

Gao's best are pairs of blank masks and the worst false positives on blank ones; those are told apart here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from lungseg_monai.errors import EvaluationError, LungsegError
from lungseg_monai.evaluation.masks import Volume, check_same_grid, read_mask, read_union, read_volume
from lungseg_monai.evaluation.predictions import Predictions
from lungseg_monai.evaluation.reference import PreparedReference
from lungseg_monai.report.pictures import slice_pictures, view_of

Row = Mapping[str, Any]
SHOWN = 3  # rows of a grid, as in the paper
APART = 3  # slices of one case that are nearer than this look the same: only one of them is shown


@dataclass(frozen=True)
class Tile:
    """A row of a grid: one slice as image, truth and prediction (data URIs), with the sides of the patient."""

    row: Row
    pictures: tuple[str, str, str]
    left: str
    right: str


@dataclass
class Grid:
    """One figure. failed: what could not be shown, and why."""

    title: str
    explanation: str
    rows: list[Row]
    tiles: list[Tile] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def choose_grids(slices: Sequence[Row]) -> list[Grid]:
    """The grids of one label and section, their slices chosen but not yet drawn."""
    scored = [row for row in slices if row["reference_voxels"] and row["dice"] is not None]
    wrong = [row for row in slices if not row["reference_voxels"] and row["predicted_voxels"]]
    middle = float(np.median([row["dice"] for row in scored])) if scored else 0.0
    choices: list[tuple[str, str, Sequence[Row], Callable[[Row], float]]] = [
        ("Best", "highest Dice among slices with reference", scored, lambda row: -row["dice"]),
        ("In-between", "Dice nearest to the median of slices with reference", scored,
         lambda row: abs(row["dice"] - middle)),
        ("Worst", "lowest Dice among slices with reference", scored, lambda row: row["dice"]),
        ("False positives", "largest predictions where the reference is empty (Dice 0)", wrong,
         lambda row: -row["predicted_voxels"]),
    ]  # fmt: skip
    return [Grid(title, explanation, pick(rows, key)) for title, explanation, rows, key in choices if rows]


def pick(rows: Sequence[Row], key: Callable[[Row], float]) -> list[Row]:
    """The first SHOWN rows by `key`, leaving out neighbours of slices that are shown already."""
    chosen: list[Row] = []
    for row in sorted(rows, key=lambda row: (key(row), row["case_id"], row["slice"])):
        near = any(
            row["case_id"] == other["case_id"] and abs(row["slice"] - other["slice"]) < APART for other in chosen
        )
        if not near:
            chosen.append(row)
        if len(chosen) == SHOWN:
            break
    return chosen


def draw(grids: Sequence[Grid], parts: Sequence[str], predictions: Predictions, dataset: PreparedReference) -> None:
    """Fill the grids' tiles, reading each case once. What can't be shown is named under its grid's `failed`."""
    jobs = sorted(((grid, row) for grid in grids for row in grid.rows), key=_case_of)
    for _, of_case in groupby(jobs, key=_case_of):
        mine = list(of_case)
        try:
            image, truth, predicted = _read_case(mine[0][1], parts, predictions, dataset)
        except LungsegError as error:
            for grid, row in mine:
                grid.failed.append(f"{row['case_id']}, slice {row['slice']}: {error}")
            continue
        view = view_of(image)
        for grid, row in mine:
            if not 0 <= row["slice"] < image.voxels.shape[2]:
                grid.failed.append(f"{row['case_id']} has no slice {row['slice']} any more: score it again")
                continue
            pictures = slice_pictures(image, truth.voxels, predicted.voxels, row["slice"])
            grid.tiles.append(Tile(row, pictures, view.left, view.right))
    for grid in grids:
        grid.tiles.sort(key=lambda tile: grid.rows.index(tile.row))


def _case_of(job: tuple[Grid, Row]) -> str:
    return job[1]["case_id"]


def _read_case(
    row: Row, parts: Sequence[str], predictions: Predictions, dataset: PreparedReference
) -> tuple[Volume, Volume, Volume]:
    """Image, truth and prediction of a row's case. Raises EvaluationError when one is missing or on another grid."""
    files = [case.files.get(row["label"]) for case in predictions.cases
             if (case.case_id, case.section) == (row["case_id"], row["section"])]  # fmt: skip
    if not files or files[0] is None:
        raise EvaluationError(f"{predictions.folder} has no {row['label']} of it in section {row['section']}")
    image = read_volume(dataset.image(row["case_id"]))
    truth = read_union(dataset.files(row["case_id"], row["label"], parts))
    predicted = read_mask(files[0])
    for mask in (truth, predicted):
        check_same_grid(mask, image)
    return image, truth, predicted
