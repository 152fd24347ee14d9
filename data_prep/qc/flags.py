"""A flag: what is odd about a case, how bad that is, in a sentence. One small function a flag; all are tried."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from data_prep.qc.facts import CaseFacts
from data_prep.qc.limits import LIMITS, Limits

SEVERITIES = ("bad", "look", "note")  # wrong unless explained; may be wrong; good to know


@dataclass(frozen=True)
class Flag:
    """code: for machines and filters. roi: name of the ROI it is about, or None for the case."""

    code: str
    severity: str
    text: str
    roi: str | None = None


Check = Callable[[CaseFacts, Limits], Iterable[Flag]]


def flags_of(case: CaseFacts, limits: Limits = LIMITS) -> list[Flag]:
    """All flags of a case, worst first."""
    from data_prep.qc.image_flags import HU_CHECKS, SLICE_CHECKS
    from data_prep.qc.lung_flags import LUNG_CHECKS
    from data_prep.qc.mask_flags import MASK_CHECKS

    checks = (*HU_CHECKS, *LUNG_CHECKS, *MASK_CHECKS, *SLICE_CHECKS)  # of equally bad ones, causes stand first
    found = [flag for check in checks for flag in check(case, limits)]
    return sorted(found, key=lambda flag: SEVERITIES.index(flag.severity))


def worst_first(flags: Iterable[Flag]) -> tuple[int, ...]:
    """Key to sort cases by: those with the most of the worst first, clean ones last."""
    severities = [flag.severity for flag in flags]
    return tuple(-severities.count(severity) for severity in SEVERITIES)


def percent(share: float) -> str:
    """A share as people read it; never 0 % or 100 % for what is neither."""
    if share in (0, 1):
        return f"{share * 100:.0f} %"
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{share * 100:.1f} %" if share < 0.1 else f"{share * 100:.0f} %"
