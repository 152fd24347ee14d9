"""What the page says, as plain data: headline, tables and settings, every number rounded here."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from lungseg_monai.evaluation.summary import groups, select
from lungseg_monai.evaluation.text import NAMES, STATISTICS, WHICH, number

Row = Mapping[str, Any]
HEADLINE_ORDER = ("test", "validation")  # what a reader wants first, where it is there
LONGEST_VALUE = 300  # characters of one setting


def headline(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Volume Dice of the test section (else of what there is) and the scores that stand beside it."""
    label, section = sections(scores)[0]
    cases = len(select(scores["cases"], label, section))
    beside = [
        ("slice", "with_label", "dice", "slice Dice", "of slices with reference"),
        ("case", "all", "hd95_mm", "HD95", "mm"),
        ("case", "all", "msd_mm", "surface distance", "mm"),
        ("case", "all", "volume_error_percent", "volume error", "% of the reference"),
    ]
    return {
        "label": label,
        "section": section,
        "dice": _mean(scores, label, section, "case", "all", "dice"),
        "of": "one case" if cases == 1 else f"mean of {cases} cases",
        "cards": [
            {"name": name, "value": _mean(scores, label, section, level, which, metric), "unit": unit}
            for level, which, metric, name, unit in beside
        ],
    }


def summary_groups(scores: Mapping[str, Any], label: str, section: str, level: str) -> list[dict[str, Any]]:
    """Rows of text (metric, statistics, n, not computed) of `level`, in groups by which slices they are about."""
    rows = [row for row in select(scores["summary"], label, section) if row["level"] == level]
    return [
        {
            "name": "whole volumes" if level == "case" else WHICH.get(which, which),
            "rows": [
                [NAMES.get(row["metric"], row["metric"])]
                + [number(row[statistic], row["metric"]) for statistic in STATISTICS]
                + [str(row["n"]), str(row["not_computed"])]
                for row in rows
                if row["slices"] == which
            ],
        }
        for which in dict.fromkeys(row["slices"] for row in rows if row["n"] or row["not_computed"])
    ]


def sections(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The (label, section) pairs that have scores, the test first: that is what a reader wants."""
    return sorted(groups(scores["cases"]), key=lambda pair: _rank(pair[1]))


def case_table(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Columns, and rows of (text, value to sort by): a row a case, label and section."""
    rows = [
        [(str(row[key]), str(row[key])) for key in ("case_id", "section", "label")]
        + [(number(row[metric], metric), row[metric]) for metric in scores["metrics"]]
        for row in scores["cases"]
    ]
    return {
        "columns": ["case", "section", "label", *(NAMES.get(name, name) for name in scores["metrics"])],
        "rows": rows,
    }


def settings(facts: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """run.json as groups of (name, value): its plain values first, then a group for each object in it."""
    plain = {key: value for key, value in facts.items() if not isinstance(value, Mapping) and key != "left_out"}
    nested = {key: value for key, value in facts.items() if isinstance(value, Mapping) and value}
    if checkpoint and "checkpoint" not in nested:
        nested["checkpoint"] = checkpoint
    every = ({"run": plain} if plain else {}) | nested
    return [(name.replace("_", " "), list(_flat(values))) for name, values in every.items()]


def left_out(facts: Mapping[str, Any]) -> list[str]:
    """What run.json says was left out of training, a line each, in full."""
    entries = facts.get("left_out")
    lines = []
    for entry in entries if isinstance(entries, list) else []:
        told = entry if isinstance(entry, Mapping) else {"reason": entry}
        about = f" ({told['section']})" if told.get("section") else ""
        lines.append(f"{told.get('case_id', 'a case')}{about}: {told.get('reason', 'no reason given')}")
    return lines


def shown(value: Any) -> str:
    """A setting as text. Of an absolute path only the end: the rest is about the machine and its user, not the run."""
    if isinstance(value, str):
        path = PureWindowsPath(value) if "\\" in value else PurePosixPath(value)
        text = f"…/{path.name}" if path.is_absolute() and path.name else value
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _flat(values: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", shown(value)


def _rank(section: str) -> int:
    return HEADLINE_ORDER.index(section) if section in HEADLINE_ORDER else len(HEADLINE_ORDER)


def _mean(scores: Mapping[str, Any], label: str, section: str, level: str, which: str, metric: str) -> str:
    rows: Sequence[Row] = select(scores["summary"], label, section)
    found = [row["mean"] for row in rows if (row["level"], row["slices"], row["metric"]) == (level, which, metric)]
    return number(found[0] if found else None, metric)
