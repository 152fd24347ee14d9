"""From rows of cases to thresholds, and to how well flags tell what went wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lungseg_monai.segment.look import look_of
from lungseg_monai.segment.uncertainty import Limits

GOOD_DICE = 0.9
ADDED = ("uncertain", "ragged_border")  # by --uncertainty
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


def of_look(rows: Rows, *, uncertainty: bool) -> float | None:
    """The area under the ROC curve of look.py's score, with or without what --uncertainty adds."""
    scores: dict[bool, list[float]] = {True: [], False: []}
    for row in rows:
        codes = [code for code in row["flags"] if uncertainty or code not in ADDED]
        flags = [{"code": code, "severity": row["flags"][code]} for code in codes]
        sure = [one["confidence"] for one in row["rois"].values()]
        sure += [one["dice"] for one in row["rois"].values() if uncertainty and one["true"] is not None]
        scores[row["bad"]].append(look_of(flags, [one for one in sure if one is not None])["score"])
    return _area(scores[True], scores[False])


def _area(bad: Sequence[float], good: Sequence[float]) -> float | None:
    """How often a bad one lies above a good one; ties count half."""
    wins = sum((one > other) + 0.5 * (one == other) for one in bad for other in good)
    return wins / (len(bad) * len(good)) if bad and good else None


def by_limits(rows: Rows, limits: Limits) -> list[dict[str, Any]]:
    """The rows with the flags that `limits` give, whatever they were when the rows were made."""
    told = []
    for row in rows:
        flags = {code: severity for code, severity in row["flags"].items() if code not in ADDED}
        rois = row["rois"].values()
        apart = any(
            (one["border_percent"] or 0) > limits.border
            or (one["true"] is not None and one["dice"] is not None and one["dice"] < limits.dice)
            for one in rois
        )
        if apart:
            flags["uncertain"] = "check"
        if any((one["ragged"] or 0) > limits.ragged for one in rois):
            flags["ragged_border"] = "check"
        told.append({**row, "flags": flags})
    return told


def of_number(name: str, rows: Rows) -> Told:
    sign = 1 if HIGHER_IS_WORSE[name] else -1
    known = [one for one in lungs(rows) if one.get(name) is not None]
    good = sorted(sign * one[name] for one in known if one["true"] >= GOOD_DICE)
    bad = [sign * one[name] for one in known if one["true"] < GOOD_DICE]
    edge = good[min(len(good) - 1, int((1 - FALSE_ALARMS) * len(good)))] if good else 0.0
    recall = sum(one > edge for one in bad) / len(bad) if bad else None
    return Told(name, len(bad), len(known), _area(bad, good), sign * edge, recall)


def of_flags(rows: Rows) -> list[tuple[str, int, int]]:
    """(code, bad cases with it, good cases with it) of alarms and checks, the most telling first; then any of them."""
    codes = sorted({code for row in rows for code in _asking(row)})
    counted = [(code, *_split(rows, [code])) for code in codes]
    counted.sort(key=lambda one: -(one[1] + 1) / (one[1] + one[2] + 2))
    return [*counted, ("any of them", *_split(rows, codes))]


def chance(bad: int, good: int) -> float:
    """That a case with a flag is bad, by Laplace's rule: of few cases little is known."""
    return (bad + 1) / (bad + good + 2)


def table(rows: Rows, limits: Limits) -> str:
    """Markdown of it all."""
    rows = by_limits(rows, limits)
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
    plain, whole = (_share(of_look(rows, uncertainty=one)) for one in (False, True))
    lines += ["", f"A bad case before a good one by the score: {plain} of all pairs, {whole} with --uncertainty."]
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _asking(row: dict[str, Any]) -> list[str]:
    return [code for code, severity in row["flags"].items() if severity != "note"]


def _split(rows: Rows, codes: Iterable[str]) -> tuple[int, int]:
    wanted = set(codes)
    having = [bool(row["bad"]) for row in rows if wanted & set(_asking(row))]
    return sum(having), len(having) - sum(having)
