"""A reproduction of a paper on tumours as tables of text: what stands in which cell, every number rounded here."""

from collections.abc import Mapping
from typing import Any

from lungseg_monai.reproduce.clock import span
from lungseg_monai.reproduce.cohort import Count
from lungseg_monai.reproduce.grid import NOTHING, Column, Grid, interval, share, two_places, whole
from lungseg_monai.reproduce.made import Made, Reproduction, why_empty
from lungseg_monai.reproduce.plan import CohortTable, Row, Table
from lungseg_monai.reproduce.tumours.scoring import rules_text, tumor_rules

# Of evaluation.tumors; the paper's figures stand beside the first: by arithmetic they can't be section 3.3's.
DICE = (
    ("slice_dice_authors_code", "Dice, authors' code"),
    ("slice_dice_section_3_3", "Dice, section 3.3"),
    ("volume_dice", "volume Dice"),
)
MORE = {"slice_dice_tumor_slices": "Dice, tumour slices"}
SLICES = (("false_positive_slices", "FP slices"), ("false_negative_slices", "FN slices"))
COLUMNS_SAID: tuple[str, ...] = (
    "Dice, authors' code: mean over slices, those of exactly 0 or 1 left out, for each patient with tumour, then over "
    "patients. The paper's figures can only be this (docs/papers/kamal.md says why), so they stand beside it.",
    "Dice, section 3.3: all slices pooled; a slice without tumour and without prediction counts 1, a false positive 0.",
    "Volume Dice: of all voxels of each patient with tumour. Patients without tumour are counted apart, below.",
    "FP slices: slices without tumour on which something is marked. FN slices: slices with tumour on which nothing is "
    "marked, or nothing that meets it.",
)


def grids(done: Reproduction) -> list[Grid]:
    """All tables that were asked for, and last the scores of whole volumes."""
    cohort, asked = done.plan.cohort, done.options.tables
    found = [_cohort(done, cohort)] if cohort and (asked is None or cohort.number in asked) else []
    found += [_scores(done, table) for table in done.tables]
    return [*found, _volumes(done)] if done.tables else found


def _cohort(done: Reproduction, table: CohortTable) -> Grid:
    """Table 2. A paper's training patients hold its validation patients; both are told here."""
    counts = done.counts
    train = _sum(counts["training"], counts["validation"])
    lines = [
        ("Train", "train", train),
        ("  of these for validation", None, counts["validation"]),
        ("Test", "test", counts["test"]),
    ]
    columns = [Column("", "data", "data")]
    for key, group in (("patients", "patients"), ("with_tumor", "slices with tumour"), ("without", "slices without")):
        columns += [Column(group, "paper", f"{key}_paper"), Column(group, "here", key)]
    cells = []
    for title, name, count in lines:
        paper = table.paper.get(name or "", (None, None, None))
        here = (count.patients, count.with_tumor, count.without)
        cells.append([title, *(whole(one) for pair in zip(paper, here, strict=True) for one in pair)])
    return Grid(f"table{table.number}", f"Table {table.number}: {table.title}", columns, cells)


def _scores(done: Reproduction, table: Table) -> Grid:
    """Tables 3 to 6."""
    counted = any(key in row.paper for row in table.rows for key, _ in SLICES)
    columns = [Column("", "model", "model"), Column("paper", "mean", "paper_mean")]
    columns += [Column("paper", "median", "paper_median")]
    dice = (*DICE, *((key, MORE[key]) for key in table.more))
    for key, group in dice:
        columns += [Column(group, "mean", f"{key}_mean"), Column(group, "median", f"{key}_median")]
    for key, group in SLICES:
        columns += [Column(group, "paper", f"paper_{key}")] if counted else []
        columns += [Column(group, "here", key)]
    columns += [Column("", "masks", "masks"), Column("", "training", "training_time")]
    cells = [_score_cells(done, row, [key for key, _ in dice], counted) for row in table.rows]
    notes = [*table.notes, *why_empty(done, table)]
    return Grid(table.key, table.heading, columns, cells, notes)


def _score_cells(done: Reproduction, row: Row, dice: list[str], counted: bool) -> list[str]:
    made = done.made.get(row.model.name)
    scores = (made.scores.get(row.rules) if made else None) or {}
    cells = [row.title, share(row.paper.get("mean")), share(row.paper.get("median"))]
    for key in dice:
        cells += [share(scores.get(key, {}).get("mean")), share(scores.get(key, {}).get("median"))]
    for key, _ in SLICES:
        cells += [whole(row.paper.get(key))] if counted else []
        cells += [whole(scores.get(key))]
    return [*cells, _rules(done, row, made), span(made.training_s) if made and scores else NOTHING]


def _volumes(done: Reproduction) -> Grid:
    """One line for each model and rules: whole volumes, patients without tumour apart."""
    names = [
        ("", "model", "model"),
        ("volume Dice", "mean", "volume_dice_mean"),
        ("volume Dice", "95 %", "volume_dice_ci95"),
        ("volume Dice", "patients", "patients"),
        ("HD95, mm", "mean", "hd95_mm_mean"),
        ("HD95, mm", "not computed", "hd95_mm_not_computed"),
        ("surface Dice", "mean", "surface_dice_mean"),
        ("lesions", "found", "lesions_found"),
        ("lesions", "sensitivity", "lesion_sensitivity"),
        ("lesions", "false, a scan", "false_positive_lesions_per_scan"),
        ("patients without tumour", "marked", "tumor_free_marked"),
        ("patients without tumour", "ml, mean", "tumor_free_ml"),
        ("time a patient", "prediction", "prediction_time"),
    ]
    seen: dict[Any, list[str]] = {}
    tolerance = None
    for row in (row for table in done.tables for row in table.rows):
        made = done.made.get(row.model.name)
        scores = made.scores.get(row.rules) if made else None
        if made and scores and (row.model.name, row.rules) not in seen:
            tolerance = scores["tolerance_mm"]
            seen[row.model.name, row.rules] = _volume_cells(done, row, made, scores)
    notes = [
        "Dice, HD95 and surface Dice: patients with tumour. 95 %: interval over patients drawn anew.",
        "HD95 is not computed where nothing is marked.",
        "Lesions: pieces in 3D; one is found when a voxel of it is marked.",
    ]
    if tolerance is not None:
        notes.append(f"Surface Dice allows {tolerance:g} mm.")
    return Grid("volumes", "Whole volumes", [Column(*name) for name in names], list(seen.values()), notes)


def _volume_cells(done: Reproduction, row: Row, made: Made, scores: Mapping[str, Any]) -> list[str]:
    dice, hd95, lesions, free = (scores[key] for key in ("volume_dice", "hd95_mm", "lesion_sensitivity", "tumor_free"))
    patients = max(len(done.cohort.section("test")), 1)
    return [
        f"{row.model.name}: {_rules(done, row, made)}",
        share(dice["mean"]),
        interval(dice["mean_ci95"]),
        str(dice["n"]),
        two_places(hd95["mean"]),
        str(hd95["not_computed"]),
        share(scores["surface_dice"]["mean"]),
        f"{lesions['found']} of {lesions['lesions']}",
        share(lesions["value"]),
        two_places(scores["false_positive_lesions_per_scan"]["value"]),
        f"{free['with_false_positives']} of {free['patients']}",
        two_places(free["false_positive_ml"]["mean"]),
        span(made.predicting_s / patients),
    ]


def _rules(done: Reproduction, row: Row, made: Made | None) -> str:
    size = min(done.numbers["spatial_size"])
    if row.rules is not None:
        return rules_text(tumor_rules(row.rules), size)
    if made is None or made.tuned is None:
        return "chosen on validation"
    rules, dice = made.tuned
    return f"chosen on validation (Dice {dice:.3f} there): {rules_text(tumor_rules(rules), size)}"


def _sum(one: Count, other: Count) -> Count:
    return Count(one.patients + other.patients, one.with_tumor + other.with_tumor, one.without + other.without)
