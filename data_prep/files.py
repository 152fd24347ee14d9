"""Files in a folder tree, and which of them are DICOM. No trust in names or endings."""

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Union

from data_prep.elements import Elements, read_elements
from data_prep.errors import UnreadableFileError

if TYPE_CHECKING:
    from pydicom import Dataset

PREAMBLE = 128
MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"  # a DICOMDIR: it has its class in the meta header alone (PS3.10 8.6)
# The first group of DICOM without preamble: 0008 or 0002 little endian, 0008 big endian.
BARE_STARTS = (b"\x08\x00", b"\x02\x00", b"\x00\x08")


@dataclass
class Tree:
    """What lies below a folder: files in a fixed order, and folders that could not be opened."""

    files: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)


def walk(source: Path, skip: Path | None = None) -> Tree:
    """All regular files below `source` (or `source` itself), but none below `skip`.

    Links are followed, each file and folder is visited once: neither a loop nor a second link matters.
    """
    tree = Tree()
    if source.is_file():
        tree.files.append(source)
        return tree
    skipped = skip.resolve() if skip else None
    seen: set[tuple[int, int]] = set()
    waiting = [source]
    while waiting:
        folder = waiting.pop()
        try:
            if not _first_visit(folder.stat(), seen) or folder.resolve() == skipped:
                continue
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            tree.unreadable.append(folder)
            continue
        folders = []
        for entry in entries:
            try:
                if entry.is_dir():
                    folders.append(Path(entry.path))
                elif entry.is_file() and _first_visit(Path(entry.path).stat(), seen):
                    tree.files.append(Path(entry.path))
            except OSError:
                tree.unreadable.append(Path(entry.path))
        waiting.extend(reversed(folders))
    return tree


def _first_visit(status: os.stat_result, seen: set[tuple[int, int]]) -> bool:
    identity = status.st_dev, status.st_ino
    if identity in seen:
        return False
    seen.add(identity)
    return True


@dataclass
class Header:
    """A DICOM file's data set up to its pixels.

    dataset: to be asked by `.get(keyword)` or slices.text; pydicom's own wherever something is unusual.
    pixel_offset: where the PixelData element starts in the file (in the inflated data set of a deflated one).
    """

    dataset: Union["Dataset", Elements]
    size: int
    pixel_offset: int
    sop_class: str
    transfer_syntax: str


def read_header(path: Path, tags: Sequence[str]) -> Header | None:
    """Read `tags` (keywords) without the pixels. None if this is no DICOM file.

    DICOM without preamble is accepted where it yields a SOPClassUID. Raises UnreadableFileError for a file that
    starts as DICOM but can't be read, has lost its SOPClassUID, or may not be opened.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise UnreadableFileError(f"can't be opened: {error.strerror}") from error
    with stream:
        start = stream.read(PREAMBLE + 4)
        promised = start[PREAMBLE:] == b"DICM"
        if not promised and start[:2] not in BARE_STARTS:
            return None
        stream.seek(0)
        try:
            header = _parse(stream, tags)
        except Exception as error:  # pydicom raises whatever damaged bytes lead to; it costs one file
            if not promised:
                return None
            raise UnreadableFileError(f"damaged or truncated DICOM ({type(error).__name__})") from error
    if header.sop_class:
        return header
    if promised:
        raise UnreadableFileError("damaged or truncated DICOM: no SOPClassUID (0008,0016)")
    return None


def _parse(stream: IO[bytes], tags: Sequence[str]) -> Header:
    size = os.fstat(stream.fileno()).st_size
    plain = read_elements(stream, size, tags)
    if plain is not None and plain.elements.get("SOPClassUID"):
        sop_class = str(plain.elements.get("SOPClassUID")).strip(" \0")
        return Header(plain.elements, size, plain.offset, sop_class, plain.transfer_syntax)
    stream.seek(0)
    return _parse_with_pydicom(stream, size, tags)


def _parse_with_pydicom(stream: IO[bytes], size: int, tags: Sequence[str]) -> Header:
    from pydicom import dcmread

    with quiet_pydicom():
        dataset = dcmread(stream, stop_before_pixels=True, specific_tags=list(tags), force=True)
        offset = stream.tell()
        sop_class = str(dataset.get("SOPClassUID") or "").strip(" \0")  # parsed on access: damage shows here
        if dataset.file_meta.get("MediaStorageSOPClassUID") == MEDIA_DIRECTORY:
            sop_class = MEDIA_DIRECTORY
        syntax = str(dataset.file_meta.get("TransferSyntaxUID") or "") or _bare_syntax(dataset)
        for tag in tags:  # parsed here, where nobody sees the warnings that quote values
            with suppress(Exception):
                dataset.get(tag)
    return Header(dataset, size, offset, sop_class, syntax)


def _bare_syntax(dataset: "Dataset") -> str:
    """The transfer syntax of a file without meta header, as pydicom found it by looking."""
    implicit, little = dataset.original_encoding
    if little is False:
        return "1.2.840.10008.1.2.2"
    return "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"


def is_blank(path: Path) -> bool:
    """True for a file of nothing or zeros that is too short for DICOM: what a broken-off copy leaves."""
    try:
        return path.stat().st_size < PREAMBLE + 4 and not any(path.read_bytes())
    except OSError:
        return True


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom from warning: its warnings quote values, and a value may be somebody's name."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
