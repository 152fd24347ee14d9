"""OUT/segment.json and each case's case.json, read with distrust: what is damaged is said, and the rest is shown."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungseg_monai.errors import NothingToDoError, ReportError
from lungseg_monai.segment.look import dice_between, look_of

SEVERITIES = ("alarm", "check", "note")
DONE, FAILED, REFUSED = "done", "failed", "refused"
CT, MASK, PACKED = "ct.nii.gz", "lungs.nii.gz", ".nii.gz"
UNCERTAINTY = "uncertainty.nii.gz"
UNDONE = {FAILED: 0.85, REFUSED: 0.25}  # the score of a case without a result: after alarms, after most checks


@dataclass(frozen=True)
class Case:
    """One case. facts: case.json, empty where there is none. flags: {"code", "what", "severity"} each."""

    name: str
    status: str
    folder: Path
    flags: tuple[Mapping[str, str], ...]
    error: str | None
    seconds: float | None
    facts: Mapping[str, Any]

    @property
    def worst(self) -> str:
        """The gravest severity among the flags, "" without flags."""
        return next((one for one in SEVERITIES if any(flag["severity"] == one for flag in self.flags)), "")

    @property
    def confidence(self) -> float:
        """The lowest of all ROIs; 2, which is above all, where none is known."""
        return min((v for v in mapping(self.facts.get("confidence")).values() if isinstance(v, int | float)), default=2)

    @property
    def look(self) -> dict[str, Any]:
        """{"reasons": codes of flags, "score": 0 to 1}: of case.json, else as it would stand there now."""
        if self.status in UNDONE:
            return {"reasons": [self.status], "score": UNDONE[self.status]}
        held = mapping(self.facts.get("look"))
        score, reasons = _number(held.get("score")), held.get("reasons")
        if score is not None and 0 <= score <= 1 and isinstance(reasons, list):
            return {"reasons": [str(one) for one in reasons], "score": score}
        sure = [v for v in mapping(self.facts.get("confidence")).values() if isinstance(v, int | float)]
        return look_of(self.flags, [*sure, *dice_between(mapping(self.facts.get("uncertainty")))])

    @property
    def uncertainty(self) -> Path:
        """The preview's map of uncertainty, which need not be there."""
        return self.folder / "preview" / UNCERTAINTY

    @property
    def preview(self) -> tuple[Path, Path]:
        """Image and labels to show; neither need be there."""
        return self.folder / "preview" / CT, self.folder / "preview" / _mask_name(self.facts)

    def result(self) -> str:
        """Changes where the case's result does: a decision about another result is none about this one."""
        outputs = mapping(mapping(self.facts.get("hashes")).get("outputs"))
        told = [self.status, self.error, outputs, self.facts.get("volumes_ml")]
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Segmented:
    """A whole segmentation; cases in the order in which they should be looked at.

    refused, ignored: what else lay in the inputs, a sentence each.
    """

    folder: Path
    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    versions: Mapping[str, Any]
    cases: tuple[Case, ...]
    refused: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def key(self) -> str:
        """What decisions are kept under: the folder's name, the model and its settings."""
        told = [self.folder.resolve().name, self.model, self.settings]
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:20]


def is_segmentation(out: Path) -> bool:
    """Whether `lungseg segment` wrote this folder."""
    return (out / "segment.json").is_file()


def read_segmentation(out: Path) -> Segmented:
    """Everything but the images. Raises NothingToDoError without segment.json, ReportError where it is damaged."""
    path = out / "segment.json"
    if not path.is_file():
        raise NothingToDoError(f"{out} holds no segment.json: it wants a folder that lungseg segment wrote")
    content = _read(path)
    if not isinstance(content, dict) or not isinstance(content.get("cases"), dict):
        raise ReportError(f"{path} holds no object with cases or can't be read: run lungseg segment again")
    cases = [_case(out, name, mapping(entry)) for name, entry in content["cases"].items()]
    of = {name: mapping(content.get(name)) for name in ("model", "settings", "versions")}
    refused = tuple(_told(one, "what", "where", "reason") for one in _listed(content.get("refused")))
    ignored = tuple(_told(one, "files", "reason", "where") for one in _listed(content.get("ignored")))
    return Segmented(out, cases=tuple(sorted(cases, key=_order)), refused=refused, ignored=ignored, **of)


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _told(entry: Any, *keys: str) -> str:
    """The values in a line; what is no object as it is."""
    of = mapping(entry)
    return ", ".join(str(of[key]) for key in keys if of.get(key) not in (None, "")) if of else str(entry)


def _mask_name(facts: Mapping[str, Any]) -> str:
    """The file of the labels to show, which is called after what the model finds: a name, never a path."""
    hashed = mapping(mapping(facts.get("hashes")).get("outputs"))
    beside = [name.rpartition("/")[2] for name in hashed if str(name).startswith("preview/")]
    written = mapping(facts.get("outputs")).get("nifti")
    for name in [*beside, str(written).rpartition("/")[2]]:
        if name.endswith(PACKED) and name not in (CT, UNCERTAINTY):
            return name
    return MASK


def _case(out: Path, name: str, entry: Mapping[str, Any]) -> Case:
    status, error = str(entry.get("status", FAILED)), entry.get("error")
    folder = out / str(entry.get("folder") or name)
    facts = _read(folder / "case.json")
    if facts is None and status == DONE and not error:
        error = "case.json is missing or can't be read: run lungseg segment on this case again"
    facts, seconds = mapping(facts), entry.get("seconds")
    flags = tuple(_flag(flag) for flag in entry.get("flags") or facts.get("flags") or ())
    return Case(name, status, folder, flags, str(error) if error else None, _number(seconds), facts)


def _flag(flag: Any) -> dict[str, str]:
    of = mapping(flag)
    severity = of.get("severity")
    return {
        "code": str(of.get("code", "")),
        "what": str(of.get("what", flag)),
        "severity": severity if severity in SEVERITIES else "check",
    }


def _order(case: Case) -> tuple[float, float, str]:
    """Those most worth a look first; of equal ones those of lower confidence."""
    return -case.look["score"], case.confidence, case.name


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _read(path: Path) -> Any:
    """The JSON in a file; None where it can't be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
