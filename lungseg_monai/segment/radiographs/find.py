"""INPUTs of any kind -> the radiographs to segment, by lungseg-prep cxr's own rules of what is an image or a mask."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from data_prep.errors import DatasetError, NothingToDoError
from data_prep.errors import UsageError as PrepUsageError
from data_prep.identity import CaseId, Secrets, hashed, load_or_create_salt
from data_prep.options import MaskOptions
from data_prep.plan import CasePlan, Context
from data_prep.progress import Progress, silent
from data_prep.radiographs.find import Found, Source, find
from data_prep.radiographs.names import named, stem_of
from data_prep.radiographs.pairs import Pair, pair
from data_prep.roi_names import safe_name
from data_prep.scan import Refusal
from data_prep.volume_files import ending
from data_prep.volumes import VolumeCase
from lungseg_monai import errors
from lungseg_monai.segment.cases import EARLIER, NO_SALT, OUR_FILES, Case, Cases, InputOptions

MASK = "mask: not needed to segment"
TAKE_CT = "lungseg segment --model ct_lungs takes it"
VOLUME = f"a volume of voxels, no X-ray: {TAKE_CT}"
CT_SLICES = f"CT, no X-ray: {TAKE_CT}"
CT_REFUSED = "is a CT slice"  # how data_prep begins its reason
WANTED = "wanted chest X-rays: PNG, JPEG, TIFF or BMP files, DICOM CR or DX, a folder or zip archive of them"
UNPACKED = 10  # bytes of pixels for one of a file, about


@dataclass(frozen=True, eq=False)
class RadiographCase(Case):
    """A picture or a DICOM X-ray, the one file of `plan`. entry: what a prepared folder's dataset.json says of it."""

    dicom: bool = False
    entry: Mapping[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class _Look:
    """What was found so far. named: proposed name, folder in front of it where two have that name, and the picture."""

    base: Path
    named: list[tuple[str, str, Source, Mapping[str, Any]]] = field(default_factory=list)
    dicom: list[Source] = field(default_factory=list)
    origin: dict[Path, str] = field(default_factory=dict)  # of a file in an archive: the archive and the place in it
    refused: list[Refusal] = field(default_factory=list)
    passed_over: Counter[tuple[str, str]] = field(default_factory=Counter)
    secrets: Secrets = field(default_factory=Secrets)

    def where(self, path: Path) -> str:
        absolute = path.absolute()
        inside = absolute != self.base and absolute.is_relative_to(self.base)
        return absolute.relative_to(self.base).as_posix() if inside else path.name


def find_radiographs(
    inputs: Sequence[Path],
    scratch: Path,
    *,
    skip: Path | None = None,
    options: InputOptions | None = None,
    progress: Progress = silent,
) -> Cases:
    """The radiographs in `inputs` (files, folders, zip archives, prepared folders); archives are unpacked in `scratch`.

    A picture's case is called by its stem, or by its folder where it is called image; a prepared folder's as
    dataset.json has it; DICOM as lungseg-prep cxr names it. Masks, hidden files and results of earlier runs are counted
    and left out; a single file is taken whatever its name says. Raises UsageError for a path that does not exist or an
    option that is for CT, NothingToDoError where there is no X-ray.
    """
    options = options or InputOptions()
    if options.select:
        raise errors.UsageError("--select chooses among CT series; name the X-rays themselves, or a glob")
    missing = next((path for path in inputs if not path.exists()), None)
    if missing is not None:
        raise errors.UsageError(f"{missing} does not exist")
    look = _Look(_base(inputs))
    singly: list[tuple[Path, Found]] = []
    for number, path in enumerate(inputs):
        if path.is_file() and ending(path):
            look.refused.append(Refusal("file", look.where(path), VOLUME))
        elif not (path.is_dir() and _take_prepared(look, path)):
            _take(look, path, scratch / f"input{number}", skip, options, progress, singly)
    _take_singly(look, [one for _, found in singly for one in _relative(look, found)])
    _tell_ct(look)
    cases = _cases(look, options)
    if not cases:
        reasons = [f"{one.where}: {one.reason}" for one in look.refused]
        reasons += [f"{count} {why}" for (_, why), count in look.passed_over.items()]
        told = look.secrets.hide("; ".join(reasons[:4])) or "no X-ray"
        raise errors.NothingToDoError(f"nothing to segment in {', '.join(map(str, inputs[:4]))} ({told}); {WANTED}")
    ignored = [
        {"where": look.secrets.hide(where), "reason": why, "files": count}
        for (where, why), count in sorted(look.passed_over.items())
    ]
    context = cases[0].context
    return Cases(cases, [_public(one, context) for one in look.refused], ignored)


def _public(refusal: Refusal, context: Context) -> dict[str, Any]:
    hide = context.secrets.hide
    where, reason = hide(refusal.where), hide(refusal.reason)
    return {"what": refusal.what, "where": where, "reason": reason, "uid_hash": hashed(context.salt, refusal.uid)}


def _base(inputs: Sequence[Path]) -> Path:
    """The folder that places are told relative to: the only input if it is one, else what all lie in."""
    if len(inputs) == 1:
        return inputs[0].absolute() if inputs[0].is_dir() else inputs[0].absolute().parent
    return Path(os.path.commonpath([one.absolute().parent if one.is_file() else one.absolute() for one in inputs]))


def _take(
    look: _Look,
    path: Path,
    scratch: Path,
    skip: Path | None,
    options: InputOptions,
    progress: Progress,
    singly: list[tuple[Path, Found]],
) -> None:
    """Look through one input. Files named singly are kept for later: several may be images and their masks."""
    try:
        found = find(
            path, scratch, skip=skip, keep_ids=options.keep_ids, progress=progress if path.is_dir() else silent
        )
    except NothingToDoError as error:
        reason = str(error).replace(str(path), path.name)
        look.refused.append(Refusal("input", look.where(path), reason))
        return
    except PrepUsageError as error:
        raise errors.UsageError(str(error)) from error
    for kind in ("names", "ids", "values"):
        getattr(look.secrets, kind).update(getattr(found.secrets, kind))
    look.passed_over.update(found.passed_over)
    before = look.where(path) if path.absolute() != look.base else ""
    archive = path.is_file() and [one.path for one in (*found.pictures, *found.dicom)] != [path]
    for refusal in found.refused:
        where = refusal.where if not before or refusal.where == path.name else f"{before}/{refusal.where}"
        look.refused.append(replace(refusal, where=where))
    for one in (*found.pictures, *found.dicom):
        if one.path != path and not one.path.is_relative_to(path):
            look.origin[one.path] = f"{before or path.name}/{one.place}"
    if path.is_file() and not archive:
        singly.append((path, found))
        return
    kept = [one for one in found.pictures if not _is_earlier(look, one, path)]
    _take_group(look, kept, found.dicom, explicit=False)


def _relative(look: _Look, found: Found) -> list[Source]:
    return [Source(one.path, PurePosixPath(look.where(one.path)), one.dicom) for one in (*found.pictures, *found.dicom)]


def _take_singly(look: _Look, sources: list[Source]) -> None:
    once = list({one.path.resolve(): one for one in sources}.values())
    pictures = [one for one in once if not one.dicom]
    _take_group(look, pictures, [one for one in once if one.dicom], explicit=True)


def _take_group(look: _Look, pictures: list[Source], dicom: list[Source], explicit: bool) -> None:
    """Images of one input, or of the files named singly, without their masks.

    explicit: these files were named: what looks like a mask by its name and belongs to none of the others is an image.
    """
    pairs, refused = pair(pictures, dicom)
    images = [one.image for one in pairs]
    claimed = {id(mask) for one in pairs for mask in one.masks.values()}
    lost = {one.where for one in refused}
    for one in pictures:
        if id(one) in claimed or (str(one.place) in lost and not (explicit and _alone(one, pictures))):
            folder = one.place.parent.as_posix()
            look.passed_over["" if folder == "." else folder, MASK] += 1
        elif str(one.place) in lost:
            images.append(one)
    for one in images:
        if one.dicom:
            look.dicom.append(one)
            continue
        stem, folder = stem_of(one.place), one.place.parent.name or _folder(one)
        if stem.casefold() == "image" and folder:
            stem, folder = folder, one.place.parent.parent.name
        look.named.append((stem, folder, one, {}))


def _alone(mask: Source, pictures: Sequence[Source]) -> bool:
    """Whether no image of the mask's name was given."""
    own = named(mask.place)
    stems = {own.stem.casefold(), own.short.casefold()}
    return not any(stem_of(one.place).casefold() in stems for one in pictures if one is not mask)


def _folder(one: Source) -> str:
    return one.path.absolute().parent.name if one.path.name == one.place.name else ""


def _is_earlier(look: _Look, one: Source, top: Path) -> bool:
    """Whether a picture lies in the results of an earlier run, which are then counted."""
    for folder in one.path.parents:
        if not folder.is_relative_to(top) or folder == top.parent:
            return False
        if all((folder / name).is_file() for name in ("case.json", "../segment.json")):
            look.passed_over[look.where(folder), EARLIER] += 1
            return True
    return False


def _take_prepared(look: _Look, folder: Path) -> bool:
    """The X-rays of a prepared folder by the ids of its dataset.json; False if it is none."""
    from data_prep.dataset import is_radiograph, read_dataset

    if not (folder / "dataset.json").is_file():
        return False
    try:
        entries = read_dataset(folder)["cases"]
    except DatasetError:  # others' files are called so too
        return False
    for entry in entries:
        path = folder / entry["image"]
        if not is_radiograph(entry):
            look.refused.append(Refusal("file", look.where(path), f"an image of {entry['modality']}: {TAKE_CT}"))
        elif not path.is_file():
            look.refused.append(Refusal("file", look.where(path), "missing, though dataset.json names it"))
        else:
            look.named.append((str(entry["id"]), "", Source(path, PurePosixPath(look.where(path))), entry))
    return True


def _tell_ct(look: _Look) -> None:
    """CT slices in one line for each folder, with the model that takes them."""
    slices = [one for one in look.refused if one.reason.startswith(CT_REFUSED)]
    counts = Counter(one.where.rpartition("/")[0] for one in slices)
    look.refused = [one for one in look.refused if not one.reason.startswith(CT_REFUSED)]
    for folder, count in sorted(counts.items()):
        where = folder or (slices[0].where if count == 1 else look.base.name)
        look.refused.append(Refusal("series" if count > 1 else "file", where, f"{count} slice(s) of {CT_SLICES}"))


def _cases(look: _Look, options: InputOptions) -> list[Case]:
    try:
        salt = load_or_create_salt(options.salt_file) if look.dicom or options.salt_file else NO_SALT
    except PrepUsageError as error:
        raise errors.UsageError(str(error)) from error
    context = Context(look.base, salt, look.secrets, options.stack, MaskOptions(), {})
    proposed = [*_picture_names(look), *_dicom_names(look, salt, options)]
    taken = {name.casefold() for name in OUR_FILES}
    cases: list[Case] = []
    for called, source, entry in proposed:
        name = safe_name(_writable(called), taken, "case")
        identity = CaseId(name, name, sha256(f"radiograph {name}".encode()).hexdigest()[:16])
        plan = CasePlan(identity, [], volume=VolumeCase(name, source.path))
        origin = look.origin.get(source.path)
        what = f"{look.base.resolve()} {origin}" if origin else str(source.path.resolve())
        place = str(hashed(salt, f"place:{_writable(what)}"))
        where = look.secrets.hide(origin or look.where(source.path))
        cases.append(
            RadiographCase(name, plan, context, place, None, _nbytes(source.path), where, bool(source.dicom), entry)
        )
    return cases


def _picture_names(look: _Look) -> list[tuple[str, Source, Mapping[str, Any]]]:
    """Each picture once; names that are taken get the folder in front (then numbers, by safe_name)."""
    once = {source.path.resolve(): (name, folder, source, entry) for name, folder, source, entry in look.named}
    counts = Counter(name.casefold() for name, *_ in once.values())
    return [
        (f"{folder}-{name}" if counts[name.casefold()] > 1 and folder else name, source, entry)
        for name, folder, source, entry in once.values()
    ]


def _dicom_names(look: _Look, salt: bytes, options: InputOptions) -> list[tuple[str, Source, Mapping[str, Any]]]:
    from data_prep.radiographs.options import RadiographOptions
    from data_prep.radiographs.plan import make_plans

    once = {one.path.resolve(): one for one in look.dicom}
    wanted = RadiographOptions(keep_ids=options.keep_ids, salt=salt)
    plans = make_plans([Pair(one) for one in once.values()], salt, wanted) if once else []
    return [(plan.name.case_id, plan.image, {}) for plan in plans]


def _writable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _nbytes(path: Path) -> int:
    try:
        return path.stat().st_size * UNPACKED
    except OSError:
        return 0
