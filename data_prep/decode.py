"""Pixels that are not plain little endian numbers in the file: where each frame's bytes lie, and their decoding.

Which plugin decodes what is fixed here, so that the result does not depend on what else is installed.
"""

import struct
import zlib
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import SeriesError, UnreadableFileError
from data_prep.files import quiet_pydicom
from data_prep.slices import PixelFormat, SliceHeader

Integers = NDArray[np.integer[Any]]
Spans = tuple[tuple[int, int], ...]  # (offset, length) of each fragment of one frame

PIXEL_DATA = b"\xe0\x7f\x10\x00"
PIXEL_TAG = 0x7FE00010
RAW: Any = {"correct_unused_bits": False}  # words as they lie in the file: HighBit says which of their bits count
PREAMBLE = 132  # with DICM
BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4."
NEAR_LOSSLESS = f"{JPEG}81"
LOSSLESS_JPEG = (f"{JPEG}57", f"{JPEG}70")
RAW_WORDS = "1.2.840.10008.1.2.5"  # RLE: the words as they would lie in a plain file, unused bits and all
NOT_PIXELS = 2**24  # bytes that a deflated file may inflate to besides its pixels
# Transfer syntax -> pydicom's plugins, the first one installed is taken, and how to get it.
GDCM, OPENJPEG, JPEGLS = "pip install python-gdcm", "pip install pylibjpeg pylibjpeg-openjpeg", "pip install pyjpegls"
PLUGINS: dict[str, tuple[tuple[str, ...], str]] = {
    "1.2.840.10008.1.2.5": (("pydicom",), "pip install pydicom"),
    f"{JPEG}57": (("gdcm", "pylibjpeg"), GDCM),
    f"{JPEG}70": (("gdcm", "pylibjpeg"), GDCM),
    f"{JPEG}80": (("pyjpegls", "gdcm", "pylibjpeg"), JPEGLS),
    f"{JPEG}81": (("pyjpegls", "gdcm", "pylibjpeg"), JPEGLS),
    f"{JPEG}90": (("pylibjpeg", "gdcm"), OPENJPEG),
    f"{JPEG}91": (("pylibjpeg", "gdcm"), OPENJPEG),
    f"{JPEG}201": (("pylibjpeg",), OPENJPEG),
    f"{JPEG}202": (("pylibjpeg",), OPENJPEG),
    f"{JPEG}203": (("pylibjpeg",), OPENJPEG),
}


def syntax_name(pixels: PixelFormat) -> str:
    """The transfer syntax as people and as DICOM call it."""
    from pydicom.uid import UID

    return f"{UID(pixels.transfer_syntax).name} ({pixels.transfer_syntax})"


def read_decoded(header: SliceHeader) -> Integers:
    """The stored values of one frame, (rows, columns), by way of pydicom and its plugins.

    Raises SeriesError for an encoding that can't be read (naming what to install, where something does it), or frames
    that are more or fewer than NumberOfFrames; UnreadableFileError for bytes that can't be decoded.
    """
    syntax = header.pixels.transfer_syntax
    if syntax in PLUGINS:
        plugin, encoded = _plugin(header), _encoded_frame(header)
        _refuse_other_image(header, encoded)
    try:
        stored = _decode(header, encoded, plugin) if syntax in PLUGINS else _from_data_set(header)
    except (SeriesError, UnreadableFileError):
        raise
    except Exception as error:  # pydicom and its plugins raise whatever damaged bytes lead to; it costs this series
        message = f"the pixels of {header.path.name} can't be decoded ({type(error).__name__})"
        raise UnreadableFileError(message) from error
    if stored.shape != (header.rows, header.columns) or stored.dtype.kind not in "iu":
        raise UnreadableFileError(
            f"the pixels of {header.path.name} decode to {stored.dtype} {stored.shape}; "
            f"wanted integers {(header.rows, header.columns)}"
        )
    if syntax == NEAR_LOSSLESS and header.pixels.signed:
        _refuse_wrapped(header, encoded, stored)
    return stored


def _plugin(header: SliceHeader) -> str:
    from pydicom.pixels import get_decoder

    names, install = PLUGINS[header.pixels.transfer_syntax]
    available = get_decoder(header.pixels.transfer_syntax).available_plugins
    for name in names:
        if name in available:
            return name
    raise SeriesError(f"{header.path.name} is {syntax_name(header.pixels)} and nothing installed decodes it: {install}")


def _decode(header: SliceHeader, encoded: bytes, plugin: str) -> Integers:
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder

    pixels = header.pixels
    options: dict[str, Any] = {
        "rows": header.rows,
        "columns": header.columns,
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "photometric_interpretation": pixels.photometric or "MONOCHROME2",
        "bits_allocated": pixels.bits_allocated,
        "bits_stored": pixels.bits_stored,
        "pixel_representation": int(bool(pixels.signed)),
        "pixel_keyword": "PixelData",
    }
    if pixels.transfer_syntax in (RAW_WORDS, *LOSSLESS_JPEG):  # the others know no unused bits
        found = _codestream(encoded)
        options["correct_unused_bits"] = found is not None and found[3] <= int(pixels.bits_stored or 0)
    with quiet_pydicom():
        decoder = get_decoder(pixels.transfer_syntax)
        return decoder.as_array(encapsulate([encoded], has_bot=False), index=0, decoding_plugin=plugin, **options)[0]


def _from_data_set(header: SliceHeader) -> Integers:
    """Big endian, deflated, or a pixel element of an unusual kind."""
    from pydicom.pixels import get_decoder

    status = header.path.stat()
    limit = _pixel_bytes(header) + NOT_PIXELS
    data = _data_set(header.path, status.st_size, status.st_mtime_ns, header.pixels.transfer_syntax, limit)
    if data.get("PixelData") is None:
        raise UnreadableFileError(f"{header.path.name} is cut short or holds no PixelData (7FE0,0010)")
    refuse_surplus(header, len(data.PixelData))
    with quiet_pydicom():
        try:
            decoder = get_decoder(header.pixels.transfer_syntax)
        except NotImplementedError:
            message = f"{header.path.name} is {syntax_name(header.pixels)}, which is no encoding of CT that can be read"
            raise SeriesError(message) from None
        return decoder.as_array(data, index=header.frame, **RAW)[0]


@lru_cache(maxsize=1)  # the frames of one file come one after another, and inflating it for each would take forever
def _data_set(path: Path, size: int, changed_ns: int, syntax: str, limit: int) -> Any:
    """The data set up to its pixels: what lies behind them may be anything, and cost anything to parse.

    Raises UnreadableFileError for a deflated one of more than `limit` bytes.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.filereader import read_dataset, read_partial
    from pydicom.uid import UID

    with quiet_pydicom(), path.open("rb") as stream:
        if syntax != DEFLATED:
            data: Any = read_partial(stream, _lies_behind_pixels, force=True)
        else:
            stream.seek(PREAMBLE if stream.read(PREAMBLE)[-4:] == b"DICM" else 0)
            meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
            content = BytesIO(_inflate(stream.read(), limit, path))
            data = read_dataset(content, False, True, stop_when=_lies_behind_pixels)
            data.file_meta = FileMetaDataset(meta)
    if "TransferSyntaxUID" not in data.file_meta:
        data.file_meta.TransferSyntaxUID = UID(syntax)
    return data


def _lies_behind_pixels(tag: int, vr: str | None, length: int) -> bool:
    return tag > PIXEL_TAG


def _inflate(packed: bytes, limit: int, path: Path) -> bytes:
    """Raises UnreadableFileError for more than `limit` bytes: a few kilobytes of zeros can inflate to any size."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    content = stream.decompress(packed, limit + 1)
    if len(content) > limit:
        raise UnreadableFileError(
            f"{path.name} inflates to more than {limit} bytes; Rows, Columns and NumberOfFrames speak of "
            f"{limit - NOT_PIXELS} bytes of pixels"
        )
    if not stream.eof:
        raise UnreadableFileError(f"{path.name} is cut short: its deflated data set does not end")
    return content


def _pixel_bytes(header: SliceHeader) -> int:
    row = int(header.columns or 0) * int(header.pixels.bits_allocated or 0) // 8
    return int(header.rows or 0) * row * header.pixels.frames


def refuse_surplus(header: SliceHeader, length: int) -> None:
    """Raise SeriesError where `length` bytes of pixels are a row or more beyond what the header says.

    Rows, Columns or NumberOfFrames are wrong then, and each of them would give another image.
    """
    row = int(header.columns or 0) * int(header.pixels.bits_allocated or 0) // 8
    frames, wanted = header.pixels.frames, _pixel_bytes(header)
    if length >= wanted + row:
        raise SeriesError(
            f"{header.path.name} holds {length} bytes of pixels; Rows, Columns and NumberOfFrames "
            f"({header.rows}, {header.columns}, {frames}) make {wanted}: one of them is wrong"
        )


def _encoded_frame(header: SliceHeader) -> bytes:
    """The compressed bytes of the header's frame."""
    status = header.path.stat()
    frames = _frames(header.path, status.st_size, status.st_mtime_ns, header.pixels.offset, header.pixels.frames)
    with header.path.open("rb") as stream:
        return b"".join(_read(stream, offset, length, header.path) for offset, length in frames[header.frame])


@lru_cache(maxsize=2)
def _frames(path: Path, size: int, changed_ns: int, offset: int, count: int) -> tuple[Spans, ...]:
    """Where the frames of a file lie. Raises SeriesError unless there are `count` of them."""
    with path.open("rb") as stream:
        head = _read(stream, offset, 12, path)
        if head[:4] != PIXEL_DATA or head[4:6] not in (b"OB", b"OW", b"UN") or head[8:] != b"\xff\xff\xff\xff":
            raise UnreadableFileError(f"{path.name} is cut short or holds no compressed PixelData (7FE0,0010)")
        table, fragments = _fragments(stream, offset + 12, size, path)
        frames = _grouped(table, fragments, count, stream, path)
    if len(frames) != count:
        raise SeriesError(
            f"{path.name} holds {len(frames)} compressed frame(s), and NumberOfFrames (0028,0008) says {count}"
        )
    return frames


def _fragments(stream: IO[bytes], at: int, size: int, path: Path) -> tuple[list[int], list[tuple[int, int]]]:
    """The basic offset table, and (offset, length) of each fragment's value (PS3.5 A.4)."""
    table: list[int] | None = None
    fragments = []
    while at + 8 <= size:
        tag, length = struct.unpack("<4sI", _read(stream, at, 8, path))
        if tag == b"\xfe\xff\xdd\xe0":
            break
        if tag != b"\xfe\xff\x00\xe0":
            raise UnreadableFileError(f"the compressed pixels of {path.name} are damaged: no item where one should be")
        at += 8
        if at + length > size:
            raise UnreadableFileError(f"{path.name} is cut short: {size - at} of {length} bytes of compressed pixels")
        if table is None:
            raw = _read(stream, at, length, path)
            table = list(struct.unpack(f"<{length // 4}I", raw[: length // 4 * 4]))
        else:
            fragments.append((at, length))
        at += length
    return table or [], fragments


def _grouped(
    table: list[int], fragments: list[tuple[int, int]], count: int, stream: IO[bytes], path: Path
) -> tuple[Spans, ...]:
    """Fragments by frame: one each, or as the offset table says, or where an image starts."""
    if count == 1 and fragments and len(table) <= 1:
        return (tuple(fragments),) if _starts(fragments[1:], stream, path) == 0 else tuple((one,) for one in fragments)
    if len(fragments) == count:
        return tuple((one,) for one in fragments)
    first = fragments[0][0] - 8 if fragments else 0
    starts = {first + offset for offset in table}
    begins = [at - 8 in starts if table else _starts([(at, length)], stream, path) > 0 for at, length in fragments]
    frames: list[list[tuple[int, int]]] = []
    for fragment, begin in zip(fragments, begins, strict=True):
        if begin or not frames:
            frames.append([])
        frames[-1].append(fragment)
    return tuple(tuple(frame) for frame in frames)


def _starts(fragments: list[tuple[int, int]], stream: IO[bytes], path: Path) -> int:
    """How many of the fragments start an image of their own: JPEG and JPEG-LS, JPEG 2000, or RLE (PS3.5 G.5)."""
    heads = [_read(stream, at, min(length, 8), path) for at, length in fragments]
    return sum(
        head.startswith((b"\xff\xd8\xff", b"\xff\x4f\xff\x51")) or (head[1:8] == b"\0\0\0\x40\0\0\0" and head[0] < 16)
        for head in heads
    )


def _read(stream: IO[bytes], at: int, length: int, path: Path) -> bytes:
    stream.seek(at)
    data = stream.read(length)
    if len(data) < length:
        raise UnreadableFileError(f"{path.name} is cut short: {len(data)} of {length} bytes of compressed pixels")
    return data


def _refuse_other_image(header: SliceHeader, encoded: bytes) -> None:
    """Raise where the compressed image says other things of itself than the header: decoders would go by either."""
    found = _codestream(encoded)
    if found is None:  # RLE says nothing of itself
        return
    rows, columns, samples, bits, signed = found
    if (rows, columns, samples) != (header.rows, header.columns, 1):
        raise UnreadableFileError(
            f"the compressed image in {header.path.name} has {rows} rows, {columns} columns, {samples} sample(s); "
            f"its header says {header.rows}, {header.columns}, 1"
        )
    sign_lost = bool(header.pixels.signed) and not signed and bits < int(header.pixels.bits_stored or 0)
    if bits > int(header.pixels.bits_allocated or 0) or sign_lost:
        raise SeriesError(
            f"the compressed image in {header.path.name} has {bits} bits; BitsStored and BitsAllocated "
            f"(0028,0101, 0028,0100) say {header.pixels.bits_stored} and {header.pixels.bits_allocated}"
        )
    _refuse_shifted(header, bits)
    if signed and not header.pixels.signed:
        raise SeriesError(
            f"the compressed image in {header.path.name} is signed; PixelRepresentation (0028,0103) says unsigned"
        )


def _refuse_shifted(header: SliceHeader, bits: int) -> None:
    """Raise SeriesError where HighBit points beyond the `bits` of a compressed image: it can't be told who shifted."""
    high, stored = header.pixels.high_bit, int(header.pixels.bits_stored or 0)
    if high not in (None, stored - 1) and (bits <= high or header.pixels.signed):
        raise SeriesError(
            f"HighBit (0028,0102) is {high} and BitsStored (0028,0101) {stored} in {header.path.name}, whose "
            f"compressed image has {bits} bits: which of them count can't be told"
        )


def _refuse_wrapped(header: SliceHeader, encoded: bytes, stored: Integers) -> None:
    """Raise SeriesError where near-lossless JPEG-LS may have carried a signed value over the end of the range.

    JPEG-LS knows no sign: the lowest value's neighbour in bits is the highest one, and an error of 1 swaps them.
    """
    at = 2
    while at + 4 <= len(encoded) and encoded[at] == 0xFF and encoded[at + 1] != 0xDA:
        at += 2 + struct.unpack(">H", encoded[at + 2 : at + 4])[0]
    near = encoded[at + 5 + 2 * encoded[at + 4]] if at + 7 < len(encoded) else 0
    found = _codestream(encoded)
    limit = 2 ** ((found[3] if found else 16) - 1)
    if near and (stored.min() <= near - limit or stored.max() >= limit - 1 - near):
        raise SeriesError(
            f"{header.path.name} is {syntax_name(header.pixels)} of signed values up to the ends of their range, "
            f"where its error of up to {near} turns the lowest into the highest. Ask for the series without loss."
        )


def _codestream(encoded: bytes) -> tuple[int, int, int, int, bool] | None:
    """Rows, columns, samples, bits, and whether signed, out of JPEG's frame header or JPEG 2000's SIZ; else None."""
    if encoded.startswith(b"\xff\x4f\xff\x51") and len(encoded) > 42:
        width, height, left, top = struct.unpack(">4I", encoded[8:24])
        samples, depth = struct.unpack(">HB", encoded[40:43])
        return height - top, width - left, samples, (depth & 0x7F) + 1, depth >= 0x80
    at = 2
    while encoded.startswith(b"\xff\xd8") and at + 10 <= len(encoded) and encoded[at] == 0xFF:
        marker = encoded[at + 1]
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            bits, rows, columns, samples = struct.unpack(">BHHB", encoded[at + 4 : at + 10])
            return rows, columns, samples, bits, False
        if marker == 0xFF:  # fill
            at += 1
            continue
        at += 2 + struct.unpack(">H", encoded[at + 2 : at + 4])[0]
    return None
