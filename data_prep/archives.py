"""Zip archives: what lies in them, one member at a time, within bounds that keep a bomb from going off."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data_prep.errors import UnreadableFileError

STARTS = (b"PK\x03\x04", b"PK\x05\x06")
LARGEST_MEMBER = 4 * 2**30  # bytes; no DICOM file that we could use is larger
SUSPICIOUS_SIZE = 2**30  # an archive that grows beyond this ...
SUSPICIOUS_RATIO = 200  # ... and by this factor is no archive of images
CHUNK = 2**20


@dataclass(frozen=True)
class Member:
    """One file in an archive. place: where it would lie if the archive were a folder; only for people to read."""

    archive: Path
    index: int
    size: int
    place: Path


def is_archive(path: Path) -> bool:
    """Whether `path` starts like a zip archive and is none of NumPy's."""
    try:
        with path.open("rb") as stream:
            return stream.read(4) in STARTS and path.suffix.lower() != ".npz"
    except OSError:
        return False


def members(path: Path) -> list[Member]:
    """The files in a zip archive. Raises UnreadableFileError for one that is damaged, encrypted or a bomb."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UnreadableFileError(f"a damaged or truncated zip archive ({type(error).__name__})") from error
    total, packed = sum(info.file_size for info in infos), path.stat().st_size
    if total > SUSPICIOUS_SIZE and total > SUSPICIOUS_RATIO * packed:
        raise UnreadableFileError(
            f"a zip archive of {packed / 2**20:.0f} MiB that claims to hold {total / 2**30:.1f} GiB: not unpacked"
        )
    if any(info.flag_bits & 1 for info in infos):
        raise UnreadableFileError("a zip archive with a password: unpack it yourself and convert the folder")
    return [
        Member(path, index, info.file_size, _place(path, info.filename, index))
        for index, info in enumerate(infos)
        if not info.is_dir()
    ]


def extract(member: Member, to: Path) -> None:
    """Write one member to the file `to`. Raises UnreadableFileError where it is damaged or larger than it says."""
    if member.size > LARGEST_MEMBER:
        raise UnreadableFileError(f"claims {member.size / 2**30:.1f} GiB inside a zip archive: not unpacked")
    try:
        with (
            zipfile.ZipFile(member.archive) as archive,
            archive.open(archive.infolist()[member.index]) as packed,
            to.open("wb") as stream,
        ):
            left = member.size
            while chunk := packed.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise UnreadableFileError("larger inside its zip archive than the archive says")
                stream.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, IndexError) as error:
        raise UnreadableFileError(f"damaged inside its zip archive ({type(error).__name__})") from error


def _place(archive: Path, name: str, index: int) -> Path:
    """`archive/name` without anything that leads elsewhere, and different for each member."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    return archive.joinpath(*parts[:-1], parts[-1] if parts else f"member-{index}")
