"""RTSTRUCTs read straight from their bytes, much faster than by pydicom, which everything unusual is left to.

An `Item` answers what rtstruct.py asks a pydicom data set for, with the same values, or raises OddError and notes it.
"""

import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

from data_prep.raw import (
    ENCODINGS,
    ITEM,
    UNDEFINED,
    OddError,
    ascii_text,
    explicit_head,
    implicit_head,
    is_no_sequence,
    read_start,
    read_value,
    skip_items,
)

CHARSET = 0x00080005
CONTOUR_IMAGES = 0x30060016
DELIMITER = b"\xfe\xff\x0d\xe0\0\0\0\0"  # what ends an item of undefined length

# Keyword -> tag and VR of what an RTSTRUCT is asked for (PS3.6). Sequences hold items of the same table.
FIELDS: dict[str, tuple[int, str]] = {
    "SOPClassUID": (0x00080016, "UI"),
    "ReferencedSOPInstanceUID": (0x00081155, "UI"),
    "SeriesInstanceUID": (0x0020000E, "UI"),
    "FrameOfReferenceUID": (0x00200052, "UI"),
    "ReferencedFrameOfReferenceSequence": (0x30060010, "SQ"),
    "RTReferencedStudySequence": (0x30060012, "SQ"),
    "RTReferencedSeriesSequence": (0x30060014, "SQ"),
    "ContourImageSequence": (CONTOUR_IMAGES, "SQ"),
    "StructureSetROISequence": (0x30060020, "SQ"),
    "ROINumber": (0x30060022, "IS"),
    "ReferencedFrameOfReferenceUID": (0x30060024, "UI"),
    "ROIName": (0x30060026, "LO"),
    "ROIContourSequence": (0x30060039, "SQ"),
    "ContourSequence": (0x30060040, "SQ"),
    "ContourGeometricType": (0x30060042, "CS"),
    "ReferencedROINumber": (0x30060084, "IS"),
}
SEQUENCES = {tag for tag, vr in FIELDS.values() if vr == "SQ"}


class Element(NamedTuple):
    """A value as it stands in the file, with the names that pydicom's raw elements have."""

    value: bytes
    length: int
    is_implicit_VR: bool  # noqa: N815  # pydicom's name
    is_little_endian: bool = True


class _Place(NamedTuple):
    """Where a value stands. vr: b"" where it is implicit. undefined: it is a sequence of undefined length."""

    vr: bytes
    start: int
    end: int
    undefined: bool


@dataclass(eq=False)
class Content:
    """Bytes that items lie in. odd: something was asked for that pydicom has to answer, whoever caught the error."""

    data: bytes
    implicit: bool
    encoding: str
    odd: bool = False


class Item:
    """One data set: the places of its elements, whose values are read when they are asked for."""

    def __init__(self, content: Content, places: dict[int, _Place]) -> None:
        self.content, self._places = content, places

    def get_item(self, tag: int) -> Element | None:
        """The element without a look at its value, None where it is missing."""
        place = self._places.get(tag)
        if place is None:
            return None
        if place.undefined and tag != CONTOUR_IMAGES:
            self.content.odd = True
            raise OddError
        value = self.content.data[place.start : place.end]
        return Element(value, len(value), self.content.implicit)

    def get(self, keyword: str, default: Any = None) -> Any:
        """The value of an element of FIELDS: text, or the items of a sequence."""
        try:
            return self._get(keyword, default)
        except (OddError, UnicodeDecodeError, struct.error, LookupError) as error:
            self.content.odd = True
            raise OddError from error

    def _get(self, keyword: str, default: Any) -> Any:
        tag, vr = FIELDS[keyword]
        place = self._places.get(tag)
        if place is None:
            return default
        if place.vr not in (b"", vr.encode()) or (place.undefined and vr != "SQ"):
            raise OddError
        if vr == "SQ":
            return read_items(self.content, place.start, place.end)
        value = self.content.data[place.start : place.end]
        if len(value) % 2:
            raise OddError
        return read_value(vr, value, self.content.encoding)

    def check(self) -> None:
        """Read all that could be asked for, so that no question raises OddError later."""
        for keyword, (_, vr) in FIELDS.items():
            value = self.get(keyword)
            for item in value or [] if vr == "SQ" else []:
                item.check()


def read_struct(data: bytes) -> Item | None:
    """The data set of an RTSTRUCT file; None where pydicom has to read it."""
    try:
        _, implicit, start = read_start(data)
        places, _ = _places(data, start, len(data), implicit)
        place = places.get(CHARSET, _Place(b"CS", 0, 0, False))
        charset = ascii_text(data[place.start : place.end])
        if place.vr not in (b"", b"CS") or min(places, default=0) < CHARSET or charset not in ENCODINGS:
            return None
    except (OddError, struct.error, UnicodeDecodeError):
        return None
    return Item(Content(data, implicit, ENCODINGS[charset]), places)


def read_items(content: Content, at: int, end: int) -> list[Item]:
    """The items between `at` and `end`, which must fill that place (PS3.5 7.5). Raises OddError."""
    items = []
    while at != end:
        tag, _, length, at = implicit_head(content.data, at)
        if tag != ITEM or at > end:
            raise OddError
        places, at = _places(content.data, at, None if length == UNDEFINED else at + length, content.implicit)
        if at > end or CHARSET in places:
            raise OddError
        items.append(Item(content, places))
    return items


def _places(data: bytes, at: int, end: int | None, implicit: bool) -> tuple[dict[int, _Place], int]:
    """The elements from `at` to `end`, or to the item's delimiter where `end` is None; and where they end."""
    places: dict[int, _Place] = {}
    last = -1
    while at != end:
        if end is None and data.startswith(DELIMITER, at):
            return places, at + len(DELIMITER)
        tag, vr, length, start = implicit_head(data, at) if implicit else explicit_head(data, at)
        if tag <= last or tag >> 16 >= 0xFFFE or (length == UNDEFINED and vr not in (b"SQ", b"")):
            raise OddError
        last = tag
        if length == UNDEFINED:
            if vr == b"" and tag not in SEQUENCES and is_no_sequence(tag):
                raise OddError  # pydicom looks for its end in other ways
            at = skip_items(data, start, implicit)
            places[tag] = _Place(vr, start, at - 8, True)  # without the delimiter
        else:
            at = start + length
            places[tag] = _Place(vr, start, at, False)
        if at > (len(data) if end is None else end):
            raise OddError
    return places, at
