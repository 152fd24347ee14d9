"""Curves of training and sample predictions, as Figures 3 to 12 of the chest X-ray paper: PNG files in OUT/figures."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data_prep.nifti import atomic_file
from lungseg_monai.pictures.files import read_picture
from lungseg_monai.pictures.grey import grey
from lungseg_monai.reproduce.cohort import Patient
from lungseg_monai.reproduce.kept import folder_of
from lungseg_monai.reproduce.kind import Figure
from lungseg_monai.reproduce.made import Made, Reproduction
from lungseg_monai.reproduce.plan import Row, rows_of
from lungseg_monai.reproduce.radiographs.scoring import cxr_rules, predicted_of, reference_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Sheet

AT = (0.0, 0.34, 0.67, 1.0)  # of the cases in order of Dice: the worst, two between, the best
DRAWN, FOUND = "#009e73", "#e67800"
PIXELS_PER_INCH = 80


def draw_all(done: Reproduction) -> list[Figure]:
    """Curves and sample predictions of all models that have scores; nothing without any."""
    rows = [_row(done, made) for made in done.made.values() if made.scores]
    if not rows:
        return []
    folder = done.options.out / "figures"
    found = [_curves(done, rows, folder / "curves.png")]
    chosen = samples(done, rows[0])
    return [*found, _samples(done, rows, chosen, folder / "predictions.png")] if chosen else found


def samples(done: Reproduction, row: Row) -> list[Patient]:
    """Four test cases over the range of Dice of a row: the same ones for every network."""
    by_id = {one.case_id: one for one in done.cohort.section("test")}
    dice = done.made[row.model.name].scores[row.rules]["cases"]
    order = sorted((name for name in dice if dice[name] is not None and name in by_id), key=lambda name: dice[name])
    places = dict.fromkeys(round(at * (len(order) - 1)) for at in AT) if order else {}
    return [by_id[order[place]] for place in places]


def _row(done: Reproduction, made: Made) -> Row:
    return rows_of(done.tables, made.model)[0]


def _curves(done: Reproduction, rows: Sequence[Row], path: Path) -> Figure:
    from matplotlib.figure import Figure as Sheet

    from lungseg_monai.training.epochs import read_curves

    sheet = Sheet((8.0, 2.3 * len(rows)), layout="constrained")
    axes = sheet.subplots(len(rows), 2, squeeze=False)
    for row, pair in zip(rows, axes, strict=True):
        curves = read_curves(done.made[row.model.name].folder / "curves.csv")
        for axis, name in zip(pair, ("loss", "accuracy"), strict=True):
            for split, style in (("training", "-"), ("validation", "--")):
                points = [
                    (int(one["epoch"]), float(one[name])) for one in curves if one["split"] == split and one[name]
                ]
                if points:
                    axis.plot(*zip(*points, strict=True), style, marker=".", label=split)
            axis.set_title(f"{row.title}: {name}", loc="left", fontsize=9)
            axis.tick_params(labelsize=8)
    axes[-1][0].set_xlabel("epoch", fontsize=8)
    axes[0][0].legend(fontsize=8, frameon=False)
    _save(sheet, path)
    return Figure("Loss and accuracy", "Of each epoch, as Figures 3, 5 and 7 of the paper.", path)


def _samples(done: Reproduction, rows: Sequence[Row], patients: Sequence[Patient], path: Path) -> Figure:
    from matplotlib.figure import Figure as Sheet

    columns = ["radiograph", "drawn", *(row.title for row in rows)]
    sheet = Sheet((1.8 * len(columns), 2.0 * len(patients)), layout="constrained")
    axes = sheet.subplots(len(patients), len(columns), squeeze=False)
    for patient, cells in zip(patients, axes, strict=True):
        picture, drawn = grey(read_picture(patient.image)), reference_of(patient)
        masks: list[tuple[str, Any]] = [("", None), ("", drawn)]
        for row in rows:
            made = done.made[row.model.name]
            masks.append((_dice(made, row, patient), _found(made, row, patient)))
        for cell, (said, mask) in zip(cells, masks, strict=True):
            _draw(cell, picture, drawn if said else None, mask)
            cell.set_xlabel(said, fontsize=8)
    for cell, title in zip(axes[0], columns, strict=True):
        cell.set_title(title, fontsize=8)
    _save(sheet, path)
    said = "From the lowest to the highest Dice of the first network. Green: as drawn; orange: as found."
    return Figure("Sample predictions", f"{said} As Figures 4, 6 and 8 to 12 of the paper.", path)


def _found(made: Made, row: Row, patient: Patient) -> NDArray[np.bool_] | None:
    try:
        return predicted_of(folder_of(made.folder), patient, cxr_rules(row.rules))
    except ValueError:  # a damaged file: told by the scores
        return None


def _dice(made: Made, row: Row, patient: Patient) -> str:
    dice = made.scores[row.rules]["cases"].get(patient.case_id)
    return "not computed" if dice is None else f"Dice {dice:.3f}"


def _draw(cell: Any, picture: NDArray[np.float32], drawn: NDArray[np.bool_] | None, mask: Any) -> None:
    cell.imshow(picture, cmap="gray", interpolation="antialiased")
    for contour, colour in ((drawn, DRAWN), (mask, FOUND if drawn is not None else DRAWN)):
        if contour is not None and contour.any() and not contour.all():
            cell.contour(contour.astype(float), levels=[0.5], colors=[colour], linewidths=1.0)
    cell.set_xticks([])
    cell.set_yticks([])


def _save(sheet: "Sheet", path: Path) -> None:
    stream = io.BytesIO()
    sheet.savefig(stream, format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None})
    with atomic_file(path) as file:
        file.write(stream.getvalue())
