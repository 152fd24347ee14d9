"""Which cases to look at first, and why: one number from a case's flags and from how sure the network was. Light."""

from collections.abc import Iterable, Mapping
from typing import Any

CHANCES = {"alarm": 0.9, "check": 0.3, "note": 0.0}  # that a case with such a flag is wrong, where nothing was measured
# Of checks that five or more cases had, of made chests, else of films: docs/reference/flags.md.
MEASURED = {
    "ragged_border": 0.62,
    "uncertain": 0.5,
    "situs": 0.43,
    "unsure": 0.38,
    "disagrees_with_threshold": 0.36,
    "one_lung": 0.25,
    "inverted": 0.14,
    "cut_at_edge": 0.13,
}


def look_of(flags: Iterable[Mapping[str, str]], sure: Iterable[float]) -> dict[str, Any]:
    """{"reasons": codes of alarms and checks, the gravest first, "score": 0 to 1, more is more worth a look}.

    score: 1 - s (1 - c1) (1 - c2) ... with s the lowest of `sure` (confidences, Dice between answers; 1 where there is
    none) and c the chance of each flag: as measured on made chests (python -m benchmarks.flags), else by its severity.
    """
    chances: dict[str, float] = {}
    for flag in flags:
        chance = chance_of(flag)
        if chance > 0:
            chances[flag["code"]] = max(chance, chances.get(flag["code"], 0.0))
    calm = min((min(max(float(one), 0.0), 1.0) for one in sure), default=1.0)
    for chance in chances.values():
        calm *= 1 - chance
    return {"reasons": sorted(chances, key=lambda code: -chances[code]), "score": round(1 - calm, 4)}


def dice_between(uncertainty: Mapping[str, Any]) -> list[float]:
    """The Dice between answers, of each ROI of case.json's "uncertainty"; [] where there is none."""
    rois = uncertainty.get("rois")
    held = [one.get("dice") for one in rois.values() if isinstance(one, dict)] if isinstance(rois, dict) else []
    return [one for one in held if isinstance(one, int | float)]


def chance_of(flag: Mapping[str, str]) -> float:
    """Alarms count as alarms whatever was measured."""
    severity = flag.get("severity", "check")
    by_severity = CHANCES.get(severity, CHANCES["check"])
    return MEASURED.get(flag.get("code", ""), by_severity) if severity == "check" else by_severity
