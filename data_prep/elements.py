"""Plain DICOM headers read in one pass over their bytes; whatever is unusual is left to pydicom, which is far slower.

Explicit or implicit VR, little endian, elements in ascending order, values of the table below that look as the
standard wants them. `read_elements` returns None at the first doubt: it is never an own opinion on odd files.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from data_prep.raw import (
    ENCODINGS,
    UNDEFINED,
    OddError,
    ShortError,
    Value,
    ascii_text,
    explicit_head,
    implicit_head,
    read_start,
    read_value,
    skip_items,
)
from data_prep.raw_rtstruct import Content, Item, read_items

RTSTRUCT = b"1.2.840.10008.5.1.4.1.1.481.3"
PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
CHUNKS = (1 << 14, 1 << 20)  # bytes looked at: what nearly all headers fit in, then what is given up on
STRUCT_CHUNK = 1 << 30  # RTSTRUCTs have no pixels: their header goes on behind the contours
STRUCT_SEQUENCES = ("ReferencedFrameOfReferenceSequence", "StructureSetROISequence")  # the ones that are read here

# Keyword -> tag and VR of what headers are asked for (PS3.6). A keyword that is not here is left to pydicom.
TABLE: dict[str, tuple[int, str]] = {
    "SpecificCharacterSet": (0x00080005, "CS"),
    "ImageType": (0x00080008, "CS"),
    "SOPClassUID": (0x00080016, "UI"),
    "SOPInstanceUID": (0x00080018, "UI"),
    "AccessionNumber": (0x00080050, "SH"),
    "Modality": (0x00080060, "CS"),
    "Manufacturer": (0x00080070, "LO"),
    "InstitutionName": (0x00080080, "LO"),
    "InstitutionAddress": (0x00080081, "ST"),
    "ReferringPhysicianName": (0x00080090, "PN"),
    "StudyDescription": (0x00081030, "LO"),
    "SeriesDescription": (0x0008103E, "LO"),
    "PerformingPhysicianName": (0x00081050, "PN"),
    "OperatorsName": (0x00081070, "PN"),
    "ManufacturerModelName": (0x00081090, "LO"),
    "ReferencedSeriesSequence": (0x00081115, "SQ"),
    "StudiesContainingOtherReferencedInstancesSequence": (0x00081200, "SQ"),
    "SourceImageSequence": (0x00082112, "SQ"),
    "PatientName": (0x00100010, "PN"),
    "PatientID": (0x00100020, "LO"),
    "PatientBirthDate": (0x00100030, "DA"),
    "OtherPatientIDs": (0x00101000, "LO"),
    "OtherPatientNames": (0x00101001, "PN"),
    "PatientBirthName": (0x00101005, "PN"),
    "PatientMotherBirthName": (0x00101060, "PN"),
    "PatientIdentityRemoved": (0x00120062, "CS"),
    "SliceThickness": (0x00180050, "DS"),
    "GantryDetectorTilt": (0x00181120, "DS"),
    "ConvolutionKernel": (0x00181210, "SH"),
    "PatientPosition": (0x00185100, "CS"),
    "StudyInstanceUID": (0x0020000D, "UI"),
    "SeriesInstanceUID": (0x0020000E, "UI"),
    "SeriesNumber": (0x00200011, "IS"),
    "AcquisitionNumber": (0x00200012, "IS"),
    "InstanceNumber": (0x00200013, "IS"),
    "ImagePositionPatient": (0x00200032, "DS"),
    "ImageOrientationPatient": (0x00200037, "DS"),
    "FrameOfReferenceUID": (0x00200052, "UI"),
    "TemporalPositionIdentifier": (0x00200100, "IS"),
    "TemporalPositionIndex": (0x00209128, "UL"),
    "SamplesPerPixel": (0x00280002, "US"),
    "PhotometricInterpretation": (0x00280004, "CS"),
    "NumberOfFrames": (0x00280008, "IS"),
    "Rows": (0x00280010, "US"),
    "Columns": (0x00280011, "US"),
    "PixelSpacing": (0x00280030, "DS"),
    "BitsAllocated": (0x00280100, "US"),
    "BitsStored": (0x00280101, "US"),
    "HighBit": (0x00280102, "US"),
    "PixelRepresentation": (0x00280103, "US"),
    "PixelPaddingValue": (0x00280120, "US or SS"),
    "PixelPaddingRangeLimit": (0x00280121, "US or SS"),
    "RescaleIntercept": (0x00281052, "DS"),
    "RescaleSlope": (0x00281053, "DS"),
    "RescaleType": (0x00281054, "LO"),
    "LossyImageCompression": (0x00282110, "CS"),
    "LossyImageCompressionMethod": (0x00282114, "CS"),
    "ModalityLUTSequence": (0x00283000, "SQ"),
    "ReferencedFrameOfReferenceSequence": (0x30060010, "SQ"),
    "StructureSetROISequence": (0x30060020, "SQ"),
    "SharedFunctionalGroupsSequence": (0x52009229, "SQ"),
    "PerFrameFunctionalGroupsSequence": (0x52009230, "SQ"),
    "ExtendedOffsetTable": (0x7FE00001, "OV"),
    "ExtendedOffsetTableLengths": (0x7FE00002, "OV"),
    "SegmentationType": (0x00620001, "CS"),
    "SegmentSequence": (0x00620002, "SQ"),
}


@dataclass
class Elements:
    """Values by keyword, as far as they were asked for: text as it stands in the file, numbers, lists of several.

    Of sequences only STRUCT_SEQUENCES are here, and only in RTSTRUCTs.
    """

    values: dict[str, Value | list[Item]] = field(default_factory=dict)

    def get(self, keyword: str, default: Any = None) -> Any:
        return self.values.get(keyword, default)


@dataclass(frozen=True)
class Plain:
    """A header read here. offset: where the pixel element starts, or the file's size where there is none."""

    elements: Elements
    transfer_syntax: str
    offset: int


def read_elements(stream: IO[bytes], size: int, tags: Sequence[str]) -> Plain | None:
    """`tags` (keywords) out of the DICOM file of `size` bytes in `stream`; None where pydicom has to read it."""
    if not all(tag in TABLE for tag in tags):
        return None
    data = b""
    for chunk in (*CHUNKS, STRUCT_CHUNK):
        if chunk == STRUCT_CHUNK and RTSTRUCT not in data:
            return None
        stream.seek(0)
        data = stream.read(chunk)
        try:
            return _parse(data, len(data) >= size, tags)
        except ShortError:
            if len(data) >= size:
                return None
        except (OddError, struct.error, UnicodeDecodeError):
            return None
    return None


def _parse(data: bytes, whole: bool, tags: Sequence[str]) -> Plain:
    syntax, implicit, start = read_start(data)
    wanted = {TABLE[tag][0] for tag in tags}
    raw, offset = _data_set(data, start, implicit, whole, wanted)
    return Plain(_elements(raw, tags, implicit), syntax, offset)


def _data_set(
    data: bytes, at: int, implicit: bool, whole: bool, wanted: set[int]
) -> tuple[dict[int, tuple[bytes, bytes]], int]:
    """Tag -> (VR or b"", value) of the wanted ones, and where the pixels or the file's end are."""
    found: dict[int, tuple[bytes, bytes]] = {}
    last = 0x0007FFFF
    while True:
        if whole and at == len(data):
            return found, at
        start = at
        tag, vr, length, at = implicit_head(data, at) if implicit else explicit_head(data, at)
        if tag in PIXELS:
            return found, start
        if tag <= last or tag >> 16 >= 0xFFFE:
            raise OddError
        last = tag
        if length == UNDEFINED:
            if vr not in (b"SQ", b""):
                raise OddError
            start, at = at, skip_items(data, at, implicit)
            if tag in wanted:
                found[tag] = b"SQ", data[start : at - 8]  # without the delimiter: as if it had a length
            continue
        if tag in wanted:
            found[tag] = vr, data[at : at + length]
        at += length
        if at > len(data):
            raise ShortError


def _elements(raw: dict[int, tuple[bytes, bytes]], tags: Sequence[str], implicit: bool) -> Elements:
    charset = ascii_text(raw.get(0x00080005, (b"", b""))[1])
    if charset not in ENCODINGS:
        raise OddError
    signed = raw.get(0x00280103, (b"", b""))[1]
    is_struct = raw.get(0x00080016, (b"", b""))[1].rstrip(b" \0") == RTSTRUCT
    elements = Elements()
    for keyword in tags:
        tag, vr = TABLE[keyword]
        if tag not in raw:
            continue
        stated, value = raw[tag]
        if vr == "US or SS":
            if signed not in (b"\0\0", b"\1\0"):
                raise OddError
            vr = stated.decode() if stated in (b"US", b"SS") else "SS" if signed == b"\1\0" else "US"
        if (stated and stated != vr.encode()) or len(value) % 2:
            raise OddError
        if vr == "SQ" and keyword in STRUCT_SEQUENCES and is_struct:
            items = read_items(Content(value, implicit, ENCODINGS[charset]), 0, len(value))
            for item in items:
                item.check()
            elements.values[keyword] = items
            continue
        elements.values[keyword] = read_value(vr, value, ENCODINGS[charset])
    return elements
