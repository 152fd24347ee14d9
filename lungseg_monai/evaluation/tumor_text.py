"""Scores of tumours as people read them in a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

COLUMNS = {
    "slice_dice_section_3_3": "slice Dice, section 3.3 (all slices pooled)",
    "slice_dice_authors_code": "slice Dice, authors' code (by patient)",
    "slice_dice_authors_code_pooled": "slice Dice, authors' code (slices pooled)",
    "slice_dice_tumor_slices": "slice Dice, slices with tumour (pooled)",
    "volume_dice": "volume Dice (patients with tumour)",
    "hd95_mm": "HD95, mm (patients with tumour)",
    "surface_dice": "surface Dice (patients with tumour)",
}
WIDTH = 44


def tumor_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """`summarise_tumors`'s dict -> lines: the columns, then slices, lesions, and patients without tumour."""
    how = summary["bootstrap"]
    drawn = f"{how['resamples']} draws, seed {how['seed']}"
    yield f"  Tumours, with {100 * how['level']:g} % intervals over patients ({drawn})"
    yield f"  {'':<{WIDTH}}{'mean':>9}{'':<20}{'median':>9}{'':<20}{'n':>6}{'not computed':>14}"
    for name, title in COLUMNS.items():
        yield _column(title, summary[name], 2 if name.endswith("_mm") else 4)
    yield f"  {_slices(summary)}"
    yield f"  {_lesions(summary)}"
    yield f"  {_tumor_free(summary)}"


def _column(title: str, row: Mapping[str, Any], decimals: int) -> str:
    values = ""
    for name in ("mean", "median"):
        value = "–" if row[name] is None else f"{row[name]:.{decimals}f}"
        values += f"{value:>9}{_interval(row[f'{name}_ci95'], decimals):<20}"
    return f"  {title:<{WIDTH}}{values}{row['n']:>6}{row['not_computed']:>14}"


def _interval(ends: Sequence[float] | None, decimals: int) -> str:
    return "" if ends is None else f" [{ends[0]:.{decimals}f}, {ends[1]:.{decimals}f}]"


def _slices(summary: Mapping[str, Any]) -> str:
    beside = summary["false_negative_slices"] - summary["missed_slices"]
    return (
        f"False-positive slices: {summary['false_positive_slices']} of {summary['tumor_free_slices']} without tumour; "
        f"false-negative: {summary['false_negative_slices']} of {summary['tumor_slices']} with tumour "
        f"({summary['missed_slices']} predicted empty, {beside} beside the tumour)."
    )


def _lesions(summary: Mapping[str, Any]) -> str:
    found, false = summary["lesion_sensitivity"], summary["false_positive_lesions_per_scan"]
    share = "–" if found["value"] is None else f"{found['value']:.4f}{_interval(found['ci95'], 4)}"
    return (
        f"Lesions found: {found['found']} of {found['lesions']}, {share}; "
        f"false positives a scan: {false['value']:.2f}{_interval(false['ci95'], 2)} "
        "(pieces of 26 neighbours; found: a voxel in common)."
    )


def _tumor_free(summary: Mapping[str, Any]) -> str:
    free = summary["tumor_free"]
    if not free["patients"]:
        return "Every patient has a tumour."
    return (
        f"Without tumour: {free['patients']} of {summary['patients']} patients; {free['with_false_positives']} of them "
        f"with a false positive, {free['false_positive_ml']['total']:.2f} ml in all. "
        "They stand in no volume Dice, distance or surface Dice."
    )
