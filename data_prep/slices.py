"""One CT slice's header -> plain values. Unusable values become None here; what may be None is decided elsewhere."""

import math
from collections.abc import MutableSequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.lookup import LookupTable, lookup_table

if TYPE_CHECKING:
    from data_prep.files import Header

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
MULTI_FRAME_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")  # enhanced, legacy converted
# ImageType of pictures that are stored as CT Image but are no slices of a volume (PS3.3 C.8.2.1.1.1).
NO_SLICE = {"LOCALIZER": "localizer", "SCREEN SAVE": "screen save", "DOSE_INFO": "dose page"}
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
    "LossyImageCompression",
)


@dataclass(frozen=True)
class PixelFormat:
    """How a slice's pixels are stored and what turns them into HU. None: the tag is missing or no number.

    frames: how many the file holds; by_frame: their functional groups were read, so each is a slice of its own.
    has_lookup_table: a ModalityLUTSequence is there; lookup: its table, None where it makes no sense.
    lossy: LossyImageCompression (0028,2110), None where the file does not say.
    """

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
    lookup: LookupTable | None = None
    photometric: str = ""
    lossy: bool | None = None
    by_frame: bool = False


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


def no_slice(one: SliceHeader) -> str | None:
    """What the picture is, in words, where it is no slice of a volume; else None."""
    return next((name for kind, name in NO_SLICE.items() if kind in one.image_type), None)


def slice_header(path: Path, header: "Header") -> SliceHeader:
    """What `header` (read with SLICE_TAGS) says, with unusable values as None; nothing is refused here."""
    data = header.dataset
    padding, limit = number(data, "PixelPaddingValue"), number(data, "PixelPaddingRangeLimit")
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
        position_mm=numbers(data, "ImagePositionPatient", 3),
        orientation=numbers(data, "ImageOrientationPatient", 6),
        pixel_spacing_mm=numbers(data, "PixelSpacing", 2),
        thickness_mm=number(data, "SliceThickness"),
        rows=whole(data, "Rows"),
        columns=whole(data, "Columns"),
        pixels=PixelFormat(
            offset=header.pixel_offset,
            transfer_syntax=header.transfer_syntax,
            frames=whole(data, "NumberOfFrames") or 1,
            samples=whole(data, "SamplesPerPixel") or 1,
            bits_allocated=whole(data, "BitsAllocated"),
            bits_stored=whole(data, "BitsStored"),
            high_bit=whole(data, "HighBit"),
            signed={0: False, 1: True}.get(whole(data, "PixelRepresentation")),  # type: ignore[arg-type]
            slope=number(data, "RescaleSlope"),
            intercept=number(data, "RescaleIntercept"),
            rescale_type=text(data, "RescaleType").upper(),
            has_lookup_table=bool(data.get("ModalityLUTSequence")),
            padding=None if padding is None else int(padding),
            padding_limit=None if limit is None else int(limit),
            lookup=lookup_table(data, whole(data, "PixelRepresentation") == 1),
            photometric=text(data, "PhotometricInterpretation").upper(),
            lossy={"00": False, "01": True}.get(text(data, "LossyImageCompression")),
        ),
    )


def text(data: Any, keyword: str) -> str:
    """A value as stripped text, several joined by a backslash, "" where missing or unreadable."""
    try:
        value = data.get(keyword)
    except Exception:  # noqa: BLE001  # whatever damaged bytes lead to; BytesLengthException is nothing narrower
        return ""
    if value is None:
        return ""
    several = isinstance(value, MutableSequence)  # not a PersonName, which can be looped over by letter
    return "\\".join(str(part).strip(" \0") for part in (value if several else [value]))


def numbers(data: Any, keyword: str, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers, or None."""
    try:
        values = tuple(float(part) for part in text(data, keyword).split("\\"))
    except ValueError:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def number(data: Any, keyword: str) -> float | None:
    """One finite number, or None."""
    values = numbers(data, keyword, 1)
    return values[0] if values else None


def whole(data: Any, keyword: str) -> int | None:
    """One whole number, or None."""
    value = number(data, keyword)
    return int(value) if value is not None and value == int(value) else None
