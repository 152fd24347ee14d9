"""What a scan found -> the cases to make: series chosen and separated, what was drawn on them, names."""

import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from data_prep import __version__
from data_prep.archives import Member, Unpacked, extract
from data_prep.errors import PrepError, UnreadableFileError
from data_prep.identity import CaseId, CaseKey, Secrets, name_cases
from data_prep.options import ConvertOptions, MaskOptions, StackOptions
from data_prep.pairing import Pair, pair
from data_prep.scan import Refusal, Scan, relative
from data_prep.segments import SegHeader
from data_prep.select import parse_rules, selected
from data_prep.separate import Part, separate
from data_prep.series import same_pixels
from data_prep.slices import SliceHeader
from data_prep.volumes import VolumeCase


@dataclass(frozen=True, eq=False)
class CasePlan:
    """What becomes one case: slices of one series, or a `volume` of another format, and what was drawn on it.

    rule: what separated the slices from the rest of their series, or "". npz: files of masks without geometry.
    damaged: files that can't be read lie beside the slices.
    """

    name: CaseId
    slices: list[SliceHeader]
    pairs: list[Pair] = field(default_factory=list)
    npz: list[Path] = field(default_factory=list)
    volume: VolumeCase | None = None
    rule: str = ""
    damaged: bool = False

    @property
    def series_uid(self) -> str:
        return self.slices[0].series_uid if self.slices else ""

    @property
    def files(self) -> list[Path]:
        """All that the case is made of; a multi-frame file once."""
        if self.volume is not None:
            return [self.volume.image, *self.volume.masks]
        return [*dict.fromkeys(one.path for one in self.slices), *(one.struct.path for one in self.pairs), *self.npz]


@dataclass(frozen=True, eq=False)
class Context:
    """What all cases of one conversion share. archived: the files of zip archives, by path."""

    source: Path
    salt: bytes
    secrets: Secrets
    stack: StackOptions
    masks: MaskOptions
    archived: dict[Path, Member]

    def where(self, path: Path) -> str:
        return relative(self.source, path)

    def for_case(self, plan: CasePlan) -> "Context":
        """Without the archived files of other cases: it is sent to other processes."""
        return replace(self, archived={path: self.archived[path] for path in plan.files if path in self.archived})


def make_plans(found: Scan, salt: bytes, options: ConvertOptions) -> list[CasePlan]:
    """The cases in the order of their ids. What fits no case is added to `found`, refused or passed over by name."""
    rules = parse_rules(options.select)
    chosen: dict[str, list[SliceHeader]] = {}
    for uid, slices in found.series.items():
        if selected(slices, rules):
            chosen[uid] = slices
        else:
            found.passed_over[_folder(found, slices), "series not selected"] += len(slices)
    if found.series and not chosen:
        found.refused.append(
            Refusal("series", ".", f"none of {len(found.series)} series fits {' or '.join(options.select)}")
        )
    drawn = _drawn(found, chosen)
    npz = _npz(found, chosen)
    cases: list[tuple[CaseKey, CasePlan]] = []
    for uid, slices in chosen.items():
        for part in _parts(found, uid, slices):
            key = _key(part, uid)
            pairs = drawn.get(uid, [])
            if part.rule:
                pairs = [replace(one, note=_join(one.note, _shared(part))) for one in pairs]
            plan = CasePlan(NAMELESS, part.slices, pairs, npz.get(uid, []), None, _rule(part), _damaged(found, part))
            cases.append((key, plan))
    cases += _volumes(found)
    names = name_cases([key for key, _ in cases], salt, options.keep_ids)
    plans = [replace(plan, name=names[key.key]) for key, plan in cases]
    return sorted(plans, key=lambda plan: plan.name.case_id)


NAMELESS = CaseId("", "", "")


def _key(part: Part, uid: str) -> CaseKey:
    first = part.slices[0]
    removed = all(one.identity_removed for one in part.slices)
    return CaseKey(f"{uid} {part.label}", first.patient_id, first.study_uid, uid, removed, part.label)


def _parts(found: Scan, uid: str, slices: list[SliceHeader]) -> list[Part]:
    """The volumes in one series; a few stray slices beside them are passed over.

    A series that can't be looked into is refused, whatever the reason: it costs no other.
    """
    try:
        with Unpacked(found.archived) as local:
            parts = separate(slices, lambda one, other: _same_pixels(one, other, local))
    except Exception as error:  # noqa: BLE001
        why = getattr(error, "strerror", None) or type(error).__name__  # other texts may hold anything
        if isinstance(error, PrepError):
            why = found.secrets.hide_files(str(error), [one.path for one in slices])
        where = _folder(found, slices) or found.where(slices[0].path)
        found.refused.append(Refusal("series", where, f"slices at one place can't be compared: {why}", uid))
        return []
    for part in parts:
        if part.minor:
            found.passed_over[_folder(found, part.slices), f"stray slice ({part.rule})"] += len(part.slices)
    return [part for part in parts if not part.minor]


def _same_pixels(one: SliceHeader, other: SliceHeader, local: Unpacked) -> bool:
    return same_pixels(replace(one, path=local(one.path)), replace(other, path=local(other.path)))


def _rule(part: Part) -> str:
    """What told the part from others, without the verb."""
    return part.rule.removeprefix("separated by ")


def _shared(part: Part) -> str:
    return f"drawn on a series that holds several volumes (separated by {_rule(part)}): filled on each of them"


def _join(first: str | None, second: str) -> str:
    return f"{first}; {second}" if first else second


def _damaged(found: Scan, part: Part) -> bool:
    return any(one.path.parent in found.damaged_folders for one in part.slices)


def _drawn(found: Scan, chosen: dict[str, list[SliceHeader]]) -> dict[str, list[Pair]]:
    """SeriesInstanceUID -> RTSTRUCTs and SEGs; those that fit no series are refused."""
    pairing = pair([*found.structs, *found.segs], {uid: s[0] for uid, s in found.series.items()}, found.read_bytes)
    for struct, reason in pairing.unpaired:
        what = "seg" if isinstance(struct, SegHeader) else "rtstruct"
        found.refused.append(Refusal(what, found.where(struct.path), reason, struct.sop_uid))
    if pairing.copies:
        found.passed_over["", "copy of an RTSTRUCT or SEG"] += pairing.copies
    for uid, pairs in pairing.by_series.items():
        if uid not in chosen:
            for one in pairs:
                found.passed_over[found.where(one.struct.path.parent), "drawn on a series that was not selected"] += 1
    return pairing.by_series


def _npz(found: Scan, chosen: dict[str, list[SliceHeader]]) -> dict[str, list[Path]]:
    """SeriesInstanceUID -> NPZ files of its masks."""
    from data_prep.npz import pair_npz

    files = [path for path in found.others if path.suffix.lower() == ".npz"]
    if not files or not chosen:
        for path in files:
            found.passed_over[_place(found, path), "NPZ without a CT series"] += 1
        return {}
    pairing = pair_npz(files, {uid: slices[0].path.parent for uid, slices in chosen.items()})
    for path, reason in pairing.unpaired:
        found.refused.append(Refusal("npz", found.where(path), reason))
    return pairing.by_series


def _volumes(found: Scan) -> list[tuple[CaseKey, CasePlan]]:
    """Images of other formats with their masks. A file's name may be a person's: it counts as an id.

    Beside DICOM CT they are most likely made from it: nobody wants a patient twice, so they are passed over by name.
    """
    from data_prep.volumes import find_volumes

    files = [path for path in found.others if path.suffix.lower() != ".npz"]
    if found.series:
        for path in files:
            found.passed_over[_place(found, path), "image or mask file beside DICOM CT: convert its folder alone"] += 1
        return []
    result = find_volumes(files)
    for path, reason in result.refused:
        found.refused.append(Refusal("file", found.where(path), reason))
    cases = []
    for one in result.cases:
        key = CaseKey(f"volume {one.image}", one.name, "", f"volume {found.where(one.image)}", False)
        cases.append((key, CasePlan(NAMELESS, [], volume=one)))
    return cases


def _place(found: Scan, path: Path) -> str:
    return "" if path == found.source else found.where(path.parent)


def _folder(found: Scan, slices: Sequence[SliceHeader]) -> str:
    folder = Path(os.path.commonpath([one.path.parent for one in slices]))
    return "" if found.source.is_file() else found.where(folder)


def fingerprint(plan: CasePlan, salt: bytes, found: Scan, options: ConvertOptions) -> str:
    """Changes with anything that the result depends on: slice headers, drawings, options, this tool's version.

    Not with file names or times. Pixels are not read for it: a slice is known by its UIDs, size and header.
    """
    table = options.masks.roi_map.read_bytes() if options.masks.roi_map else b""
    masks = replace(options.masks, roi_map=None)
    parts = [f"{__version__} {plan.name} {plan.damaged} {plan.rule} {options.stack} {masks}", repr(table)]
    parts.extend(repr(replace(one, path=Path())) for one in plan.slices)
    others = plan.files if plan.volume else [*(one.struct.path for one in plan.pairs), *plan.npz]
    parts.extend(_digest(found, path) for path in others)
    return hmac.new(salt, "\n".join(sorted(parts)).encode(), hashlib.sha256).hexdigest()


def _digest(found: Scan, path: Path) -> str:
    try:
        return hashlib.sha256(found.read_bytes(path)).hexdigest()
    except (UnreadableFileError, OSError) as error:  # its case says so when it is made, and is made again next time
        return f"unreadable {type(error).__name__}"


def unpack(plan: CasePlan, context: Context, scratch: Path) -> CasePlan:
    """`plan` with its archived files unpacked below `scratch`. Raises UnreadableFileError and OSError."""
    if not context.archived:
        return plan
    places: dict[Path, Path] = {}
    for number, (path, member) in enumerate(context.archived.items()):
        places[path] = scratch / str(number) / path.name[-100:]
        places[path].parent.mkdir(parents=True)
        try:
            extract(member, places[path])
        except UnreadableFileError as error:
            raise UnreadableFileError(f"{path.name}: {error}") from error
    return replace(
        plan,
        slices=[replace(one, path=places.get(one.path, one.path)) for one in plan.slices],
        pairs=[
            replace(one, struct=replace(one.struct, path=places.get(one.struct.path, one.struct.path)))
            for one in plan.pairs
        ],
    )
