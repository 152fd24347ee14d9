"""The frames of a DICOM SEG as arrays, one at a time: packed bits read straight from the file, the rest decoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import SeriesError, UnreadableFileError
from data_prep.slices import text

LARGEST_FRAME = 2**27  # pixels: more are no cross-section of a body


@dataclass(frozen=True, eq=False)
class Frame:
    """pixels_ij: [i, j] 0/1, or segment numbers where is_label_map."""

    pixels_ij: NDArray
    is_label_map: bool


def frames_of(path: Path, data: Any, groups: int) -> Iterator[Frame]:
    """Each frame of the data set in turn, `groups` being how many PerFrameFunctionalGroupsSequence describes.

    Raises SeriesError naming the tag, or UnreadableFileError where the pixels end early or can't be decoded.
    """
    rows, columns, frames = (_count(data, keyword) for keyword in ("Rows", "Columns", "NumberOfFrames"))
    if rows * columns > LARGEST_FRAME:
        raise SeriesError(f"Rows (0028,0010) and Columns (0028,0011) are {rows} and {columns}: too large for a frame")
    if frames != groups:
        raise SeriesError(
            f"NumberOfFrames (0028,0008) is {frames}, "
            f"but PerFrameFunctionalGroupsSequence (5200,9230) describes {groups}"
        )
    if "PixelData" not in data:
        raise SeriesError("PixelData (7FE0,0010) is missing")
    kind = text(data, "SegmentationType").upper()
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise SeriesError(f"SegmentationType (0062,0001) is {kind or 'missing'}; wanted BINARY, FRACTIONAL or LABELMAP")
    half = _half(data) if kind == "FRACTIONAL" else None
    for pixels in _stored(path, data, (rows, columns, frames)):
        if half is not None:
            yield Frame((pixels >= half).T, False)
        elif kind == "LABELMAP":
            yield Frame(pixels.T, True)
        else:
            yield Frame(pixels.T != 0, False)


def _stored(path: Path, data: Any, size: tuple[int, int, int]) -> Iterator[NDArray]:
    """(rows, columns) stored values of each frame."""
    from pydicom.pixels import pixel_array

    rows, columns, frames = size
    bits = _count(data, "BitsAllocated")
    syntax = getattr(getattr(data, "file_meta", None), "TransferSyntaxUID", None)
    packed = syntax is not None and syntax.is_encapsulated
    if not packed:
        wanted = -(-rows * columns * frames * bits // 8)
        if len(data.PixelData) < wanted:
            raise UnreadableFileError(
                f"{path.name} is cut short: {len(data.PixelData)} of {wanted} bytes of PixelData (7FE0,0010)"
            )
    if bits == 1 and not packed:
        raw = np.frombuffer(data.PixelData, np.uint8)
        for n in range(frames):  # frames follow each other without padding, lowest bit first (PS3.5 8.1.1)
            first = n * rows * columns
            part = np.unpackbits(raw[first // 8 : -(-(first + rows * columns) // 8)], bitorder="little")
            yield part[first % 8 : first % 8 + rows * columns].reshape(rows, columns)
        return
    if bits not in (1, 8, 16):
        raise SeriesError(f"BitsAllocated (0028,0100) is {bits}; wanted 1, 8 or 16")
    for n in range(frames):
        pixels = pixel_array(data, index=n, raw=True)
        if pixels.shape != (rows, columns):
            raise UnreadableFileError(f"{path.name}: frame {n + 1} decodes to {pixels.shape}, not {rows} x {columns}")
        yield pixels


def _half(data: Any) -> float:
    highest = text(data, "MaximumFractionalValue")
    if not highest.isdecimal() or int(highest) == 0:
        raise SeriesError("MaximumFractionalValue (0062,000E) of a fractional segmentation is missing or no number")
    return int(highest) / 2


def _count(data: Any, keyword: str) -> int:
    value = text(data, keyword)
    if not value.isdecimal() or int(value) < 1:
        from pydicom.datadict import tag_for_keyword

        tag = tag_for_keyword(keyword) or 0
        raise SeriesError(f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X}) is missing or no positive number")
    return int(value)
