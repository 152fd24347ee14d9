"""A folder tree -> what is in it: CT series, RTSTRUCTs, what is passed over, what is damaged. Headers only."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.errors import NothingToDoError, UnreadableFileError, UsageError
from data_prep.files import is_blank, read_header, walk
from data_prep.identity import IDENTITY_TAGS, Secrets
from data_prep.progress import Progress, silent
from data_prep.rtstruct import RTSTRUCT, STRUCT_TAGS, StructHeader, struct_header
from data_prep.slices import SLICE_TAGS, SliceHeader, slice_header, text

if TYPE_CHECKING:
    from data_prep.files import Header

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
MULTI_FRAME_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
TAGS = sorted({*SLICE_TAGS, *STRUCT_TAGS, *IDENTITY_TAGS})
# ImageType of pictures that are stored as CT Image but are no slices of a volume (PS3.3 C.8.2.1.1.1).
NO_SLICE = {"LOCALIZER": "localizer", "SCREEN SAVE": "screen save", "DOSE_INFO": "dose page"}


@dataclass(frozen=True)
class Refusal:
    """Something that could not be used. what: file, folder, series, rtstruct or roi; where: relative to the source."""

    what: str
    where: str
    reason: str
    uid: str = ""


@dataclass
class Scan:
    """What a folder tree holds. `passed_over` counts files by (folder, why): they are no fault of the data."""

    source: Path
    files: int = 0
    series: dict[str, list[SliceHeader]] = field(default_factory=dict)
    structs: list[StructHeader] = field(default_factory=list)
    passed_over: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: list[Refusal] = field(default_factory=list)
    damaged_folders: set[Path] = field(default_factory=set)
    secrets: Secrets = field(default_factory=Secrets)

    def where(self, path: Path) -> str:
        """`path` relative to the source, with `/` between parts."""
        relative = path.relative_to(self.source) if path != self.source else Path(path.name)
        return relative.as_posix()


def scan(source: Path, *, skip: Path | None = None, keep_ids: bool = False, progress: Progress = silent) -> Scan:
    """Look through `source`, a folder or one file, but not below `skip`.

    Raises UsageError if `source` does not exist and NothingToDoError if it holds no CT that could be converted.
    """
    if not source.exists():
        raise UsageError(f"{source} does not exist")
    tree = walk(source, skip)
    found = Scan(source, files=len(tree.files))
    for folder in tree.unreadable:
        found.refused.append(Refusal("folder", found.where(folder), "can't be opened: check its permissions"))
    blank: list[Path] = []
    for path in progress(tree.files, "reading headers"):
        try:
            header = read_header(path, TAGS)
        except UnreadableFileError as error:
            _damaged(found, path, str(error))
            continue
        if header is None:
            blank.extend([path] if is_blank(path) else [])
            found.passed_over["", "not DICOM"] += 1
        else:
            found.secrets.learn(header.dataset, keep_ids)
            _sort_in(found, path, header)
    _report_blank(found, blank)
    if not (found.series or found.structs or found.refused):
        raise NothingToDoError(_nothing(found))
    return found


def _sort_in(found: Scan, path: Path, header: "Header") -> None:
    sop_class = header.sop_class
    folder = found.where(path.parent) if path != found.source else ""
    if sop_class == CT_IMAGE:
        one = slice_header(path, header)
        why = next((name for kind, name in NO_SLICE.items() if kind in one.image_type), None)
        if why is not None:
            found.passed_over[folder, why] += 1
        elif one.series_uid:
            found.series.setdefault(one.series_uid, []).append(one)
        else:
            _damaged(found, path, "CT slice without SeriesInstanceUID (0020,000E): damaged, truncated or incomplete")
    elif sop_class == RTSTRUCT:
        try:
            found.structs.append(struct_header(path, header))
        except Exception as error:  # noqa: BLE001  # whatever damaged bytes lead to costs one file
            _damaged(found, path, f"damaged or truncated DICOM ({type(error).__name__})")
    elif sop_class in MULTI_FRAME_CT:
        reason = "enhanced multi-frame CT is not converted yet; ask for single-frame CT Image Storage"
        found.refused.append(Refusal("series", found.where(path), reason, text(header.dataset, "SeriesInstanceUID")))
    else:
        found.passed_over[folder, _class_name(sop_class)] += 1


def _damaged(found: Scan, path: Path, reason: str) -> None:
    found.refused.append(Refusal("file", found.where(path), reason))
    found.damaged_folders.add(path.parent)


def _report_blank(found: Scan, blank: list[Path]) -> None:
    """Empty files are junk, except beside CT slices: there a slice may have been lost in copying."""
    folders = {one.path.parent for slices in found.series.values() for one in slices}
    for path in blank:
        if path.parent in folders and not path.name.startswith("."):
            found.passed_over["", "not DICOM"] -= 1
            _damaged(found, path, "empty file beside CT slices: a slice may be lost")


def _class_name(sop_class: str) -> str:
    from pydicom.uid import UID

    name = UID(sop_class).name
    return name if name != sop_class else "unknown kind of DICOM"


def _nothing(found: Scan) -> str:
    if not found.files:
        return f"{found.source} holds no files"
    kinds: Counter[str] = Counter()
    for (_, why), count in found.passed_over.items():
        kinds[why] += count
    listed = ", ".join(f"{count} {why}" for why, count in kinds.most_common(6))
    return f"no DICOM CT in {found.source}: {found.files} file(s) looked at ({listed})"
