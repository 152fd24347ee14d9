"""A folder tree -> what is in it: CT series, RTSTRUCTs, SEGs, what is passed over, what is damaged. Headers only."""

import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.archives import Member, extract, is_archive, members
from data_prep.errors import NothingToDoError, PrepError, UnreadableFileError, UsageError
from data_prep.files import is_blank, quiet_pydicom, read_header, walk
from data_prep.identity import IDENTITY_TAGS, Secrets
from data_prep.multiframe import FRAME_TAGS, expand_frames
from data_prep.progress import Progress, silent
from data_prep.rtstruct import RTSTRUCT, STRUCT_TAGS, StructHeader, struct_header
from data_prep.segments import SEG_CLASSES, SEG_TAGS, SegHeader, seg_header
from data_prep.slices import CT_IMAGE, MULTI_FRAME_CT, SLICE_TAGS, SliceHeader, no_slice, slice_header, text

if TYPE_CHECKING:
    from data_prep.files import Header

TAGS = sorted({*SLICE_TAGS, *STRUCT_TAGS, *SEG_TAGS, *FRAME_TAGS, *IDENTITY_TAGS})
IMAGE_FILES = (".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".nii.gz", ".npz")  # without DICOM's headers


@dataclass(frozen=True)
class Refusal:
    """Something that could not be used. what: file, folder, series, rtstruct or roi; where: relative to the source."""

    what: str
    where: str
    reason: str
    uid: str = ""


@dataclass
class Scan:
    """What a folder tree holds. `passed_over` counts files by (folder, why): they are no fault of the data.

    others: NRRD, MHA, NIfTI and NPZ files. archived: files in zip archives, by the path they would have in a folder of
    the archive's name; that path stands in the headers.
    """

    source: Path
    files: int = 0
    series: dict[str, list[SliceHeader]] = field(default_factory=dict)
    structs: list[StructHeader] = field(default_factory=list)
    segs: list[SegHeader] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    archived: dict[Path, Member] = field(default_factory=dict)
    passed_over: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: list[Refusal] = field(default_factory=list)
    damaged_folders: set[Path] = field(default_factory=set)
    secrets: Secrets = field(default_factory=Secrets)

    def where(self, path: Path) -> str:
        """`path` relative to the source, with `/` between parts."""
        return relative(self.source, path)

    def read_bytes(self, path: Path) -> bytes:
        """The contents of a file that may lie in an archive. Raises UnreadableFileError and OSError."""
        member = self.archived.get(path)
        if member is None:
            return path.read_bytes()
        with tempfile.TemporaryDirectory(prefix="lungseg-") as scratch:
            extract(member, Path(scratch, "member"))
            return Path(scratch, "member").read_bytes()


def relative(source: Path, path: Path) -> str:
    """`path` relative to `source`, with `/` between parts; the name of `source` for itself."""
    return (path.relative_to(source) if path != source else Path(path.name)).as_posix()


def scan(source: Path, *, skip: Path | None = None, keep_ids: bool = False, progress: Progress = silent) -> Scan:
    """Look through `source`, a folder, a zip archive or one file, but not below `skip`.

    Raises UsageError if `source` does not exist and NothingToDoError if it holds nothing that could be converted.
    """
    if not source.exists():
        raise UsageError(f"{source} does not exist")
    tree = walk(source, skip)
    found = Scan(source, files=len(tree.files))
    for folder in tree.unreadable:
        found.refused.append(Refusal("folder", found.where(folder), "can't be opened: check its permissions"))
    blank: list[Path] = []
    for path in progress(tree.files, "reading headers"):
        if not _take(found, path, path, keep_ids):
            _take_other(found, path, blank, keep_ids)
    _report_blank(found, blank)
    if not (found.series or found.structs or found.segs or found.others or found.refused):
        raise NothingToDoError(_nothing(found))
    return found


def _take(found: Scan, file: Path, place: Path, keep_ids: bool) -> bool:
    """Sort one file in under the path `place`; False if it is no DICOM."""
    try:
        header = read_header(file, TAGS)
    except UnreadableFileError as error:
        _damaged(found, place, str(error))
        return True
    if header is None:
        return False
    with quiet_pydicom():  # values in sequences are parsed only now
        found.secrets.learn(header.dataset, keep_ids)
        _sort_in(found, place, header)
    return True


def _take_other(found: Scan, path: Path, blank: list[Path], keep_ids: bool) -> None:
    """A file that is no DICOM: an archive, an image of another format, or nothing to us."""
    if is_archive(path):
        try:
            _take_archive(found, members(path), keep_ids)
        except UnreadableFileError as error:
            _damaged(found, path, str(error))
    elif path.name == "contours.npz" and path.with_name("case.json").exists():
        found.passed_over["", "contours of an earlier conversion"] += 1
    elif path.name.lower().endswith(IMAGE_FILES):
        found.others.append(path)
    else:
        blank.extend([path] if is_blank(path) else [])
        found.passed_over["", "not DICOM"] += 1


def _take_archive(found: Scan, content: Iterable[Member], keep_ids: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="lungseg-") as scratch:
        file = Path(scratch, "member")
        for member in content:
            place = member.place
            if place in found.archived:  # an archive may hold two files of one name
                place = place.with_name(f"{member.index}-{place.name}")
            found.files += 1
            try:
                extract(member, file)
            except UnreadableFileError as error:
                _damaged(found, place, str(error))
                continue
            found.archived[place] = member
            if not _take(found, file, place, keep_ids):
                del found.archived[place]
                inside = "zip archive inside a zip archive" if is_archive(file) else "not DICOM, inside a zip archive"
                found.passed_over["", inside] += 1


def _sort_in(found: Scan, path: Path, header: "Header") -> None:
    sop_class = header.sop_class
    folder = found.where(path.parent) if path not in (found.source, found.source.parent) else ""
    try:
        if sop_class == CT_IMAGE:
            _sort_slices(found, path, folder, [slice_header(path, header)])
        elif sop_class in MULTI_FRAME_CT:
            _sort_slices(found, path, folder, expand_frames(path, header))
        elif sop_class == RTSTRUCT:
            found.structs.append(struct_header(path, header))
        elif sop_class in SEG_CLASSES:
            found.segs.append(seg_header(path, header))
        else:
            found.passed_over[folder, _class_name(sop_class)] += 1
    except PrepError as error:
        uid = text(header.dataset, "SeriesInstanceUID")
        found.refused.append(
            Refusal("series" if sop_class in MULTI_FRAME_CT else "file", found.where(path), str(error), uid)
        )
        found.damaged_folders.add(path.parent)
    except Exception as error:  # noqa: BLE001  # whatever damaged bytes lead to costs one file
        _damaged(found, path, f"damaged or truncated DICOM ({type(error).__name__})")


def _sort_slices(found: Scan, path: Path, folder: str, slices: list[SliceHeader]) -> None:
    for one in slices:
        why = no_slice(one)
        if why is not None:
            found.passed_over[folder, why] += 1
        elif one.series_uid:
            found.series.setdefault(one.series_uid, []).append(one)
        else:
            _damaged(found, path, "CT slice without SeriesInstanceUID (0020,000E): damaged, truncated or incomplete")
            return


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
    return f"no CT in {found.source}: {found.files} file(s) looked at ({listed})"
