"""Plain DICOM headers read in one pass over their bytes; whatever is unusual is left to pydicom, which is far slower.

Explicit or implicit VR, little endian, elements in ascending order, values of the table below that look as the
standard wants them. `read_elements` returns None at the first doubt: it is never an own opinion on odd files.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any

Value = str | int | list[str] | list[int]

IMPLICIT = "1.2.840.10008.1.2"
# Big endian and deflated data sets; the last two are deflated as well (JPIP).
NOT_PLAIN = {f"1.2.840.10008.1.2.{end}" for end in ("2", "1.99", "4.95", "4.205")}
PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
CHUNKS = (1 << 14, 1 << 20)  # bytes looked at: what nearly all headers fit in, then what is given up on

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
SHORT = {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL"} | {
    b"SS", b"ST", b"TM", b"UI", b"UL", b"US"
}  # fmt: skip
LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
ENCODINGS = {"": "ascii", "ISO_IR 6": "ascii", "ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"}
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
WHOLE = re.compile(r"[+-]?\d{1,9}")
UID = re.compile(r"[0-9.]+")
CONTROL = re.compile("[\0-\x1f\x7f]")
EXPLICIT_HEAD, IMPLICIT_HEAD = struct.Struct("<HH2sH").unpack_from, struct.Struct("<HHI").unpack_from
LENGTH = struct.Struct("<I").unpack_from


@dataclass
class Elements:
    """Values by keyword, as far as they were asked for: text as it stands in the file, numbers, lists of several."""

    values: dict[str, Value] = field(default_factory=dict)

    def get(self, keyword: str, default: Any = None) -> Any:
        return self.values.get(keyword, default)


@dataclass(frozen=True)
class Plain:
    """A header read here. offset: where the pixel element starts, or the file's size where there is none."""

    elements: Elements
    transfer_syntax: str
    offset: int


class _OddError(Exception):
    """Something that pydicom shall look at."""


class _ShortError(_OddError):
    """The bytes end before the header does."""


def read_elements(stream: IO[bytes], size: int, tags: Sequence[str]) -> Plain | None:
    """`tags` (keywords) out of the DICOM file of `size` bytes in `stream`; None where pydicom has to read it."""
    if not all(tag in TABLE for tag in tags):
        return None
    for chunk in CHUNKS:
        stream.seek(0)
        data = stream.read(chunk)
        try:
            return _parse(data, len(data) >= size, tags)
        except _ShortError:
            if len(data) >= size:
                return None
        except (_OddError, struct.error, UnicodeDecodeError):
            return None
    return None


def _parse(data: bytes, whole: bool, tags: Sequence[str]) -> Plain:
    if data[128:132] != b"DICM":
        raise _OddError
    syntax, start = _meta(data)
    if not syntax.startswith(IMPLICIT) or syntax in NOT_PLAIN:
        raise _OddError
    wanted = {TABLE[tag][0] for tag in tags}
    implicit = syntax == IMPLICIT
    if implicit and re.fullmatch(rb"[A-Z]{2}", data[start + 4 : start + 6]):
        raise _OddError  # pydicom goes by what it finds
    raw, offset = _data_set(data, start, implicit, whole, wanted)
    return Plain(_elements(raw, tags), syntax, offset)


def _meta(data: bytes) -> tuple[str, int]:
    """The transfer syntax, and where the data set starts (PS3.10 7.1)."""
    if len(data) < 144:
        raise _ShortError
    if data[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        raise _OddError
    end = 144 + LENGTH(data, 140)[0]
    if end + 8 > len(data):
        raise _ShortError
    at, last, syntax = 144, 0, ""
    while at < end:
        tag, vr, length, at = _explicit(data, at)
        if tag >> 16 != 2 or tag <= last or length == UNDEFINED:
            raise _OddError
        if tag == 0x00020010:
            syntax = data[at : at + length].rstrip(b"\0").decode("ascii")
            if vr != b"UI" or not UID.fullmatch(syntax):
                raise _OddError
        last, at = tag, at + length
    if at != end or not syntax:
        raise _OddError
    return syntax, end


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
        tag, vr, length, at = _implicit(data, at) if implicit else _explicit(data, at)
        if tag in PIXELS:
            return found, start
        if tag <= last or tag >> 16 >= 0xFFFE:
            raise _OddError
        last = tag
        if length == UNDEFINED:
            if tag in wanted or vr not in (b"SQ", b""):
                raise _OddError
            at = _skip_items(data, at, implicit)
            continue
        if tag in wanted:
            found[tag] = vr, data[at : at + length]
        at += length
        if at > len(data):
            raise _ShortError


def _explicit(data: bytes, at: int) -> tuple[int, bytes, int, int]:
    """Tag, VR, length, and where the value starts."""
    if at + 12 > len(data) and at + 8 != len(data):
        raise _ShortError
    group, element, vr, length = EXPLICIT_HEAD(data, at)
    if vr in SHORT:
        return group << 16 | element, vr, length, at + 8
    if vr not in LONG or length:
        raise _OddError
    return group << 16 | element, vr, LENGTH(data, at + 8)[0], at + 12


def _implicit(data: bytes, at: int) -> tuple[int, bytes, int, int]:
    if at + 8 > len(data):
        raise _ShortError
    group, element, length = IMPLICIT_HEAD(data, at)
    return group << 16 | element, b"", length, at + 8


def _skip_items(data: bytes, at: int, implicit: bool, depth: int = 0) -> int:
    """Where a sequence of undefined length ends (PS3.5 7.5)."""
    if depth > 8:
        raise _OddError
    while True:
        tag, _, length, at = _implicit(data, at)
        if tag == SEQUENCE_END and length == 0:
            return at
        if tag != ITEM:
            raise _OddError
        at = _skip_item(data, at, at + length if length != UNDEFINED else None, implicit, depth)


def _skip_item(data: bytes, at: int, end: int | None, implicit: bool, depth: int) -> int:
    """Where the item ends whose first element is `at`; it has to be at `end`, if that is given."""
    while at != end:
        if end is None:
            tag, _, length, after = _implicit(data, at)
            if tag == ITEM_END and length == 0:
                return after
        elif at > end:
            raise _OddError
        tag, vr, length, at = _implicit(data, at) if implicit else _explicit(data, at)
        if tag >> 16 >= 0xFFFE or (length == UNDEFINED and vr not in (b"SQ", b"")):
            raise _OddError
        at = _skip_items(data, at, implicit, depth + 1) if length == UNDEFINED else at + length
    return at


def _elements(raw: dict[int, tuple[bytes, bytes]], tags: Sequence[str]) -> Elements:
    charset = _ascii(raw.get(0x00080005, (b"", b""))[1])
    if charset not in ENCODINGS:
        raise _OddError
    signed = raw.get(0x00280103, (b"", b""))[1]
    elements = Elements()
    for keyword in tags:
        tag, vr = TABLE[keyword]
        if tag not in raw:
            continue
        stated, value = raw[tag]
        if vr == "US or SS":
            if signed not in (b"\0\0", b"\1\0"):
                raise _OddError
            vr = stated.decode() if stated in (b"US", b"SS") else "SS" if signed == b"\1\0" else "US"
        if (stated and stated != vr.encode()) or len(value) % 2:
            raise _OddError
        elements.values[keyword] = _value(vr, value, ENCODINGS[charset])
    return elements


def _value(vr: str, value: bytes, encoding: str) -> Value:
    if vr in ("US", "SS", "UL"):
        return _binary({"US": "H", "SS": "h", "UL": "I"}[vr], value)
    if vr == "ST":
        text = value.decode(encoding).rstrip(" \0")
        if CONTROL.search(text.translate({9: 32, 10: 32, 13: 32})):
            raise _OddError
        return text
    if vr not in ("CS", "UI", "SH", "LO", "PN", "DA", "DS", "IS"):
        raise _OddError
    text = value.decode(encoding).rstrip(" \0") if vr in ("SH", "LO", "PN") else _ascii(value)
    parts = text.split("\\")
    form = {"DS": DECIMAL, "IS": WHOLE}.get(vr)
    if form and text and not all(form.fullmatch(part.strip(" ")) and len(part) <= 16 for part in parts):
        raise _OddError
    if CONTROL.search(text) or (vr == "PN" and "=" in text):
        raise _OddError
    return parts if len(parts) > 1 else text


def _binary(code: str, value: bytes) -> Value:
    count = len(value) // struct.calcsize(code)
    numbers = list(struct.unpack(f"<{count}{code}", value))
    if not numbers:
        raise _OddError
    return numbers if count > 1 else numbers[0]


def _ascii(value: bytes) -> str:
    return value.rstrip(b" \0").decode("ascii")
