"""Scores of radiographs as people read them in a terminal."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from lungseg_monai.evaluation.pictures import WORST
from lungseg_monai.evaluation.segmentation import WHOLES
from lungseg_monai.evaluation.summary import select
from lungseg_monai.evaluation.text import NAMES, POLICIES, number

HEADS = ("mean", "95 % interval", "median", "worst 5 %", "n", "not computed")
WIDTHS = (10, 20, 10, 12, 7, 15)
LONGEST = 5  # repairs that are listed


def picture_section(scores: Mapping[str, Any], label: str, section: str) -> Iterator[str]:
    """The table of one label and section, with the conventions of both sides."""
    rows = select(scores["summary"], label, section)
    cases = select(scores["cases"], label, section)
    parts = tuple(scores["labels"].get(label, [label]))
    versus = "" if parts in ((label,), WHOLES.get(label)) else f" (reference: {' + '.join(parts)})"
    yield f"{label}{versus}, {section}: {len(cases)} radiograph{'s' * (len(cases) != 1)}"
    yield f"  convention: predictions {_told(cases, 'convention')}, reference {_told(cases, 'reference_convention')}"
    if scores["warning"]:
        yield f"  WARNING: {scores['warning']}"
    yield f"  {'':<26}" + "".join(f"{head:>{width}}" for head, width in zip(HEADS, WIDTHS, strict=True))
    for row in rows:
        if row["n"]:
            yield f"  {NAMES[row['metric']]:<26}" + "".join(
                f"{cell:>{width}}" for cell, width in zip(picture_cells(row), WIDTHS, strict=True)
            )


def picture_cells(row: Mapping[str, Any]) -> list[str]:
    """A summary row's numbers as text, in the order of HEADS."""
    metric, interval = row["metric"], row["mean_interval"]
    between = f"{number(interval[0], metric)} to {number(interval[1], metric)}" if interval else "–"
    return [
        number(row["mean"], metric),
        between,
        number(row["median"], metric),
        number(row[WORST], metric),
        str(row["n"]),
        str(row["not_computed"]),
    ]


def picture_policy(empty: str) -> str:
    return (
        f"Each score is of one image at its own size, and means are over images. {POLICIES[empty]}. Worst 5 %: the "
        "mean of the worst twentieth, at least one image. MSE: of masks as 0 and 1."
    )


def repair_lines(scores: Mapping[str, Any]) -> list[str]:
    """What was taken for granted, a line a mask for the first few."""
    repairs = scores["repairs"]
    lines = [f"  {one['case_id']} ({one['side']}, {one['file']}): {one['what']}" for one in repairs[:LONGEST]]
    more = [f"  and {len(repairs) - LONGEST} more: scores.json"] if len(repairs) > LONGEST else []
    return ["", f"Repaired ({len(repairs)}):", *lines, *more] if repairs else []


def _told(cases: list[Mapping[str, Any]], key: str) -> str:
    counts = Counter(case[key] or "unknown" for case in cases)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} ({count})" for name, count in counts.items())
