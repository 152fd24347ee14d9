"""Scores as people read them in a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lungseg_monai.evaluation.predictions import NO_SECTION
from lungseg_monai.evaluation.summary import blank_pairs, groups, select
from lungseg_monai.evaluation.tumor_text import tumor_lines

NAMES = {
    "dice": "Dice",
    "iou": "IoU",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "hd95_mm": "HD95, mm",
    "msd_mm": "surface distance, mm",
    "surface_dice": "surface Dice",
    "mse": "MSE",
    "mse_probability": "MSE of probabilities",
    "hd95_px": "HD95, pixels",
    "volume_error_ml": "volume error, ml",
    "volume_error_percent": "volume error, %",
}
WHICH = {"all": "all slices", "with_label": "slices with reference", "without_label": "slices without reference"}
DECIMALS = {"hd95_px": 2, "hd95_mm": 2, "msd_mm": 2, "volume_error_ml": 1, "volume_error_percent": 2}
SLICE_METRICS = ("dice", "accuracy")  # in the terminal; the files hold all
STATISTICS = ("mean", "median", "std", "p05")
POLICIES = {
    "one": "Two empty masks: Dice and IoU are 1 (--empty one)",
    "skip": "Two empty masks: Dice and IoU are left out and counted (--empty skip)",
}
ALWAYS = (
    "a false positive on an empty reference: 0, always; "
    "distances and ratios of something empty: not computed, and counted."
)


def table(scores: Mapping[str, Any]) -> str:
    """scores.json -> text: a table a label and section with its warning and blank slices; the policy; the refusals."""
    from lungseg_monai.evaluation.picture_text import picture_policy, picture_section, repair_lines

    of_pictures = scores.get("kind") == "pictures"
    lines = []
    for label, section in groups(scores["cases"]):
        lines += ["", *(picture_section if of_pictures else _section)(scores, label, section)]
    lines += ["", (picture_policy if of_pictures else policy)(scores["empty"])]
    lines += repair_lines(scores) if of_pictures else []
    if scores["refused"]:
        lines += ["", f"Not scored ({len(scores['refused'])}):"]
        lines += [f"  {refusal_line(refusal)}" for refusal in scores["refused"]]
    return "\n".join(lines[1:])


def policy(empty: str) -> str:
    """What the scores make of empty masks, in a sentence."""
    return f"{POLICIES[empty]}; {ALWAYS}"


def number(value: float | None, metric: str) -> str:
    """Four digits for shares, two for mm; a dash for what was not computed."""
    return "–" if value is None else f"{value:.{DECIMALS.get(metric, 4)}f}"


def blank_sentence(slices: Sequence[Mapping[str, Any]], section: str, empty: str) -> str:
    """How many slices are blank, and what the prediction made of them: in words, so that no average hides it."""
    counts = blank_pairs(slices)
    slices_of = "slices" if section == NO_SECTION else f"{section} slices"
    if not counts["blank_reference"]:
        first = f"None of {counts['slices']} {slices_of} has an empty reference"
    else:
        fate = "DSC 1 by --empty one" if empty == "one" else "left out by --empty skip"
        first = (
            f"{counts['blank_reference']} of {counts['slices']} {slices_of} have an empty reference; "
            f"{counts['both_blank']} of them predicted empty ({fate}), "
            f"{counts['false_positive']} false positive{'s' * (counts['false_positive'] != 1)} (DSC 0)"
        )
    return f"{first}; {counts['missed']} with reference predicted empty (DSC 0)."


def refusal_line(refusal: Mapping[str, Any]) -> str:
    about = ", ".join(refusal[key] for key in ("section", "label") if refusal[key])
    return f"{refusal['case_id']}{f' ({about})' if about else ''}: {refusal['reason']}"


def _section(scores: Mapping[str, Any], label: str, section: str) -> Iterator[str]:
    cases, slices = select(scores["cases"], label, section), select(scores["slices"], label, section)
    parts = " + ".join(scores["labels"].get(label, [label]))
    versus = f" (reference: {parts})" if parts != label else ""
    yield f"{label}{versus}, {section}: {len(cases)} case{'s' * (len(cases) != 1)}, {len(slices)} slices"
    if scores["warning"]:
        yield f"  WARNING: {scores['warning']}"
    heads = (*STATISTICS[:-1], "5th pct", "n", "not computed")
    yield f"  {'':<42}" + "".join(f"{head:>10}" for head in heads[:-1]) + f"{heads[-1]:>14}"
    for row in select(scores["summary"], label, section):
        if not row["n"] and not row["not_computed"]:
            continue  # there are no such slices
        if row["level"] == "case":
            yield _line(f"volume {NAMES[row['metric']]}".replace("volume volume", "volume"), row)
        elif row["metric"] in SLICE_METRICS:
            yield _line(f"slice {NAMES[row['metric']]}, {WHICH[row['slices']]}", row)
    if "tolerance_mm" in scores:
        yield f"  Surface Dice: tolerance {scores['tolerance_mm']:g} mm."
    yield f"  {blank_sentence(slices, section, scores['empty'])}"
    for row in select(scores.get("tumors", {}).get("summary", ()), label, section):
        yield from ("", *tumor_lines(row))


def _line(name: str, row: Mapping[str, Any]) -> str:
    values = [number(row[statistic], row["metric"]) for statistic in STATISTICS] + [str(row["n"])]
    return f"  {name:<42}" + "".join(f"{value:>10}" for value in values) + f"{row['not_computed']:>14}"
