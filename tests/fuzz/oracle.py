"""What a conversion of spoiled input may do, and what is a defect. The classes stand in VERDICTS."""

import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from fuzz.reference import NAMELESS, Meaning, contents, fits, mask_of, meaning
from fuzz.seeds import Seed, Tree

from data_prep.verify import verify

VERDICTS = {
    "same": "the same voxels as without damage, and nothing to say",
    "same, said": "the same voxels, and a word about the damage",
    "as read": "other voxels: those that the spoiled files now state, by a second reading of them",
    "differs, said": "other voxels, or fewer, and a word about why where it belongs",
    "refused": "nothing converted, for a reason that is named",
}
DEFECTS = {
    "crash": "an exception that is no PrepError",
    "unexpected": "a reason that begins with 'unexpected': an exception nobody thought of",
    "hang": "no end within the time limit",
    "died": "the process ended",
    "memory": "more than 1 GiB",
    "outside": "something written, changed or left outside OUT",
    "silent": "voxels that nobody stated, slices or ROIs lost, without a word where it belongs",
    "unsaid": "damage that must be told came through without a word",
    "unverified": "`lungseg-prep verify` finds a problem in what was written",
    "noise": "a warning let through to the terminal: such warnings quote values",
    "privacy": "a part of the patient's name in what was written",
}
COUNTED = ("clipped", "moved", "skipped", "interpolated")
NAMES = re.compile(rb"(?<![a-z])doe(?![a-z])|jane|westphall")


@dataclass(frozen=True)
class Verdict:
    kind: str
    detail: str = ""

    @property
    def is_defect(self) -> bool:
        return self.kind in DEFECTS


@dataclass
class Truth:
    """What the valid seed says, by a second reading, and what its conversion mentions."""

    meaning: Meaning
    said: "Said"


@dataclass
class Said:
    """Everything a conversion mentions: about the whole and its cases, and about each ROI by its number."""

    whole: Counter[str] = field(default_factory=Counter)
    rois: dict[Any, Counter[str]] = field(default_factory=dict)


def said(dataset: Mapping[str, Any]) -> Said:
    found = Said()
    found.whole.update(f"refused {one['what']} {one['where']}: {one['reason']}" for one in dataset["refused"])
    found.whole.update(f"ignored {one['where']} {one['reason']} {one['files']}" for one in dataset["ignored"])
    for case in dataset["cases"]:
        found.whole.update(case["repairs"] + case["flags"])
        for roi in case["rois"]:
            words = found.rois.setdefault(roi["number"], Counter())
            words.update([*roi["flags"], roi["reason"] or "", roi["status"]])
            words.update(f"{key} {count}" for key, count in roi["planes"].items() if key in COUNTED)
    return found


def judge(seed: Seed, truth: Truth, files: Tree, out: Path, dataset: Mapping[str, Any], must_say: bool) -> Verdict:
    """The verdict on a conversion that came to an end."""
    now = said(dataset)
    words = [*now.whole, *(word for counter in now.rois.values() for word in counter)]
    odd = [word for word in words if "unexpected" in word]
    if odd:
        return Verdict("unexpected", odd[0])
    if seed.name == "named" and (leak := _leak(out)):
        return Verdict("privacy", leak)
    whole = now.whole - truth.said.whole
    rois = {number: words - truth.said.rois.get(number, Counter()) for number, words in now.rois.items()}
    wrong = verify(out).problems if (out / "dataset.json").exists() else []
    if wrong:
        return Verdict("unverified", f"{wrong[0].file}: {wrong[0].what}")
    if not dataset["cases"]:
        return Verdict("refused", "; ".join(whole)) if whole else Verdict("silent", "no case and no word")
    comparison = _Comparison(truth.meaning, meaning(contents(files)), out)
    for case in dataset["cases"]:
        comparison.case(case, bool(whole), rois)
    comparison.losses(dataset, bool(whole), any(rois.values()))
    if comparison.silent:
        return Verdict("silent", "; ".join(comparison.silent))
    spoken = bool(whole) or any(rois.values())
    if must_say and not spoken:
        return Verdict("unsaid", "nothing was said")
    if comparison.differs:
        return Verdict("differs, said", "; ".join([*whole, *comparison.differs]))
    if comparison.restated:
        return Verdict("as read")
    return Verdict("same, said" if spoken else "same", "; ".join(whole))


def _leak(out: Path) -> str:
    for path in sorted(out.rglob("*")):
        content = path.read_bytes().lower() if path.suffix in (".json", ".csv") else b""
        if leak := NAMES.search(content + b" " + os.fsencode(path.name).lower()):
            return f"{leak[0].decode()} in {path.name}"
    return ""


@dataclass
class _Comparison:
    """silent: differences without a word; differs: with one; restated: what the spoiled files now say."""

    true: Meaning
    now: Meaning
    out: Path
    silent: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    restated: bool = False
    slices: int = 0

    def case(self, case: Mapping[str, Any], whole: bool, rois: Mapping[Any, Counter[str]]) -> None:
        image = nib.load(self.out / case["image"])
        affine_lps = np.diag([-1.0, -1, 1, 1]) @ image.affine
        hu = np.asarray(image.dataobj)
        if not np.isfinite(hu).all():
            self.silent.append(f"{case['id']} holds voxels that are no numbers")
        for k in range(hu.shape[2]):
            if any(fits(one, affine_lps, k, hu[:, :, k]) for one in self.true.slices):
                self.slices += 1
            elif any(fits(one, affine_lps, k, hu[:, :, k]) for one in self.now.slices):
                self.slices += 1
                self.restated = True
            else:
                self._note(whole, f"slice {k} of {case['id']} is none of the input's")
        for roi in case["rois"]:
            if roi["file"]:
                mask = np.asarray(nib.load(self.out / roi["file"]).dataobj).astype(bool)
                self._mask(roi, mask, affine_lps, whole or bool(rois.get(roi["number"])))

    def _mask(self, roi: Mapping[str, Any], mask: np.ndarray, affine_lps: np.ndarray, spoken: bool) -> None:
        for source in (self.true, self.now):
            known = [one for one in source.rois if one.name == roi["name"]]
            known = known or [one for one in source.rois if one.number == roi["number"]]
            known = known or [one for one in source.rois if one.name == NAMELESS]
            if any(np.array_equal(mask_of(one, affine_lps, mask.shape), mask) for one in known):
                self.restated |= source is self.now
                return
        self._note(spoken, f"the mask of ROI {roi['number']} is not what was drawn")

    def losses(self, dataset: Mapping[str, Any], whole: bool, of_rois: bool) -> None:
        """Slices and ROIs of the valid seed that are in no case; a word about other ROIs warns of the file as well."""
        if self.slices < len(self.true.slices):
            self._note(whole, f"{len(self.true.slices) - self.slices} slices are gone")
        entries = [roi for case in dataset["cases"] for roi in case["rois"]]
        numbers, names = {roi["number"] for roi in entries}, {roi["name"] for roi in entries}
        nameless = sum(one.name == NAMELESS for one in self.true.rois)
        if nameless and len(entries) < nameless:
            self._note(whole or of_rois, f"{nameless - len(entries)} ROIs are gone")
        for one in self.true.rois[nameless:]:
            still = self.now.unreadable or any(other.name == one.name for other in self.now.rois)
            if one.number not in numbers and one.name not in names and still:
                self._note(whole or of_rois, f"ROI {one.number} is gone")

    def _note(self, spoken: bool, what: str) -> None:
        (self.differs if spoken else self.silent).append(what)


def describe(dataset: Mapping[str, Any]) -> str:
    """What a conversion said, for the folder of a failing input."""
    return json.dumps({key: dataset[key] for key in ("refused", "ignored", "cases")}, indent=1)
