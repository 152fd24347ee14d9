"""A folder, archive or file -> the pictures and DICOM X-rays in it. First bytes and headers only."""

import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from data_prep.archives import CHUNK, LARGEST_MEMBER, is_archive, members
from data_prep.errors import NothingToDoError, UnreadableFileError, UsageError
from data_prep.files import Header, quiet_pydicom, read_header, walk
from data_prep.identity import IDENTITY_TAGS, Secrets
from data_prep.output import writing
from data_prep.progress import Progress, silent
from data_prep.radiographs.dicom import refuse_kind
from data_prep.radiographs.picture import is_picture
from data_prep.scan import Refusal, relative
from data_prep.slices import text

TAGS = sorted(
    {*IDENTITY_TAGS, "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"}
    | {"SpecificCharacterSet", "Manufacturer", "SeriesDescription"}
)
SILENT_CLASSES = {"1.2.840.10008.1.3.10"}  # a DICOMDIR


@dataclass(frozen=True)
class DicomFacts:
    """Who and what a DICOM file is of; "" where it doesn't say."""

    patient_id: str
    study_uid: str
    series_uid: str
    sop_uid: str
    removed: bool
    manufacturer: str
    description: str


@dataclass(frozen=True)
class Source:
    """One file. path: where it can be read. place: where it lies below the input, with `/`, for people and pairing."""

    path: Path
    place: PurePosixPath
    dicom: DicomFacts | None = None


@dataclass
class Found:
    """pictures: PNG, JPEG and their kin; images or masks. dicom: X-rays. passed_over: counts of other files by why."""

    source: Path
    files: int = 0
    pictures: list[Source] = field(default_factory=list)
    dicom: list[Source] = field(default_factory=list)
    passed_over: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: list[Refusal] = field(default_factory=list)
    secrets: Secrets = field(default_factory=Secrets)


def find(
    source: Path, scratch: Path, *, skip: Path | None = None, keep_ids: bool = False, progress: Progress = silent
) -> Found:
    """Look through `source`, but not below `skip`; archives are unpacked into the folder `scratch`.

    Raises UsageError if `source` does not exist, NothingToDoError if it holds nothing that could be an X-ray.
    """
    if not source.exists():
        raise UsageError(f"{source} does not exist")
    tree = walk(source, skip)
    found = Found(source)
    found.refused += [Refusal("folder", relative(source, one), "can't be opened: check its permissions")
                      for one in tree.unreadable]  # fmt: skip
    for path in progress(tree.files, "looking"):
        place = PurePosixPath(relative(source, path))
        if is_archive(path) and path.suffix.lower() not in (".xlsx", ".docx", ".ods", ".odt", ".pptx"):
            for inner, inner_place in _unpacked(found, path, scratch / str(found.files), place):
                _take(found, inner, inner_place, keep_ids)
        else:
            _take(found, path, place, keep_ids)
    if not (found.pictures or found.dicom or found.refused):
        kinds = ", ".join(f"{count} {why}" for (_, why), count in found.passed_over.most_common(6))
        raise NothingToDoError(f"no X-ray in {source}: {found.files} file(s) looked at ({kinds or 'none there'})")
    return found


def _take(found: Found, path: Path, place: PurePosixPath, keep_ids: bool) -> None:
    """Sort one file in."""
    found.files += 1
    if any(part.startswith((".", "__MACOSX")) for part in place.parts):
        found.passed_over["", "hidden"] += 1
        return
    try:
        with path.open("rb") as stream:
            start = stream.read(16)
    except OSError as error:
        found.refused.append(Refusal("file", str(place), f"can't be opened: {error.strerror}"))
        return
    if is_picture(start):
        found.pictures.append(Source(path, place))
        return
    if place.suffix.lower() in (".png", ".jpg", ".jpeg"):
        found.refused.append(Refusal("file", str(place), "is no picture, whatever its name says: damaged or empty"))
        return
    try:
        header = read_header(path, TAGS)
    except UnreadableFileError as error:
        found.refused.append(Refusal("file", str(place), str(error)))
        return
    if header is None:
        found.passed_over["", "no picture and no DICOM"] += 1
    else:
        _take_dicom(found, path, place, header, keep_ids)


def _take_dicom(found: Found, path: Path, place: PurePosixPath, header: Header, keep_ids: bool) -> None:
    if header.sop_class in SILENT_CLASSES:
        found.passed_over["", "DICOMDIR"] += 1
        return
    data = header.dataset
    with quiet_pydicom():
        found.secrets.learn(data, keep_ids)
        problem = refuse_kind(header.sop_class, text(data, "Modality"))
        facts = DicomFacts(
            text(data, "PatientID"),
            text(data, "StudyInstanceUID"),
            text(data, "SeriesInstanceUID"),
            text(data, "SOPInstanceUID"),
            text(data, "PatientIdentityRemoved").upper() == "YES",
            text(data, "Manufacturer"),
            text(data, "SeriesDescription"),
        )
    if problem:
        found.refused.append(Refusal("file", str(place), problem, facts.sop_uid))
    else:
        found.dicom.append(Source(path, place, facts))


def _unpacked(found: Found, archive: Path, into: Path, place: PurePosixPath) -> Iterator[tuple[Path, PurePosixPath]]:
    """The files of a zip archive, written below `into`, and the places that they would have in a folder of its name."""
    base = PurePosixPath() if archive == found.source else place
    try:
        content = members(archive)
    except UnreadableFileError as error:
        found.refused.append(Refusal("file", str(place), str(error)))
        return
    with writing(into):
        into.mkdir(parents=True)
    with zipfile.ZipFile(archive) as packed:  # opened once: its directory may list tens of thousands
        infos = packed.infolist()
        for member in content:
            inner = base / member.place.relative_to(archive).as_posix()
            to = into / f"{member.index}{member.place.suffix[:8]}"
            try:
                _extract(packed, infos[member.index], to)
            except UnreadableFileError as error:
                found.refused.append(Refusal("file", str(inner), str(error)))
                continue
            yield to, inner


def _extract(packed: zipfile.ZipFile, info: zipfile.ZipInfo, to: Path) -> None:
    """Write one member to the file `to`. Raises UnreadableFileError where it is damaged or larger than it says."""
    left = info.file_size
    if left > LARGEST_MEMBER:
        raise UnreadableFileError(f"claims {left / 2**30:.1f} GiB inside a zip archive: not unpacked")
    with writing(to), to.open("wb") as out:
        try:
            with packed.open(info) as stream:
                while chunk := stream.read(CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise UnreadableFileError("larger inside its zip archive than the archive says")
                    out.write(chunk)
        except UnreadableFileError:
            raise
        except Exception as error:  # zipfile raises whatever damaged bytes lead to
            raise UnreadableFileError(f"damaged inside its zip archive ({type(error).__name__})") from error
