"""Curves of training and sample predictions of each network, as Figures 3 to 12 of the chest X-ray paper."""

from collections.abc import Sequence
from pathlib import Path

from lungseg_monai.errors import LungsegError
from lungseg_monai.pictures.files import read_picture
from lungseg_monai.reproduce.cohort import Patient
from lungseg_monai.reproduce.kept import folder_of
from lungseg_monai.reproduce.kind import Figure
from lungseg_monai.reproduce.made import Made, Reproduction
from lungseg_monai.reproduce.plan import Row, rows_of
from lungseg_monai.reproduce.radiographs.scoring import cxr_rules, predicted_of, reference_of

AT = (0.0, 0.34, 0.67, 1.0)  # of the cases in order of Dice: the worst, two between, the best


def draw_all(done: Reproduction) -> list[Figure]:
    """PNG files in OUT/figures for each model that has scores. What can't be drawn is left out."""
    scored = [(made, rows_of(done.tables, made.model)[0]) for made in done.made.values() if made.scores]
    folder = done.options.out / "figures"
    found = [_curves(made, row, folder / f"{made.model.name}-curves.png") for made, row in scored]
    chosen = samples(done, *scored[0]) if scored else []
    found += [_samples(made, row, chosen, folder / f"{made.model.name}-predictions.png") for made, row in scored]
    return [one for one in found if one is not None]


def samples(done: Reproduction, made: Made, row: Row) -> list[Patient]:
    """Four test cases over the range of a row's Dice, to be shown of every network."""
    by_id = {one.case_id: one for one in done.cohort.section("test")}
    dice = (made.scores.get(row.rules) or {}).get("cases") or {}
    order = sorted((name for name in dice if dice[name] is not None and name in by_id), key=lambda name: dice[name])
    places = dict.fromkeys(round(at * (len(order) - 1)) for at in AT) if order else {}
    return [by_id[order[place]] for place in places]


def _curves(made: Made, row: Row, path: Path) -> Figure | None:
    from lungseg_monai.report.picture_grids import curves_picture
    from lungseg_monai.report.run import read_curves

    try:
        curves_picture(read_curves(made.folder / "curves.csv"), path)
    except LungsegError:
        return None
    return Figure(f"{row.title}: curves", "Of each epoch, as Figures 3, 5 and 7 of the paper.", path)


def _samples(made: Made, row: Row, patients: Sequence[Patient], path: Path) -> Figure | None:
    from lungseg_monai.report.picture_grids import PictureRow, prediction_grid

    rows = []
    for patient in patients:
        try:
            found = predicted_of(folder_of(made.folder), patient, cxr_rules(row.rules))
            picture = read_picture(patient.image)
        except (LungsegError, ValueError, OSError):  # not predicted, or damaged since: the scores say so
            continue
        dice = made.scores[row.rules]["cases"].get(patient.case_id)
        below = "" if dice is None else f"Dice {dice:.3f}"
        rows.append(PictureRow(patient.case_id, picture, reference_of(patient), found, below))
    if not rows:
        return None
    prediction_grid(rows, path)
    said = "The same radiographs for every network, from the lowest to the highest Dice of the first one"
    return Figure(f"{row.title}: sample predictions", f"{said}, as Figures 4, 6 and 8 to 12 of the paper.", path)
