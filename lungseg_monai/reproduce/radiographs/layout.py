"""A reproduction of a paper on radiographs as tables of text, every number rounded here."""

from collections.abc import Mapping
from typing import Any

from lungseg_monai.reproduce.clock import span
from lungseg_monai.reproduce.grid import NOTHING, Column, Grid, interval, share, two_places
from lungseg_monai.reproduce.made import Reproduction, why_empty
from lungseg_monai.reproduce.plan import Row, Table
from lungseg_monai.reproduce.radiographs.scoring import DAMAGES, TWO_CLASSES, cxr_rules, rules_text

WORST = "worst_5_percent"
PRINTED = (("dice", "Dice"), ("iou", "IoU"), ("mse", "MSE"))
COLUMNS_SAID: tuple[str, ...] = (
    "Every score is of one radiograph at its own size against its mask; mean, median and 95 % are over radiographs.",
    "Dice 95 %: interval of the mean over patients drawn anew. Worst 5 %: mean Dice of the lowest twentieth of them.",
    "IoU, both classes: mean of the IoU of lung and of background, another reading of “for all classes”.",
    "MSE: of the two masks as 0 and 1, the share of pixels that are wrong; of probabilities: before any threshold.",
    "HD95: 95th percentile of the distance between the two contours, in pixels of the radiograph.",
    "Convention: visible masks leave out the lung behind heart and diaphragm, anatomical ones hold it. A segmenter "
    "that is perfect by one loses by the other, so no score means anything without it.",
)


def grids(done: Reproduction) -> list[Grid]:
    """All tables that were asked for."""
    return [_scores(done, table) for table in done.tables]


def _scores(done: Reproduction, table: Table) -> Grid:
    printed = [(key, name) for key, name in PRINTED if any(key in row.paper for row in table.rows)]
    damages = [f"{name}/{level}" for name, level in DAMAGES] if _damaged(done) else []
    columns = [Column("", "model", "model")]
    columns += [Column("paper", name, f"paper_{key}") for key, name in printed]
    columns += [Column(group, name, key) for group, name, key in OURS]
    columns += [Column("Dice, damaged", name.split("/")[0].replace("_", " "), f"dice_{name}") for name in damages]
    columns += [
        Column("", "n", "n"),
        Column("", "convention", "convention"),
        Column("", "masks", "masks"),
        Column("", "training", "training_time"),
    ]
    cells = [_cells(done, row, [key for key, _ in printed], damages) for row in table.rows]
    notes = [*table.notes, *why_empty(done, table)]
    if damages:
        notes.append("Damaged: the same test radiographs as another hospital's might look (pictures/corruptions.py).")
    return Grid(table.key, table.heading, columns, cells, notes)


OURS = (
    ("Dice", "mean", "dice_mean"),
    ("Dice", "median", "dice_median"),
    ("Dice", "95 %", "dice_ci95"),
    ("Dice", "worst 5 %", "dice_worst_5_percent"),
    ("IoU", "mean", "iou_mean"),
    ("IoU", "median", "iou_median"),
    ("IoU", "both classes", "iou_two_classes"),
    ("MSE", "masks", "mse_mean"),
    ("MSE", "probabilities", "mse_probability_mean"),
    ("HD95, px", "mean", "hd95_px_mean"),
)


def _cells(done: Reproduction, row: Row, printed: list[str], damages: list[str]) -> list[str]:
    made = done.made.get(row.model.name)
    scores = (made.scores.get(row.rules) if made else None) or {}
    paper = [two_places(row.paper.get(key)) for key in printed]
    damaged = [share(_of(_of_damage(scores, name), "dice", "mean")) for name in damages]
    number = _of(scores, "dice", "n")
    return [
        row.title,
        *paper,
        *_ours(scores),
        *damaged,
        NOTHING if number is None else str(number),
        done.cohort.convention,
        rules_text(cxr_rules(row.rules)),
        span(made.training_s) if made and scores else NOTHING,
    ]


def _ours(scores: Mapping[str, Any]) -> list[str]:
    """In the order of OURS."""
    return [
        share(_of(scores, "dice", "mean")),
        share(_of(scores, "dice", "median")),
        interval(_of(scores, "dice", "mean_interval")),
        share(_of(scores, "dice", WORST)),
        share(_of(scores, "iou", "mean")),
        share(_of(scores, "iou", "median")),
        share(scores.get(TWO_CLASSES)),
        share(_of(scores, "mse", "mean")),
        share(_of(scores, "mse_probability", "mean")),
        two_places(_of(scores, "hd95_px", "mean")),
    ]


def _of(scores: Mapping[str, Any], metric: str, name: str) -> Any:
    return (scores.get(metric) or {}).get(name)


def _of_damage(scores: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return (scores.get("damaged") or {}).get(name) or {}


def _damaged(done: Reproduction) -> bool:
    return bool(getattr(done.plan.kind, "damaged", False))
