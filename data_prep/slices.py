"""One CT slice's header -> plain values. Unusable values become None here; what may be None is decided elsewhere."""

from collections.abc import MutableSequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from data_prep.files import Header

# What a slice's header is asked for: no names, no dates, no comments.
SLICE_TAGS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "PatientID",
    "PatientIdentityRemoved",
    "ImageType",
    "Manufacturer",
    "ConvolutionKernel",
    "Modality",
    "SeriesDescription",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "ModalityLUTSequence",
)


@dataclass(frozen=True)
class PixelFormat:
    """How a slice's pixels are stored and what turns them into HU. None: the tag is missing or no number."""

    offset: int
    transfer_syntax: str
    frames: int
    samples: int
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    signed: bool | None
    slope: float | None
    intercept: float | None
    rescale_type: str
    has_lookup_table: bool
    padding: int | None
    padding_limit: int | None


@dataclass(frozen=True)
class SliceHeader:
    """What one CT file, or one frame of it, says about itself. Positions in mm, LPS; None: missing or unusable.

    frame: which frame of the file, from 0. acquisition, temporal_position: "" where the file does not say.
    """

    path: Path
    size: int
    sop_uid: str
    series_uid: str
    study_uid: str
    frame_uid: str
    patient_id: str
    identity_removed: bool
    image_type: tuple[str, ...]
    manufacturer: str | None
    kernel: str | None
    description: str | None
    acquisition: str
    temporal_position: str
    position_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_spacing_mm: tuple[float, ...] | None
    thickness_mm: float | None
    rows: int | None
    columns: int | None
    pixels: PixelFormat
    frame: int = 0


def slice_header(path: Path, header: "Header") -> SliceHeader:
    """What `header` (read with SLICE_TAGS) says, with unusable values as None; nothing is refused here."""
    data = header.dataset
    syntax = getattr(getattr(data, "file_meta", None), "TransferSyntaxUID", "") or _bare_syntax(data)
    padding, limit = _number(data, "PixelPaddingValue"), _number(data, "PixelPaddingRangeLimit")
    return SliceHeader(
        path=path,
        size=header.size,
        sop_uid=text(data, "SOPInstanceUID"),
        series_uid=text(data, "SeriesInstanceUID"),
        study_uid=text(data, "StudyInstanceUID"),
        frame_uid=text(data, "FrameOfReferenceUID"),
        patient_id=text(data, "PatientID"),
        identity_removed=text(data, "PatientIdentityRemoved").upper() == "YES",
        image_type=tuple(part.strip().upper() for part in text(data, "ImageType").split("\\")),
        manufacturer=text(data, "Manufacturer") or None,
        kernel=text(data, "ConvolutionKernel") or None,
        description=text(data, "SeriesDescription") or None,
        acquisition=text(data, "AcquisitionNumber"),
        temporal_position=text(data, "TemporalPositionIdentifier") or text(data, "TemporalPositionIndex"),
        position_mm=_numbers(data, "ImagePositionPatient", 3),
        orientation=_numbers(data, "ImageOrientationPatient", 6),
        pixel_spacing_mm=_numbers(data, "PixelSpacing", 2),
        thickness_mm=_number(data, "SliceThickness"),
        rows=_whole(data, "Rows"),
        columns=_whole(data, "Columns"),
        pixels=PixelFormat(
            offset=header.pixel_offset,
            transfer_syntax=str(syntax),
            frames=_whole(data, "NumberOfFrames") or 1,
            samples=_whole(data, "SamplesPerPixel") or 1,
            bits_allocated=_whole(data, "BitsAllocated"),
            bits_stored=_whole(data, "BitsStored"),
            high_bit=_whole(data, "HighBit"),
            signed={0: False, 1: True}.get(_whole(data, "PixelRepresentation")),  # type: ignore[arg-type]
            slope=_number(data, "RescaleSlope"),
            intercept=_number(data, "RescaleIntercept"),
            rescale_type=text(data, "RescaleType").upper(),
            has_lookup_table=bool(data.get("ModalityLUTSequence")),
            padding=None if padding is None else int(padding),
            padding_limit=None if limit is None else int(limit),
        ),
    )


def _bare_syntax(data: Any) -> str:
    """The transfer syntax of a file without meta header, as pydicom found it by looking."""
    implicit, little = getattr(data, "original_encoding", (True, True))
    if little is False:
        return "1.2.840.10008.1.2.2"
    return "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"


def text(data: Any, keyword: str) -> str:
    """A value as stripped text, several joined by a backslash, "" where missing or unreadable."""
    try:
        value = data.get(keyword)
    except (ValueError, TypeError, LookupError, AttributeError, OSError, NotImplementedError):
        return ""
    if value is None:
        return ""
    several = isinstance(value, MutableSequence)  # not a PersonName, which can be looped over by letter
    return "\\".join(str(part).strip(" \0") for part in (value if several else [value]))


def _numbers(data: Any, keyword: str, count: int) -> tuple[float, ...] | None:
    try:
        numbers = tuple(float(part) for part in text(data, keyword).split("\\"))
    except ValueError:
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def _number(data: Any, keyword: str) -> float | None:
    numbers = _numbers(data, keyword, 1)
    return numbers[0] if numbers else None


def _whole(data: Any, keyword: str) -> int | None:
    number = _number(data, keyword)
    return int(number) if number is not None and number == int(number) else None
