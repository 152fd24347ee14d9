"""DICOM SEG -> its segments as planes of pixels in mm. No images (PS3.3 A.51, C.8.20)."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data_prep.drawn import Drawn
from data_prep.errors import DicomError, SeriesError, UnreadableFileError
from data_prep.files import quiet_pydicom
from data_prep.geometry import Array, Grid, slice_normal
from data_prep.mask_planes import Plane, pack_plane, put_planes
from data_prep.onto import Mask, MaskReport
from data_prep.rtstruct import Reference, StructHeader
from data_prep.segment_codes import coded_label, items
from data_prep.segment_pixels import frames_of
from data_prep.segment_places import macro, place_of, step_of, whole_number
from data_prep.slices import text

if TYPE_CHECKING:
    from data_prep.files import Header

__all__ = ["SEG", "SEG_CLASSES", "SEG_TAGS", "SegHeader", "SegmentName", "coded_label", "read_segments", "seg_header"]

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEG = "1.2.840.10008.5.1.4.1.1.66.7"
SEG_CLASSES = (SEG, LABEL_MAP_SEG)
SEG_TAGS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "PatientID",
    "ReferencedSeriesSequence",
    "StudiesContainingOtherReferencedInstancesSequence",
    "SegmentationType",
    "SegmentSequence",
)


@dataclass(frozen=True)
class SegmentName:
    """A segment as the header lists it. label: by its code, for a name that says nothing; None where not known."""

    number: int | None
    name: str
    label: str | None


@dataclass(frozen=True)
class SegHeader(StructHeader):
    """What a SEG refers to, in the form in which an RTSTRUCT says it: the two are paired by the same rules."""

    segments: tuple[SegmentName, ...] = ()


def seg_header(path: Path, header: "Header") -> SegHeader:
    """What the file refers to, out of its header read with SEG_TAGS; missing parts stay empty."""
    data = header.dataset
    series = [text(one, "SeriesInstanceUID") for one in items(data, "ReferencedSeriesSequence")]
    for study in items(data, "StudiesContainingOtherReferencedInstancesSequence"):
        series += [text(one, "SeriesInstanceUID") for one in items(study, "ReferencedSeriesSequence")]
    return SegHeader(
        path=path,
        sop_uid=text(data, "SOPInstanceUID"),
        study_uid=text(data, "StudyInstanceUID"),
        patient_id=text(data, "PatientID"),
        references=(Reference(text(data, "FrameOfReferenceUID"), tuple(dict.fromkeys(filter(None, series)))),),
        segments=tuple(
            SegmentName(whole_number(item, "SegmentNumber"), text(item, "SegmentLabel"), coded_label(item))
            for item in items(data, "SegmentSequence")
        ),
    )


@dataclass(eq=False)
class _Segment:
    """Planes of one segment as they are found. unplaced: how many frames were left out, and why."""

    name: str
    number: int | None
    planes: list[Plane] = field(default_factory=list)
    unplaced: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def read_segments(path: Path) -> list[Drawn]:
    """All segments of a SEG in the order of their numbers, those that can't be used with their `problem`.

    Binary, fractional (inside: at least half of MaximumFractionalValue, which a note says) and label maps. Frames may
    lie anywhere, in any order; those without voxels may be missing. In memory: the file and its voxels, packed.
    Raises UnreadableFileError where the file can't be read, SeriesError naming the tag where it isn't what it claims.
    """
    path = Path(path)
    try:
        with quiet_pydicom():
            return _read(path)
    except DicomError:
        raise
    except Exception as error:  # pydicom and its decoders raise whatever damaged bytes lead to; it costs this SEG
        raise UnreadableFileError(f"{path.name} is damaged or truncated ({type(error).__name__})") from error


def _read(path: Path) -> list[Drawn]:
    from pydicom import dcmread

    data = dcmread(path, force=True)
    sop_class = text(data, "SOPClassUID")
    if sop_class not in SEG_CLASSES:
        raise SeriesError(f"{path.name} is no DICOM SEG: SOPClassUID (0008,0016) is {sop_class or 'missing'}")
    described = items(data, "SegmentSequence")
    if not described:
        raise SeriesError(f"{path.name} names no segment: SegmentSequence (0062,0002) is missing or empty")
    numbers = [whole_number(item, "SegmentNumber") for item in described]
    uses = Counter(numbers)
    segments = {}
    refused = []
    label_map = sop_class == LABEL_MAP_SEG or text(data, "SegmentationType").upper() == "LABELMAP"
    for item, number in zip(described, numbers, strict=True):
        if label_map and number == 0:
            continue  # the background
        name = text(item, "SegmentLabel")
        if number is None:
            refused.append(_refused(name, None, "SegmentNumber (0062,0004) is missing or no number"))
        elif uses[number] > 1:
            why = f"{uses[number]} segments carry the number {number}: whose frames are whose can't be told"
            refused.append(_refused(name, number, why))
        else:
            segments[number] = _Segment(name, number)
    positions = _collect(path, data, segments, uses)
    step_mm, declared = step_of(data, positions)
    frame_uid = text(data, "FrameOfReferenceUID")
    drawn = [_drawn(one, step_mm, declared, frame_uid) for one in segments.values()] + refused
    return sorted(drawn, key=lambda one: (one.number is None, one.number or 0, one.name))


def _collect(path: Path, data: Any, segments: dict[int, _Segment], uses: Counter[int | None]) -> list[Array]:
    """Sort all frames' voxels to their segments; return (origin, normal) of every frame that has a place."""
    groups = items(data, "PerFrameFunctionalGroupsSequence")
    shared = (items(data, "SharedFunctionalGroupsSequence") or [None])[0]
    positions = []
    for n, frame in enumerate(frames_of(path, data, len(groups))):
        place = place_of(groups[n], shared)
        if not isinstance(place, str):
            positions.append(np.concatenate([place[0], slice_normal(np.concatenate(place[3:]))]))
        for number, mask in _masks(frame.pixels_ij, groups[n], shared, frame.is_label_map):
            segment = segments.setdefault(number, _Segment("", number)) if number not in uses else segments.get(number)
            if segment is None or not mask.any():  # None: one of several with this number
                continue
            if number not in uses:
                segment.unplaced["SegmentSequence (0062,0002) does not have this segment"] += 1
            elif isinstance(place, str):
                segment.unplaced[place] += 1
            elif (plane := pack_plane(mask, *place[:3])) is not None:
                segment.planes.append(plane)
    strays = sum(one.unplaced.total() for number, one in segments.items() if number not in uses)
    notes = _frame_notes(data)
    if strays:
        notes.append(f"{strays} frame(s) of the file name a segment that it does not describe: they may belong here")
    for one in segments.values():
        one.notes += notes
    return positions


def _frame_notes(data: Any) -> list[str]:
    """What has to be said about how frames became 0 and 1."""
    if text(data, "SegmentationType").upper() != "FRACTIONAL":
        return []
    kind = text(data, "SegmentationFractionalType").lower()
    return [f"fractional segment ({kind or 'of unknown kind'}): voxels of at least half the maximum are inside"]


def _masks(pixels_ij: NDArray, group: Any, shared: Any, label_map: bool) -> Iterator[tuple[int, NDArray]]:
    """Segment numbers and their masks in one frame."""
    if label_map:
        for value in np.unique(pixels_ij).tolist():
            if value:
                yield value, pixels_ij == value
        return
    identification = macro(group, shared, "SegmentIdentificationSequence")
    number = None if identification is None else whole_number(identification, "ReferencedSegmentNumber")
    if number is None:
        raise SeriesError("a frame does not say whose it is: ReferencedSegmentNumber (0062,000B) is missing")
    yield number, pixels_ij


def _drawn(segment: _Segment, step_mm: float | None, declared: bool, frame_uid: str) -> Drawn:
    if segment.planes:
        return Drawn(segment.name, segment.number, frame_uid, partial(_fill, segment, step_mm, declared))
    why = "; ".join(f"{count} left out: {why}" for why, count in sorted(segment.unplaced.items()))
    problem = f"no frame can be placed ({why})" if why else "no frame holds a voxel of it"
    return _refused(segment.name, segment.number, problem, frame_uid)


def _fill(segment: _Segment, step_mm: float | None, declared: bool, grid: Grid) -> tuple[Mask, MaskReport]:
    mask, report = put_planes(segment.planes, step_mm, grid, declared)
    for why, count in segment.unplaced.items():
        report.planes_in += count
        report.skip(why, count)
    report.notes[:0] = segment.notes
    return mask, report


def _refused(name: str, number: int | None, problem: str, frame_uid: str = "") -> Drawn:
    def fill(grid: Grid) -> tuple[Mask, MaskReport]:
        raise SeriesError(problem)

    return Drawn(name, number, frame_uid, fill, problem)
