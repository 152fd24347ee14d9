"""RTSTRUCT -> ROIs with contours in mm. No pixels, no images (PS3.3 A.19, C.8.8.5, C.8.8.6)."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_prep.decimals import parse_many
from data_prep.errors import RtstructError
from data_prep.files import quiet_pydicom
from data_prep.geometry import Array
from data_prep.raw import OddError
from data_prep.raw_rtstruct import read_struct
from data_prep.slices import text

if TYPE_CHECKING:
    from data_prep.files import Header

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
STRUCT_TAGS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "PatientID",
    "ReferencedFrameOfReferenceSequence",
    "StructureSetROISequence",
)
ROI_NAMES = 0x30060020
CONTOUR_TYPE = 0x30060042
CONTOUR_DATA = 0x30060050
CONTOUR_IMAGES = 0x30060016
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")  # the last is a common misspelling

# ContourImageSequence of one item that holds ReferencedSOPClassUID and ReferencedSOPInstanceUID and nothing else, as
# it stands in a little endian file, by whether VRs are implicit.
UID_IN_ITEM = {
    implicit: re.compile(
        rb"\xfe\xff\x00\xe0.{4}(?:\x08\x00\x50\x11%b[0-9. \0]*)?\x08\x00\x55\x11%b([0-9.]+[ \0]*)"
        rb"(?:\xfe\xff\x0d\xe0\0{4})?" % (length, length),
        re.DOTALL,
    )
    for implicit, length in ((True, rb".{4}"), (False, rb"UI.{2}"))
}


@dataclass(frozen=True)
class Reference:
    """What an RTSTRUCT says it was drawn on: one frame of reference and the series in it."""

    frame_uid: str
    series_uids: tuple[str, ...]


@dataclass(frozen=True)
class StructHeader:
    """What an RTSTRUCT refers to."""

    path: Path
    sop_uid: str
    study_uid: str
    patient_id: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, eq=False)
class Roi:
    """One region of interest.

    contours_mm: (n, 3) float64 points in LPS, closed polygons. image_uids: the SOPInstanceUID that each of them names
    as the image it was drawn on, "" where it names none or several. unusable: how many contours were left out, and
    why. problem: why the whole ROI can't be used, or None.
    """

    number: int | None
    name: str
    frame_uid: str
    contours_mm: list[Array] = field(default_factory=list)
    unusable: Counter[str] = field(default_factory=Counter)
    problem: str | None = None
    image_uids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outline:
    """One item of ContourSequence as it stands in the file. raw: ContourData's bytes, where problem is None."""

    raw: bytes
    image_uid: str
    problem: str | None = None


def struct_header(path: Path, header: "Header") -> StructHeader:
    """What the file refers to, out of its header read with STRUCT_TAGS; missing parts stay empty."""
    references = []
    for frame in _items(header.dataset, "ReferencedFrameOfReferenceSequence"):
        series = [
            text(one, "SeriesInstanceUID")
            for study in _items(frame, "RTReferencedStudySequence")
            for one in _items(study, "RTReferencedSeriesSequence")
        ]
        references.append(Reference(text(frame, "FrameOfReferenceUID"), tuple(filter(None, series))))
    data = header.dataset
    if not any(one.frame_uid for one in references):  # then the ROIs' own frame, or the file's
        frames = {text(roi, "ReferencedFrameOfReferenceUID") for roi in _items(data, "StructureSetROISequence")} - {""}
        references += [Reference(frame, ()) for frame in sorted(frames or {text(data, "FrameOfReferenceUID")})]
    return StructHeader(
        path=path,
        sop_uid=text(data, "SOPInstanceUID"),
        study_uid=text(data, "StudyInstanceUID"),
        patient_id=text(data, "PatientID"),
        references=tuple(references),
    )


def read_rtstruct(path: Path) -> list[Roi]:
    """All ROIs of an RTSTRUCT in the order of their numbers, those that can't be used with their `problem`.

    ROIs and contours belong together by ROINumber, never by their place in a list.
    Raises RtstructError where the file can't be read or is no RTSTRUCT.
    """
    try:
        content = Path(path).read_bytes()
        rois = _plain_rois(content)
        return _rois_by_pydicom(content) if rois is None else rois
    except RtstructError as error:
        raise RtstructError(f"{Path(path).name} {error}") from error
    except Exception as error:  # pydicom raises whatever damaged bytes lead to; it costs this RTSTRUCT
        raise RtstructError(f"{Path(path).name} is damaged or truncated ({type(error).__name__})") from error


def _plain_rois(content: bytes) -> list[Roi] | None:
    """The ROIs of a file that holds nothing unusual, None for any other."""
    data = read_struct(content)
    if data is None:
        return None
    try:
        if data.get("SOPClassUID") != RTSTRUCT:
            return None
        rois = _rois(_items(data, "StructureSetROISequence"), _items(data, "ROIContourSequence"))
    except OddError:
        return None
    return None if data.content.odd or not rois else rois


def _rois_by_pydicom(content: bytes) -> list[Roi]:
    """The ROIs of any file. Raises RtstructError and whatever pydicom does for damaged bytes."""
    from pydicom import dcmread

    with quiet_pydicom():
        data = dcmread(BytesIO(content), force=True)
        whole = all(_is_whole(data.get_item(tag)) for tag in data.keys())  # noqa: SIM118  # iterating would parse
        sop_class = text(data, "SOPClassUID")
        rois = _rois(_items(data, "StructureSetROISequence"), _items(data, "ROIContourSequence"))
    if not whole:
        raise RtstructError("is truncated")
    if sop_class != RTSTRUCT:
        raise RtstructError(f"is no RTSTRUCT: SOPClassUID (0008,0016) is {sop_class or 'missing'}")
    if not rois:
        raise RtstructError("names no ROI: StructureSetROISequence (3006,0020) is missing or empty")
    return rois


def read_roi_names(path: Path) -> list[str]:
    """The names of all ROIs of an RTSTRUCT in the order of the file, without a look at their contours.

    Raises RtstructError where they can't be read.
    """
    from pydicom.filereader import read_partial

    try:
        with quiet_pydicom(), Path(path).open("rb") as stream:
            data = read_partial(stream, stop_when=lambda tag, _vr, _length: tag > ROI_NAMES, force=True)
            whole = _is_whole(data.get_item(ROI_NAMES))
            names = [text(item, "ROIName") for item in _items(data, "StructureSetROISequence")]
    except Exception as error:  # pydicom raises whatever damaged bytes lead to; it costs this RTSTRUCT
        raise RtstructError(f"{Path(path).name} is damaged or truncated ({type(error).__name__})") from error
    if not whole:
        raise RtstructError(f"{Path(path).name} is truncated")
    if not names:
        raise RtstructError(f"{Path(path).name} names no ROI: StructureSetROISequence (3006,0020) is missing or empty")
    return names


def _rois(names: list[Any], drawn: list[Any]) -> list[Roi]:
    contours: dict[int | None, list[Any]] = {}
    for item in drawn:
        contours.setdefault(_number(item, "ReferencedROINumber"), []).append(item)
    uses = Counter(_number(item, "ROINumber") for item in names)
    rois = _with_contours([_roi(item, uses, contours) for item in names])
    for number in contours.keys() - uses.keys():
        problem = "contours refer to a ROI number that StructureSetROISequence (3006,0020) does not have"
        rois.append(Roi(number, "", "", problem=problem))
    return sorted(rois, key=lambda roi: (roi.number is None, roi.number, roi.name))


def _roi(item: Any, uses: Counter[int | None], contours: dict[int | None, list[Any]]) -> tuple[Roi, list[Outline]]:
    """The ROI still without contours, and its outlines; none where it has a problem."""
    number = _number(item, "ROINumber")
    drawn = contours.get(number, [])
    problem = None
    if number is None:
        problem = "ROINumber (3006,0022) is missing or no number"
    elif uses[number] > 1:
        problem = f"{uses[number]} ROIs carry the number {number}: whose contours are whose can't be told"
    elif len(drawn) > 1:
        problem = f"{len(drawn)} items of ROIContourSequence (3006,0039) refer to the number {number}; wanted one"
    roi = Roi(number, text(item, "ROIName"), text(item, "ReferencedFrameOfReferenceUID"), problem=problem)
    if problem is not None or not drawn:
        return roi, []
    return roi, [_outline(contour) for contour in _items(drawn[0], "ContourSequence")]


def _with_contours(rois: list[tuple[Roi, list[Outline]]]) -> list[Roi]:
    """The ROIs with their contours; the numbers of all of them are parsed at once, which is much faster."""
    usable = [one.raw for _, outlines in rois for one in outlines if one.problem is None]
    parsed = iter(parse_many(usable))
    return [_filled(roi, outlines, [next(parsed) for one in outlines if one.problem is None]) for roi, outlines in rois]


def _filled(roi: Roi, outlines: list[Outline], parsed: list[Array | None]) -> Roi:
    if roi.problem is not None:
        return roi
    values = iter(parsed)
    for one in outlines:
        points_mm = one.problem or _points_mm(next(values))
        if isinstance(points_mm, str):
            roi.unusable[points_mm] += 1
        else:
            roi.contours_mm.append(points_mm)
            roi.image_uids.append(one.image_uid)
    if roi.contours_mm:
        return roi
    skipped = "; ".join(f"{count} skipped: {why}" for why, count in sorted(roi.unusable.items()))
    return replace(roi, problem=f"no contours that can be filled ({skipped})" if skipped else "no contours")


def _outline(contour: Any) -> Outline:
    kind = _kind(contour)
    if kind not in CLOSED:
        kind = kind if kind.replace("_", "").isalpha() else "missing or unreadable"
        return Outline(b"", "", f"contour type {kind}")
    element = contour.get_item(CONTOUR_DATA)
    if element is not None and not _is_whole(element):
        return Outline(b"", "", "ContourData (3006,0050) is cut short")
    return Outline(_raw(element), _image_uid(contour))


def _kind(contour: Any) -> str:
    element = contour.get_item(CONTOUR_TYPE)
    if element is not None and isinstance(element.value, bytes):  # pydicom's parser is slow, and contours are many
        return element.value.decode("ascii", "replace").strip(" \0").upper()
    return text(contour, "ContourGeometricType").upper()


def _points_mm(values: Array | None) -> Array | str:
    """(n, 3) points of a closed contour, or why it can't be used."""
    if values is None or not len(values) or len(values) % 3:
        return "ContourData (3006,0050) is no list of x, y, z"
    points = values.reshape(-1, 3)
    if len(points) < 3:
        return "fewer than 3 points"
    if not np.isfinite(points).all():
        return "coordinates that are no finite numbers"
    return points


def _image_uid(contour: Any) -> str:
    """ReferencedSOPInstanceUID of the one image that the contour names, else "" (PS3.3 C.8.8.6)."""
    element = contour.get_item(CONTOUR_IMAGES)
    if element is None:
        return ""
    if isinstance(element.value, bytes) and getattr(element, "is_little_endian", False):
        found = UID_IN_ITEM[element.is_implicit_VR].fullmatch(element.value)
        if found:  # pydicom's parser takes longer for these than for all the rest of the file
            return found[1].rstrip(b" \0").decode()
    try:
        images = contour.get("ContourImageSequence") or []
        return text(images[0], "ReferencedSOPInstanceUID") if len(images) == 1 else ""
    except Exception:  # noqa: BLE001  # whatever damaged bytes lead to: the reference is a cross-check, no more
        return ""


def parse_decimals(raw: bytes) -> Array | None:
    r"""Numbers of a DS value, `1.5\-2\3e1 `, as float64; None where one is no decimal string (PS3.5 6.2)."""
    return parse_many([raw])[0]


def _is_whole(element: Any) -> bool:
    """False for an element whose value is shorter than its length says: the file ends in it, and pydicom is silent."""
    value, length = getattr(element, "value", None), getattr(element, "length", None)
    return not isinstance(value, bytes) or length in (None, 0xFFFFFFFF) or len(value) >= length


def _raw(element: Any) -> bytes:
    """ContourData as it stands in the file: pydicom's decimal strings take twenty times as long."""
    value = None if element is None else element.value
    if value is None or isinstance(value, bytes):
        return value or b""
    return "\\".join(map(str, value if isinstance(value, Iterable) else [value])).encode()


def _items(data: Any, keyword: str) -> list[Any]:
    return list(data.get(keyword) or [])


def _number(data: Any, keyword: str) -> int | None:
    value = text(data, keyword)
    return int(value) if value.lstrip("+-").isdecimal() else None
