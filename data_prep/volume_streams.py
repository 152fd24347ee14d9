"""Packed voxels, unpacked to the last byte: the readers of NIfTI and MetaImage stop before the checksum."""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from data_prep.errors import UnreadableFileError

CHUNK = 2**20
LONGEST_HEADER = 2**20
HEADER_ENDS = {
    ".nrrd": re.compile(rb"\r?\n\r?\n"),
    ".mha": re.compile(rb"^ElementDataFile[^\n]*\n", re.MULTILINE | re.IGNORECASE),
}


def unpack(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """The contents of gzip or zlib data from where `stream` stands to its end, checked.

    Several gzip parts after each other and zeros at the end are allowed. Raises UnreadableFileError (with `name`)
    where the data are cut short, don't match their checksum, or are followed by something else.
    """
    packed = b""
    while packed := packed.lstrip(b"\0") or stream.read(CHUNK).lstrip(b"\0"):
        part = zlib.decompressobj(wbits=47)  # gzip or zlib, as it says
        while True:
            try:
                yield part.decompress(packed, CHUNK)
            except zlib.error as error:
                raise UnreadableFileError(f"{name} is damaged: its packed voxels can't be unpacked") from error
            if part.eof:
                packed = part.unused_data
                break
            packed = part.unconsumed_tail or stream.read(CHUNK)
            if not packed and not part.eof:
                last = part.flush()
                if not part.eof:
                    raise UnreadableFileError(f"{name} is cut short: its packed voxels have no end")
                yield last
                break


def unpack_exactly(stream: IO[bytes], start: int, wanted: int, name: str) -> bytearray:
    """`wanted` bytes from `start` of the unpacked contents; the rest is unpacked too, for its checksum.

    Raises UnreadableFileError where there are fewer bytes, or far more.
    """
    content = bytearray()
    total = 0
    for chunk in unpack(stream, name):
        low, high = max(start - total, 0), start + wanted - total
        content += chunk[low : max(high, 0)] if low < len(chunk) else b""
        total += len(chunk)
        if total > start + wanted + LONGEST_HEADER:
            raise UnreadableFileError(f"{name} unpacks to more than the {start + wanted} bytes it declares: refused")
    if len(content) != wanted:
        raise UnreadableFileError(f"{name} is cut short: {len(content)} of {wanted} bytes of voxels")
    return content


def surplus(path: Path, end: int) -> list[str]:
    """What to say where a file goes on after its voxels: bytes that slipped in would have moved them."""
    more = path.stat().st_size - end
    return [f"the file holds {more} bytes more than its voxels need: it may be damaged"] if more > 0 else []


def check_packed(header: Path, data: Path | None, wanted: int) -> list[str]:
    """Refuse a NRRD or MetaImage file whose voxels are packed and don't unpack to `wanted` bytes, checksum and all.

    data: the file beside a detached header. Voxels that aren't packed are left to the reader, and what follows them is
    said in a note.
    """
    with header.open("rb") as stream:
        start = stream.read(LONGEST_HEADER)
    path = data or header
    begin = 0
    if data is None:
        found = HEADER_ENDS[header.suffix.lower()].search(start)
        if found is None:
            raise UnreadableFileError(f"{header.name} is damaged: its header has no end")
        begin = found.end()
    text = start[:begin] if data is None else start
    packed = re.search(rb"^(CompressedData\s*=\s*T|encoding:\s*(gz|gzip)\s*$)", text, re.MULTILINE | re.IGNORECASE)
    if packed is None:
        plain = re.search(
            rb"^(CompressedData\s*=|BinaryData\s*=\s*T|encoding:\s*raw\s*$)", text, re.MULTILINE | re.IGNORECASE
        )
        return surplus(path, begin + wanted) if plain else []
    total = 0
    with path.open("rb") as stream:
        stream.seek(begin)
        for chunk in unpack(stream, path.name):
            total += len(chunk)
            if total > wanted + LONGEST_HEADER:
                break
    if total != wanted:
        raise UnreadableFileError(f"{path.name} unpacks to {total} bytes or more; wanted {wanted} of voxels")
    return []
