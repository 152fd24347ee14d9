"""Pairs -> the cases to make: patients, names, and what tells whether a case must be made again."""

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from data_prep import __version__
from data_prep.identity import OTHER_FILES, CaseId, CaseKey, Secrets, name_cases
from data_prep.radiographs.find import Source
from data_prep.radiographs.names import class_of, named, stem_of
from data_prep.radiographs.options import RadiographOptions
from data_prep.radiographs.pairs import Pair
from data_prep.roi_names import safe_name


@dataclass(frozen=True, eq=False)
class CasePlan:
    """What becomes one case. masks: (what it shows, file). unpaired: others of the same input have masks, it has none.

    key: what the case is known by, its SOPInstanceUID or place; written as a hash only.
    """

    name: CaseId
    image: Source
    masks: tuple[tuple[str, Source], ...]
    key: str
    class_name: str | None = None
    unpaired: bool = False


@dataclass(frozen=True, eq=False)
class Context:
    """What all cases of one run share."""

    salt: bytes
    secrets: Secrets
    convention: str | None


def make_plans(pairs: Sequence[Pair], salt: bytes, options: RadiographOptions) -> list[CasePlan]:
    """The cases in the order of their ids.

    A file's name may be a person's: it is written with keep_ids only, as PatientID is. The names of the class folders
    of the COVID-19 Radiography Database always stand before the id.
    """
    labels = _labels(pairs)
    keys = [_key(one, labels[one.image], options) for one in pairs]
    names = name_cases(keys, salt, options.keep_ids)
    has_masks = any(one.masks for one in pairs)
    taken = set(OTHER_FILES)
    plans = []
    for one, key in zip(pairs, keys, strict=True):
        class_name = class_of(one.image.place)
        name = names[key.key]
        wanted = name.case_id
        if class_name and not wanted.casefold().startswith(class_name.casefold()):
            wanted = f"{class_name}_{wanted}"
        name = replace(name, case_id=safe_name(wanted, taken, "case"))
        if not one.image.dicom:
            name = replace(name, note=None)
        masks = tuple(sorted(one.masks.items(), key=lambda item: item[0]))
        plans.append(CasePlan(name, one.image, masks, key.key, class_name, has_masks and not masks))
    return sorted(plans, key=lambda plan: plan.name.case_id)


def _labels(pairs: Sequence[Pair]) -> dict[Source, str]:
    """What each picture is called: its stem where that is the only one, else with folders, else with its ending."""
    stems = Counter(stem_of(one.image.place).casefold() for one in pairs)
    long = {one.image: "/".join((*named(one.image.place).base, stem_of(one.image.place))) for one in pairs}
    longs = Counter(name.casefold() for name in long.values())
    labels = {}
    for one in pairs:
        stem = stem_of(one.image.place)
        if stems[stem.casefold()] == 1:
            labels[one.image] = stem
        elif longs[long[one.image].casefold()] == 1:
            labels[one.image] = long[one.image]
        else:
            labels[one.image] = str(one.image.place)
    return labels


def _key(one: Pair, label: str, options: RadiographOptions) -> CaseKey:
    facts = one.image.dicom
    place = str(one.image.place)
    shown = label if options.keep_ids else ""
    if facts is not None:
        key = f"dicom {facts.sop_uid or place}"
        patient = one.patient or facts.patient_id
        study = facts.study_uid or facts.series_uid or place
        return CaseKey(f"{key} {place}", patient, study, key, facts.removed)
    patient = one.patient or _patient_in(label, options.patient_pattern)
    return CaseKey(f"picture {place}", patient or label, "", f"picture {place}", False, shown if patient else "")


def _patient_in(label: str, pattern: str | None) -> str:
    found = re.search(pattern, label) if pattern else None
    return (found.group(1) or "") if found else ""


def fingerprint(plan: CasePlan, options: RadiographOptions, salt: bytes) -> str:
    """Changes with the contents of the case's files, its name, the options and this tool's version."""
    digest = hashlib.sha256()
    for what, source in (("image", plan.image), *plan.masks):
        digest.update(f"\n{what} ".encode())
        try:
            with source.path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:  # its case says so when it is made, and is made again next time
            digest.update(type(error).__name__.encode())
    about = f"{__version__} {plan.name} {plan.class_name} {plan.unpaired} {options.convention} {digest.hexdigest()}"
    return hmac.new(salt, about.encode(), hashlib.sha256).hexdigest()
