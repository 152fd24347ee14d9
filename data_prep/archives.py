"""Zip archives: what lies in them, one member at a time, within bounds that keep a bomb from going off."""

import tempfile
import zipfile
from collections.abc import Iterator, Mapping
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
    except Exception as error:  # zipfile raises whatever damaged bytes lead to
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
    """Write one member to the file `to`.

    Raises UnreadableFileError where it is damaged or larger than it says, and OSError where `to` can't be written.
    """
    if member.size > LARGEST_MEMBER:
        raise UnreadableFileError(f"claims {member.size / 2**30:.1f} GiB inside a zip archive: not unpacked")
    with to.open("wb") as stream:
        for chunk in _chunks(member):
            stream.write(chunk)


def _chunks(member: Member) -> Iterator[bytes]:
    """The content, piece by piece; what goes wrong in writing the pieces is not caught here."""
    try:
        with zipfile.ZipFile(member.archive) as archive, archive.open(archive.infolist()[member.index]) as packed:
            left = member.size
            while chunk := packed.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise UnreadableFileError("larger inside its zip archive than the archive says")
                yield chunk
    except UnreadableFileError:
        raise
    except Exception as error:  # zipfile raises whatever damaged bytes lead to: OSError for a place before the file
        raise UnreadableFileError(f"damaged inside its zip archive ({type(error).__name__})") from error


class Unpacked:
    """Files that may lie in archives, as files on the disk, for as long as this context lasts.

    Of the archived ones only the last few are kept: two slices to compare, or two multi-frame files.
    """

    KEPT = 2

    def __init__(self, archived: Mapping[Path, Member]) -> None:
        self.archived = archived
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._here: dict[Path, Path] = {}
        self._count = 0

    def __enter__(self) -> "Unpacked":
        return self

    def __exit__(self, *_: object) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()

    def __call__(self, path: Path) -> Path:
        """Where `path` can be read, until KEPT others were asked for. Raises UnreadableFileError and OSError."""
        member = self.archived.get(path)
        if member is None:
            return path
        here = self._here.pop(path, None)
        if here is None:
            here = self._extract(path, member)
        self._here[path] = here  # the last one asked for is the last to go
        return here

    def _extract(self, path: Path, member: Member) -> Path:
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="lungseg-")
        while len(self._here) >= self.KEPT:
            self._here.pop(next(iter(self._here))).unlink()
        self._count += 1
        here = Path(self._scratch.name, str(self._count))
        try:
            extract(member, here)
        except UnreadableFileError as error:
            raise UnreadableFileError(f"{path.name}: {error}") from error
        return here


def _place(archive: Path, name: str, index: int) -> Path:
    """`archive/name` without anything that leads elsewhere, and different for each member."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    return archive.joinpath(*parts[:-1], parts[-1] if parts else f"member-{index}")
