"""A run of a radiograph bundle as a page: scores an image, pictures of the best, middle and worst, curves, tables."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_prep import __version__
from lungseg_monai.errors import LungsegError, ReportError
from lungseg_monai.evaluation.picture_masks import read_picture_mask, read_picture_union, stored
from lungseg_monai.evaluation.picture_text import HEADS, picture_cells, picture_policy
from lungseg_monai.evaluation.pictures import WORST
from lungseg_monai.evaluation.summary import select
from lungseg_monai.evaluation.text import NAMES, number, refusal_line
from lungseg_monai.report import content
from lungseg_monai.report.figures import curves_svg
from lungseg_monai.report.picture_grids import COLUMNS, PictureRow, curves_picture, prediction_grid, row_tiles
from lungseg_monai.report.run import Run

SHOWN = 3
FIGURES = "figures"  # beside the page: the same pictures as PNG files


@dataclass
class FilmGrid:
    """One group of films. tiles: (row of scores, data URIs of COLUMNS). failed: what could not be shown, and why."""

    title: str
    explanation: str
    rows: list[Mapping[str, Any]]
    films: list[PictureRow] = field(default_factory=list)
    tiles: list[tuple[Mapping[str, Any], list[str]]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def of_radiographs(run: Run) -> bool:
    """Whether the run is one of a radiograph bundle, or its scores are of radiographs."""
    return str(run.facts.get("bundle", "")).startswith("cxr_") or (run.scores or {}).get("kind") == "pictures"


def picture_context(run: Run) -> dict[str, Any]:
    """What radiographs.html is filled with."""
    scores = run.scores if run.scores and run.scores["cases"] else None
    warning = (scores or {}).get("warning")
    return {
        "title": str(run.facts.get("bundle") or run.folder.resolve().name),
        "setting": content.shown(run.facts["setting"]) if run.facts.get("setting") else "",
        "folder": run.folder.resolve().name,
        "warning": warning,
        "notes": run.notes,
        "cards": _cards(scores) if scores else None,
        "policy": picture_policy(scores["empty"]) if scores else "",
        "heads": HEADS,
        "columns": COLUMNS,
        "curves": curves_svg(run.curves) if run.curves else None,
        "sections": [_section(run, scores, *group) for group in content.sections(scores)] if scores else [],
        "cases": _case_table(scores) if scores else None,
        "refused": [refusal_line(refusal) for refusal in run.scores["refused"]] if run.scores else [],
        "left_out": content.left_out(run.facts),
        "settings": content.settings(run.facts, run.predictions.checkpoint if run.predictions else {}),
        "version": __version__,
    }


def write_figures(run: Run, sections: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """curves.png, and predictions_<label>_<section>.png of each section with pictures, into `folder`/figures."""
    written = [curves_picture(run.curves, folder / FIGURES / "curves.png")] if run.curves else []
    for section in sections:
        films = [film for grid in section["grids"] for film in grid.films]
        if films:
            name = f"predictions_{section['label']}_{section['name']}.png"
            written.append(prediction_grid(films, folder / FIGURES / name))
    return written


def choose_films(cases: Sequence[Mapping[str, Any]]) -> list[FilmGrid]:
    """Worst, middle and best by Dice, each film in one group only, the worst first: those are to be looked at."""
    ascending = sorted((row for row in cases if row["dice"] is not None), key=lambda row: (row["dice"], row["case_id"]))
    worst = ascending[:SHOWN]
    best = ascending[max(len(worst), len(ascending) - SHOWN) :][::-1]
    left = ascending[len(worst) : len(ascending) - len(best)]
    start = max(0, (len(left) - SHOWN) // 2)
    groups = [
        FilmGrid("Worst", "lowest Dice", worst),
        FilmGrid("In-between", "Dice about the median", left[start : start + SHOWN]),
        FilmGrid("Best", "highest Dice", best),
    ]
    return [group for group in groups if group.rows]


def _section(run: Run, scores: Mapping[str, Any], label: str, section: str) -> dict[str, Any]:
    cases = select(scores["cases"], label, section)
    grids = choose_films(cases) if run.predictions and run.dataset else []
    for grid in grids:
        for row in grid.rows:
            _show(grid, row, run, scores["labels"].get(label, [label]))
    conventions = [sorted({str(case.get(key) or "unknown") for case in cases})
                   for key in ("convention", "reference_convention")]  # fmt: skip
    return {
        "label": label,
        "name": section,
        "count": len(cases),
        "conventions": [", ".join(one) for one in conventions],
        "rows": [
            [NAMES[row["metric"]], *picture_cells(row)]
            for row in select(scores["summary"], label, section)
            if row["n"] and row["metric"] in scores["metrics"]
        ],
        "grids": grids,
    }


def _show(grid: FilmGrid, row: Mapping[str, Any], run: Run, parts: Sequence[str]) -> None:
    """Add a film to its grid, or say why not."""
    try:
        film = _film(row, run, parts)
        grid.tiles.append((row, [_uri(tile) for tile in row_tiles(film)]))
        grid.films.append(film)
    except LungsegError as error:
        grid.failed.append(f"{row['case_id']}: {error}")


def _film(row: Mapping[str, Any], run: Run, parts: Sequence[str]) -> PictureRow:
    if run.predictions is None or run.dataset is None:
        raise ReportError("there are no predictions, or no images")
    found = [case.files.get(row["label"]) for case in run.predictions.cases
             if (case.case_id, case.section) == (row["case_id"], row["section"])]  # fmt: skip
    if not found or found[0] is None:
        raise ReportError(f"{run.predictions.folder} has no {row['label']} of it in section {row['section']}")
    return PictureRow(
        row["case_id"],
        stored(run.dataset.image(row["case_id"]), colours=True),
        read_picture_union(run.dataset.files(row["case_id"], row["label"], parts)).mask,
        read_picture_mask(found[0]).mask,
        f"Dice {number(row['dice'], 'dice')}",
    )


def _cards(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Dice of the test section (else of what there is), and what stands beside it."""
    label, section = content.sections(scores)[0]
    rows = {row["metric"]: row for row in select(scores["summary"], label, section)}
    dice = rows["dice"]
    between = dice["mean_interval"]
    beside = [("IoU", "iou", "mean"), ("worst 5 %, Dice", "dice", WORST), ("HD95, pixels", "hd95_px", "mean"),
              ("MSE", "mse", "mean")]  # fmt: skip
    return {
        "label": label,
        "section": section,
        "dice": number(dice["mean"], "dice"),
        "of": f"mean of {dice['n']} films"
        + (f", 95 % interval {between[0]:.4f} to {between[1]:.4f}" if between else ""),
        "beside": [(name, number(rows[metric][which], metric)) for name, metric, which in beside],
    }


def _case_table(scores: Mapping[str, Any]) -> dict[str, Any]:
    table = content.case_table(scores)
    keys = ("convention", "reference_convention")
    table["columns"][3:3] = ["convention", "reference"]
    for cells, case in zip(table["rows"], scores["cases"], strict=True):
        cells[3:3] = [(str(case.get(key) or "unknown"),) * 2 for key in keys]
    return table


def _uri(tile: Any) -> str:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.asarray(tile)).convert("P", palette=Image.Palette.ADAPTIVE).save(stream, format="PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
