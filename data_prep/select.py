"""Which series to convert: rules such as `description~chest,thickness<=3`."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from data_prep.errors import UsageError
from data_prep.slices import SliceHeader

NUMBERS: Mapping[str, str] = {"thickness": "SliceThickness in mm", "slices": "number of slices or frames"}
TEXTS: Mapping[str, str] = {
    "modality": "CT",
    "description": "SeriesDescription",
    "kernel": "ConvolutionKernel",
    "manufacturer": "Manufacturer",
    "phase": "TemporalPositionIdentifier or -Index",
    "acquisition": "AcquisitionNumber",
    "type": "ImageType, its parts joined by a backslash",
    "series": "SeriesInstanceUID",
}
COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
    "!=": operator.ne,
}
RULE = re.compile(r"\s*([a-z]+)\s*(<=|>=|!=|!~|=|~|<|>)\s*(.*?)\s*")


@dataclass(frozen=True)
class Condition:
    """`key` of a series compared with `value`; `~` and `!~` search for a regular expression, case does not matter."""

    key: str
    compare: str
    value: str

    def holds(self, slices: Sequence[SliceHeader]) -> bool:
        found = _fact(self.key, slices)
        if self.key in NUMBERS:
            return found is not None and COMPARE[self.compare](float(str(found)), float(self.value))
        text = str(found or "")
        if self.compare in ("~", "!~"):
            return (re.search(self.value, text, re.IGNORECASE) is not None) == (self.compare == "~")
        return (text.casefold() == self.value.casefold()) == (self.compare == "=")


Rule = tuple[Condition, ...]


def parse_rules(texts: Sequence[str]) -> list[Rule]:
    """Each text is one rule: conditions with commas between them, all of which must hold. Raises UsageError."""
    return [tuple(_condition(part) for part in re.split(r",(?=\s*[a-z]+\s*[<>=!~])", text)) for text in texts]


def selected(slices: Sequence[SliceHeader], rules: Sequence[Rule]) -> bool:
    """Whether a series (its slices) fits at least one rule; without rules every series does."""
    return not rules or any(all(condition.holds(slices) for condition in rule) for rule in rules)


def _condition(text: str) -> Condition:
    match = RULE.fullmatch(text)
    if match is None or match[1] not in {**NUMBERS, **TEXTS}:
        raise UsageError(
            f"--select does not understand `{text}`: wanted KEY COMPARISON VALUE, such as thickness<=3 or "
            f"description~chest. Keys: {', '.join([*TEXTS, *NUMBERS])}"
        )
    key, compare, value = match.groups()
    wanted = COMPARE if key in NUMBERS else ("=", "!=", "~", "!~")
    if compare not in wanted:
        raise UsageError(f"--select: {key} can't be compared by {compare}; use one of {' '.join(wanted)}")
    try:
        float(value) if key in NUMBERS else re.compile(value if "~" in compare else "")
    except (ValueError, re.error) as error:
        raise UsageError(f"--select: `{value}` in `{text}` is no {'number' if key in NUMBERS else error}") from error
    return Condition(key, compare, value)


def _fact(key: str, slices: Sequence[SliceHeader]) -> object:
    first = slices[0]
    facts: Mapping[str, object] = {
        "thickness": first.thickness_mm,
        "slices": len(slices),
        "modality": "CT",
        "description": first.description,
        "kernel": first.kernel,
        "manufacturer": first.manufacturer,
        "phase": first.temporal_position,
        "acquisition": first.acquisition,
        "type": "\\".join(first.image_type),
        "series": first.series_uid,
    }
    return facts[key]
