"""A reproduction of a paper on lungs in CT as tables of text, every number rounded here; its words beside ours."""

from collections.abc import Mapping
from typing import Any

from lungseg_monai.reproduce.clock import span
from lungseg_monai.reproduce.grid import NOTHING, Column, Grid, share, two_places
from lungseg_monai.reproduce.lungs.said import papers_words
from lungseg_monai.reproduce.made import Reproduction, why_empty
from lungseg_monai.reproduce.plan import Row, Table

COLUMNS_SAID: tuple[str, ...] = (
    "Volume DSC: of all voxels of a test patient, on the original grid and against the original masks; mean over "
    "patients, and that of the lowest. IoU, HD95: likewise.",
    "Slice DSC: mean over the test slices that hold lung. Blank slices are told apart: how many of them were left "
    "blank, and on how many something is marked.",
    "Accuracy: share of a slice's pixels that are right, mean over all slices (section 2.5).",
    "Training patients: volume DSC of those that were trained on, predicted in the same way; what it is above that of "
    "the test patients is overfitting.",
    "Numbers: what is not as in the baseline.",
)
COLUMNS = (
    ("", "model", "model"),
    ("volume DSC", "mean", "volume_dice_mean"),
    ("volume DSC", "lowest", "volume_dice_lowest"),
    ("slice DSC", "with lung", "slice_dice_mean"),
    ("blank slices", "left blank", "blank_left_blank"),
    ("blank slices", "marked", "false_positive_slices"),
    ("IoU", "mean", "volume_iou_mean"),
    ("HD95, mm", "mean", "hd95_mm_mean"),
    ("accuracy", "mean", "accuracy_mean"),
    ("training patients", "volume DSC", "training_volume_dice_mean"),
    ("training patients", "above test", "training_above_test"),
    ("", "epochs", "epochs"),
    ("", "training", "training_time"),
    ("", "numbers", "masks"),  # the key of columns of words
)


def grids(done: Reproduction, baseline: str, longer: str) -> list[Grid]:
    """All tables that were asked for, and last what the paper says beside what the baseline shows."""
    found = [_scores(done, table) for table in done.tables]
    made = done.made.get(baseline)
    if made is not None and made.scores:
        found.append(papers_words(done, made, done.made.get(longer)))
    return found


def _scores(done: Reproduction, table: Table) -> Grid:
    columns = [Column(*names) for names in COLUMNS]
    cells = [_cells(done, row) for row in table.rows]
    return Grid(table.key, table.heading, columns, cells, [*table.notes, *why_empty(done, table)])


def _cells(done: Reproduction, row: Row) -> list[str]:
    made = done.made.get(row.model.name)
    scores = made.scores.get(row.rules) if made else None
    numbers = ", ".join(f"{name} {_text(value)}" for name, value in row.model.numbers.items()) or NOTHING
    if made is None or not scores:
        return [row.title, *[NOTHING] * (len(COLUMNS) - 2), numbers]
    test, training = scores["test"], scores.get("training")
    dice, of_training = _mean(test, "volume_dice"), _mean(training, "volume_dice")
    above = None if dice is None or of_training is None else of_training - dice
    return [
        row.title,
        share(dice),
        share(test["lowest_volume_dice"]),
        share(_mean(test, "slice_dice")),
        f"{test['blank_left_blank']} of {test['slices'] - test['slices_with_lung']}",
        str(test["false_positive"]),
        share(_mean(test, "volume_iou")),
        two_places(_mean(test, "hd95_mm")),
        share(_mean(test, "accuracy")),
        share(of_training),
        NOTHING if above is None else f"{above:+.4f}",
        str(made.epochs),
        span(made.training_s),
        numbers,
    ]


def _mean(of: Mapping[str, Any] | None, metric: str) -> float | None:
    return None if of is None else of[metric]["mean"]


def _text(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else f"{value}"
