"""From rows of cases to thresholds, and to how well flags tell what went wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

GOOD_DICE = 0.9
FALSE_ALARMS = 0.05  # of good lungs: what a threshold may cost
HIGHER_IS_WORSE = {"border_percent": True, "flip_percent": True, "dice": False, "ragged": True, "confidence": False}
Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Told:
    """Of one number, over lungs: how many are bad of how many, the area under the ROC curve, the threshold beyond which
    FALSE_ALARMS of the good ones lie, and the share of the bad ones beyond it (None without a bad one).
    """

    name: str
    bad: int
    count: int
    auc: float | None
    threshold: float
    recall: float | None


def lungs(rows: Rows) -> list[dict[str, Any]]:
    """Those that are judged by Dice."""
    return [roi for row in rows for roi in row["rois"].values() if roi.get("true") is not None]


def of_number(name: str, rows: Rows) -> Told:
    sign = 1 if HIGHER_IS_WORSE[name] else -1
    known = [one for one in lungs(rows) if one.get(name) is not None]
    good = sorted(sign * one[name] for one in known if one["true"] >= GOOD_DICE)
    bad = [sign * one[name] for one in known if one["true"] < GOOD_DICE]
    edge = good[min(len(good) - 1, int((1 - FALSE_ALARMS) * len(good)))] if good else 0.0
    wins = sum((one > other) + 0.5 * (one == other) for one in bad for other in good)
    auc = wins / (len(bad) * len(good)) if bad and good else None
    recall = sum(one > edge for one in bad) / len(bad) if bad else None
    return Told(name, len(bad), len(known), auc, sign * edge, recall)


def of_flags(rows: Rows) -> list[tuple[str, int, int]]:
    """(code, bad cases with it, good cases with it) of alarms and checks, the most telling first; then any of them."""
    codes = sorted({code for row in rows for code in _asking(row)})
    counted = [(code, *_split(rows, [code])) for code in codes]
    counted.sort(key=lambda one: -(one[1] + 1) / (one[1] + one[2] + 2))
    return [*counted, ("any of them", *_split(rows, codes))]


def chance(bad: int, good: int) -> float:
    """That a case with a flag is bad, by Laplace's rule: of few cases little is known."""
    return (bad + 1) / (bad + good + 2)


def table(rows: Rows) -> str:
    """Markdown of it all."""
    bad = sum(row["bad"] for row in rows)
    lines = [f"{len(rows)} cases, {bad} of them bad.", "", "| number | bad lungs | AUC | threshold | recall |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for name in HIGHER_IS_WORSE:
        told = of_number(name, rows)
        cells = (name, f"{told.bad} of {told.count}", _share(told.auc), f"{told.threshold:.3g}", _share(told.recall))
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| flag | of the bad cases | of the good ones | chance |", "| --- | --- | --- | --- |"]
    for code, with_it, without in of_flags(rows):
        lines.append(
            f"| {code} | {with_it} of {bad} | {without} of {len(rows) - bad} | {chance(with_it, without):.2f} |"
        )
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _asking(row: dict[str, Any]) -> list[str]:
    return [code for code, severity in row["flags"].items() if severity != "note"]


def _split(rows: Rows, codes: Iterable[str]) -> tuple[int, int]:
    wanted = set(codes)
    having = [bool(row["bad"]) for row in rows if wanted & set(_asking(row))]
    return sum(having), len(having) - sum(having)
