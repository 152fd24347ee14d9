"""The bytes of plain DICOM: explicit or implicit VR, little endian; `OddError` at the first thing that is unusual."""

import re
import struct
from functools import cache

Value = str | int | list[str] | list[int]

IMPLICIT = "1.2.840.10008.1.2"
# Big endian and deflated data sets; the last two are deflated as well (JPIP).
NOT_PLAIN = {f"1.2.840.10008.1.2.{end}" for end in ("2", "1.99", "4.95", "4.205")}
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
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


class OddError(Exception):
    """Something that pydicom shall look at."""


class ShortError(OddError):
    """The bytes end before the header does."""


def _meta(data: bytes) -> tuple[str, int]:
    """The transfer syntax, and where the data set starts (PS3.10 7.1)."""
    if len(data) < 144:
        raise ShortError
    if data[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        raise OddError
    end = 144 + LENGTH(data, 140)[0]
    if end + 8 > len(data):
        raise ShortError
    at, last, syntax = 144, 0, ""
    while at < end:
        tag, vr, length, at = explicit_head(data, at)
        if tag >> 16 != 2 or tag <= last or length == UNDEFINED:
            raise OddError
        if tag == 0x00020010:
            syntax = data[at : at + length].rstrip(b"\0").decode("ascii")
            if vr != b"UI" or not UID.fullmatch(syntax):
                raise OddError
        last, at = tag, at + length
    if at != end or not syntax:
        raise OddError
    return syntax, end


def read_start(data: bytes) -> tuple[str, bool, int]:
    """The transfer syntax, whether its VRs are implicit, and where the data set starts."""
    if data[128:132] != b"DICM":
        raise OddError
    syntax, start = _meta(data)
    if not syntax.startswith(IMPLICIT) or syntax in NOT_PLAIN:
        raise OddError
    implicit = syntax == IMPLICIT
    if implicit and re.fullmatch(rb"[A-Z]{2}", data[start + 4 : start + 6]):
        raise OddError  # pydicom goes by what it finds
    return syntax, implicit, start


def explicit_head(data: bytes, at: int) -> tuple[int, bytes, int, int]:
    """Tag, VR, length, and where the value starts."""
    if at + 8 > len(data):
        raise ShortError
    group, element, vr, length = EXPLICIT_HEAD(data, at)
    if vr in SHORT:
        return group << 16 | element, vr, length, at + 8
    if vr not in LONG or length:
        raise OddError
    if at + 12 > len(data):
        raise ShortError
    return group << 16 | element, vr, LENGTH(data, at + 8)[0], at + 12


def implicit_head(data: bytes, at: int) -> tuple[int, bytes, int, int]:
    """Tag, b"" for the VR, length, and where the value starts; items and delimiters look so in explicit VR too."""
    if at + 8 > len(data):
        raise ShortError
    group, element, length = IMPLICIT_HEAD(data, at)
    return group << 16 | element, b"", length, at + 8


def skip_items(data: bytes, at: int, implicit: bool, depth: int = 0) -> int:
    """Where a sequence of undefined length ends (PS3.5 7.5)."""
    if depth > 8:
        raise OddError
    while True:
        tag, _, length, at = implicit_head(data, at)
        if tag == SEQUENCE_END and length == 0:
            return at
        if tag != ITEM:
            raise OddError
        at = _skip_item(data, at, at + length if length != UNDEFINED else None, implicit, depth)


def _skip_item(data: bytes, at: int, end: int | None, implicit: bool, depth: int) -> int:
    """Where the item ends whose first element is `at`; it has to be at `end`, if that is given."""
    while at != end:
        if end is None:
            tag, _, length, after = implicit_head(data, at)
            if tag == ITEM_END and length == 0:
                return after
        elif at > end:
            raise OddError
        tag, vr, length, at = implicit_head(data, at) if implicit else explicit_head(data, at)
        if tag >> 16 >= 0xFFFE or (length == UNDEFINED and vr not in (b"SQ", b"")):
            raise OddError
        if length == UNDEFINED and vr == b"" and is_no_sequence(tag):
            raise OddError
        at = skip_items(data, at, implicit, depth + 1) if length == UNDEFINED else at + length
    return at


@cache
def is_no_sequence(tag: int) -> bool:
    """Whether the dictionary (PS3.6) gives the element another VR than SQ; pydicom then ends it in ways of its own.

    Asked only where an implicit VR meets an undefined length.
    """
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    return bool(dictionary_has_tag(tag)) and dictionary_VR(tag) != "SQ"


def read_value(vr: str, value: bytes, encoding: str) -> Value:
    """What `value` says, as pydicom would have it, but text for decimals and whole numbers."""
    if vr in ("US", "SS", "UL"):
        return _binary({"US": "H", "SS": "h", "UL": "I"}[vr], value)
    if vr == "ST":
        text = value.decode(encoding).rstrip(" \0")
        if CONTROL.search(text.translate({9: 32, 10: 32, 13: 32})):
            raise OddError
        return text
    if vr not in ("CS", "UI", "SH", "LO", "PN", "DA", "DS", "IS"):
        raise OddError
    text = value.decode(encoding).rstrip(" \0") if vr in ("SH", "LO", "PN") else ascii_text(value)
    parts = text.split("\\")
    form = {"DS": DECIMAL, "IS": WHOLE}.get(vr)
    if form and text and not all(form.fullmatch(part.strip(" ")) and len(part) <= 16 for part in parts):
        raise OddError
    if CONTROL.search(text) or (vr == "PN" and "=" in text):
        raise OddError
    return parts if len(parts) > 1 else text


def _binary(code: str, value: bytes) -> Value:
    count = len(value) // struct.calcsize(code)
    numbers = list(struct.unpack(f"<{count}{code}", value))
    if not numbers:
        raise OddError
    return numbers if count > 1 else numbers[0]


def ascii_text(value: bytes) -> str:
    """`value` without its padding. Raises UnicodeDecodeError."""
    return value.rstrip(b" \0").decode("ascii")
