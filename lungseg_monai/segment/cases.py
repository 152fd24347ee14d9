"""INPUTs of any kind -> the cases to segment, by lungseg-prep's own rules for series, phases, names and refusals."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from data_prep.case import public
from data_prep.errors import DatasetError, NothingToDoError
from data_prep.errors import UsageError as PrepUsageError
from data_prep.files import walk
from data_prep.identity import CaseId, hashed, load_or_create_salt
from data_prep.options import ConvertOptions, MaskOptions, StackOptions
from data_prep.plan import CasePlan, Context, fingerprint, make_plans
from data_prep.progress import Progress, silent
from data_prep.roi_names import safe_name
from data_prep.scan import Refusal, Scan, relative, scan
from data_prep.volume_files import ending, stem
from data_prep.volumes import VolumeCase, find_volumes
from lungseg_monai import errors

OUR_FILES = ("segment.json", "report.html", "report.csv", "review.csv", "report_files")  # no case may be called so
DRAWINGS = "RTSTRUCT or SEG: not needed to segment"
EARLIER = "result of lungseg segment: not segmented again"
TAKE_XRAY = "lungseg segment --model cxr_lung_unet takes X-rays"
PICTURE = f"a picture, no CT: {TAKE_XRAY}"
XRAYS = ("Radiography Image", "X-Ray Image")  # in the names of what is passed over
WANTED = "wanted CT: a DICOM folder, a zip archive of DICOM files, or NIfTI, NRRD or MetaImage files"
BESIDE = "image or mask file beside DICOM CT: name the file itself to have it segmented"
MOST_LOOKED_AT = 2000  # files, for a picture among them
NO_SALT = b"lungseg segment: plain files"


@dataclass(frozen=True)
class InputOptions:
    """Which series are taken and what cases are called, as `lungseg-prep dicom2nifti` has it.

    salt_file: None for the user's own, which is made where it is missing; not needed for plain files.
    """

    select: tuple[str, ...] = ()
    keep_ids: bool = False
    salt_file: Path | None = None
    stack: StackOptions = field(default_factory=StackOptions)


@dataclass(frozen=True, eq=False)
class Case:
    """One image to segment. place: a hash of what it is, whatever it holds: a series, or a file's path.

    contents: a hash over the headers of DICOM slices; None for other files, whose bytes are hashed when needed.
    nbytes: about how much memory its voxels take. where: the folder of its slices or its file, relative to the inputs,
    as it may be written.
    """

    name: str
    plan: CasePlan
    context: Context
    place: str
    contents: str | None
    nbytes: int
    where: str = ""


@dataclass(frozen=True, eq=False)
class Cases:
    """refused, ignored: what else lies in the inputs, as it may be written (what, where, reason)."""

    cases: list[Case]
    refused: list[dict[str, Any]]
    ignored: list[dict[str, Any]]


def find_cases(
    inputs: Sequence[Path],
    *,
    skip: Path | None = None,
    options: InputOptions | None = None,
    progress: Progress = silent,
) -> Cases:
    """The cases in `inputs` (folders, zip archives, files; together, so that files of one series may be named singly).

    skip: a folder that is not looked into. A plain file's case is called by its stem, or by its folder where it is
    called image; a prepared folder's as dataset.json has it. Raises UsageError for a path that does not exist or a
    rule that makes no sense, NothingToDoError where there is no image, data_prep's OutputError for the salt file.
    """
    options = options or InputOptions()
    missing = next((path for path in inputs if not path.exists()), None)
    if missing is not None:
        raise errors.UsageError(f"{missing} does not exist")
    found, volumes = _look(inputs, skip, options, progress)
    try:
        salt = load_or_create_salt(options.salt_file) if found.series or options.salt_file else NO_SALT
        wanted = ConvertOptions(keep_ids=options.keep_ids, select=options.select, stack=options.stack, salt=salt)
        plans = [*make_plans(found, salt, wanted), *volumes]
    except PrepUsageError as error:
        raise errors.UsageError(str(error)) from error
    context = Context(found.source, salt, found.secrets, options.stack, MaskOptions(), found.archived)
    refused = [public(one, context) for one in found.refused]
    ignored = [
        {"where": found.secrets.hide(where), "reason": why, "files": count}
        for (where, why), count in sorted(found.passed_over.items())
        if count
    ]
    if not plans:
        reasons = "; ".join(f"{one['where']}: {one['reason']}" for one in [*refused, *ignored][:4])
        told = TAKE_XRAY in reasons or not _holds_xrays(inputs, [*refused, *ignored], skip)
        xrays = "" if told else f". {TAKE_XRAY}"
        raise errors.NothingToDoError(
            f"nothing to segment in {', '.join(map(str, inputs[:4]))} ({reasons or 'no CT'}); {WANTED}{xrays}"
        )
    return Cases(_cases(plans, found, context, wanted), refused, ignored)


def _holds_xrays(inputs: Sequence[Path], left_out: Sequence[dict[str, Any]], skip: Path | None) -> bool:
    """Whether pictures, or X-rays in DICOM, are among what was passed over."""
    if any(name in one["reason"] for one in left_out for name in XRAYS):
        return True
    return any(_is_picture(path) for one in inputs for path in walk(one, skip).files[:MOST_LOOKED_AT])


def _is_picture(path: Path) -> bool:
    from data_prep.radiographs.picture import is_picture

    try:
        with path.open("rb") as stream:
            return is_picture(stream.read(16))
    except OSError:
        return False


def _cases(plans: Sequence[CasePlan], found: Scan, context: Context, options: ConvertOptions) -> list[Case]:
    taken = {name.casefold() for name in OUR_FILES}
    cases = []
    for plan in plans:
        name = safe_name(plan.name.case_id, taken, "case")
        what = f"{plan.series_uid} {plan.rule}" if plan.slices else _writable(str(plan.files[0].resolve()))
        contents = fingerprint(plan, context.salt, found, options) if plan.slices else None
        place = str(hashed(context.salt, f"place:{what}"))
        where = found.secrets.hide(_where(plan, found))
        cases.append(Case(name, plan, context.for_case(plan), place, contents, _nbytes(plan), where))
    return cases


def _where(plan: CasePlan, found: Scan) -> str:
    path = plan.files[0]
    if plan.slices and path != found.source:
        path = path.parent
    try:
        return found.where(path)
    except ValueError:  # a prepared folder may name files that lie elsewhere
        return path.name


def _writable(name: str) -> str:
    """A name whose bytes are no text in this locale, told from all others."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _nbytes(plan: CasePlan) -> int:
    if plan.slices:
        return 2 * sum((one.rows or 0) * (one.columns or 0) for one in plan.slices)
    try:
        size = plan.files[0].stat().st_size
    except OSError:
        return 0
    return size * (3 if str(ending(plan.files[0])).endswith(".gz") else 1)


def _look(
    inputs: Sequence[Path], skip: Path | None, options: InputOptions, progress: Progress
) -> tuple[Scan, list[CasePlan]]:
    """All inputs as one scan, DICOM alone, and the images of other formats as plans."""
    base = inputs[0] if len(inputs) == 1 else Path(os.path.commonpath([one.absolute() for one in inputs]))
    whole = Scan(base)
    volumes: list[tuple[str, VolumeCase]] = []
    for path in inputs if len(inputs) == 1 else [one.absolute() for one in inputs]:
        if path.is_file() and ending(path):
            volumes.append((_file_name(path), VolumeCase(stem(path), path)))
            continue
        if path.is_file() and _is_picture(path):
            whole.refused.append(Refusal("file", whole.where(path), PICTURE))
            continue
        prepared = _prepared(path, whole)
        if prepared is not None:
            volumes += prepared
            continue
        try:
            found = scan(path, skip=skip, keep_ids=options.keep_ids, progress=progress if path.is_dir() else silent)
        except NothingToDoError as error:
            reason = str(error).replace(str(path), path.name)  # no word of the sentence itself is hidden
            whole.refused.append(Refusal("input", whole.where(path), whole.secrets.hide_files(reason, [path])))
            continue
        volumes += _volumes_in(found, whole)
        _merge(whole, found)
    _without_doubles(whole)
    return whole, _named(volumes, whole)


def _merge(whole: Scan, found: Scan) -> None:
    """Add `found` to `whole`. Drawings are counted, not kept: nothing is made of them."""
    before = "" if found.source == whole.source else whole.where(found.source)
    whole.files += found.files
    for uid, slices in found.series.items():
        whole.series.setdefault(uid, []).extend(slices)
    whole.archived |= found.archived
    whole.damaged_folders |= found.damaged_folders
    for (where, why), count in found.passed_over.items():
        whole.passed_over["/".join(filter(None, (before, where))), why] += count
    if found.structs or found.segs:
        whole.passed_over[before, DRAWINGS] += len(found.structs) + len(found.segs)
    for one in found.refused:
        place = one.where if not before or found.source.is_file() else f"{before}/{one.where}"
        whole.refused.append(replace(one, where=place))
    for kind in ("names", "ids", "values"):
        getattr(whole.secrets, kind).update(getattr(found.secrets, kind))


def _without_doubles(whole: Scan) -> None:
    """One file named twice, or a folder and a file in it: each slice counts once."""
    for uid, slices in whole.series.items():
        if len({one.path for one in slices}) < len(slices) or len(whole.series) > 1:
            whole.series[uid] = list({(one.path, one.frame): one for one in slices}.values())


def _volumes_in(found: Scan, whole: Scan) -> list[tuple[str, VolumeCase]]:
    """Images of other formats in a folder, by data_prep's rules of what is an image and what its mask."""
    others = _without_earlier(found, whole)
    files = [path for path in others if path.suffix.lower() != ".npz"]
    for path in others:
        if path.suffix.lower() == ".npz":
            whole.passed_over[_folder(whole, path), "NPZ: no image"] += 1
    if found.series:
        for path in files:
            whole.passed_over[_folder(whole, path), BESIDE] += 1
        return []
    result = find_volumes(files)
    whole.refused += [Refusal("file", whole.where(path), reason) for path, reason in result.refused]
    for one in result.cases:
        for mask in one.masks:
            whole.passed_over[_folder(whole, mask), "mask: not needed to segment"] += 1
    return [(_file_name(one.image, one.name), replace(one, masks=())) for one in result.cases]


def _without_earlier(found: Scan, whole: Scan) -> list[Path]:
    """Files of other formats but for masks and previews of an earlier run, which may lie in a cohort's folder."""
    results: dict[Path, bool] = {}
    kept = []
    for path in found.others:
        above = [folder for folder in path.parents if folder.is_relative_to(found.source)]
        for folder in above:
            if folder not in results:
                results[folder] = all((folder / one).is_file() for one in ("case.json", "../segment.json"))
        if any(results[folder] for folder in above):
            whole.passed_over[_folder(whole, path), EARLIER] += 1
        else:
            kept.append(path)
    return kept


def _folder(whole: Scan, path: Path) -> str:
    return "" if path.parent == whole.source else relative(whole.source, path.parent)


def _file_name(path: Path, proposed: str = "") -> str:
    """What a plain file's case is called: its stem without a channel's number, or its folder if the stem is image."""
    own = stem(path)
    if own.casefold() == "image":
        return path.absolute().parent.name or own
    return proposed if proposed and own.startswith(proposed) else own


def _prepared(folder: Path, whole: Scan) -> list[tuple[str, VolumeCase]] | None:
    """The images of a prepared folder by the ids of its dataset.json, or None if it is none."""
    from data_prep.dataset import read_dataset

    if not (folder / "dataset.json").is_file():
        return None
    try:
        entries = read_dataset(folder)["cases"]
    except DatasetError:  # nnU-Net's and others' files are called so too
        return None
    volumes = []
    for entry in entries:
        path = folder / entry["image"]
        if not path.is_file():
            whole.refused.append(Refusal("file", whole.where(path), "missing, though dataset.json names it"))
        elif not ending(path):
            whole.refused.append(
                Refusal("file", whole.where(path), f"an image of {entry['modality']}, no CT: {TAKE_XRAY}")
            )
        else:
            volumes.append((str(entry["id"]), VolumeCase(str(entry["id"]), path)))
    return volumes


def _named(volumes: Sequence[tuple[str, VolumeCase]], whole: Scan) -> list[CasePlan]:
    """Plans of plain files, each once; names that are taken get the folder in front, then numbers (in `_cases`)."""
    once = {one.image.resolve(): (name, one) for name, one in volumes}
    names = [name.casefold() for name, _ in once.values()]
    plans = []
    for name, one in once.values():
        folder = one.image.absolute().parent.name
        twice = names.count(name.casefold()) > 1 and folder.casefold() != name.casefold()
        called = _writable(f"{folder}-{name}" if twice and folder else name)
        patient_hash = sha256(f"volume {called}".encode()).hexdigest()[:16]
        plans.append(CasePlan(CaseId(called, called, patient_hash), [], volume=one))
    return plans
