"""Which RTSTRUCT or SEG was drawn on which CT series. By reference and frame of reference, never by folder or name."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data_prep.errors import UnreadableFileError
from data_prep.rtstruct import StructHeader
from data_prep.segments import SegHeader
from data_prep.slices import SliceHeader

DrawnFile = StructHeader | SegHeader


@dataclass(frozen=True)
class Pair:
    """An RTSTRUCT, or a SEG, to fill on a series. note: what had to be assumed, or None."""

    struct: DrawnFile
    note: str | None = None


@dataclass
class Pairing:
    """by_series: SeriesInstanceUID -> its RTSTRUCTs and SEGs, in a fixed order. unpaired: with the reason."""

    by_series: dict[str, list[Pair]] = field(default_factory=dict)
    unpaired: list[tuple[DrawnFile, str]] = field(default_factory=list)
    copies: int = 0


def pair(
    structs: Sequence[DrawnFile],
    series: Mapping[str, SliceHeader],
    read_bytes: Callable[[Path], bytes] = Path.read_bytes,
) -> Pairing:
    """Pair RTSTRUCTs and SEGs with series (one slice of each, by SeriesInstanceUID).

    A series must be named by the file and share its frame of reference. A file that names no series goes to the only
    series of its study and frame of reference, which the note then says.
    """
    result = Pairing()
    uids = Counter(struct.sop_uid for struct in structs if struct.sop_uid)
    firsts: dict[str, DrawnFile] = {}
    for struct in sorted(structs, key=lambda one: (one.sop_uid, one.path)):
        if uids[struct.sop_uid] > 1 and struct is not (first := firsts.setdefault(struct.sop_uid, struct)):
            problem = _why_no_copy(struct, first, read_bytes)
            if problem is None:
                result.copies += 1
            else:
                result.unpaired.append((struct, problem))
            continue
        names_any = any(one.series_uids for one in struct.references)
        pairs, problem = _by_name(struct, series) if names_any else _by_frame(struct, series)
        if problem:
            result.unpaired.append((struct, problem))
        for uid, note in pairs:
            result.by_series.setdefault(uid, []).append(Pair(struct, note))
    return result


def _why_no_copy(struct: DrawnFile, first: DrawnFile, read_bytes: Callable[[Path], bytes]) -> str | None:
    """What sets two files of one SOPInstanceUID apart; None for copies."""
    try:
        same = read_bytes(struct.path) == read_bytes(first.path)
    except (UnreadableFileError, OSError) as error:
        return f"another file has the same SOPInstanceUID, and they can't be compared ({type(error).__name__})"
    return None if same else "another file with other contents has the same SOPInstanceUID"


Found = tuple[list[tuple[str, str | None]], str | None]  # (SeriesInstanceUID, note) pairs, and what went wrong


def _by_name(struct: DrawnFile, series: Mapping[str, SliceHeader]) -> Found:
    """The series that the file names, if they are here and lie in its frame of reference."""
    frames: dict[str, set[str]] = {}
    for one in struct.references:
        for uid in one.series_uids:
            frames.setdefault(uid, set()).update({one.frame_uid} - {""})
    pairs: list[tuple[str, str | None]] = []
    problem = "the CT series that it was drawn on is not here: add it, what is drawn belongs to no other"
    for uid in frames.keys() & series.keys():
        frame = series[uid].frame_uid
        if not frame or not frames[uid]:
            pairs.append((uid, "no FrameOfReferenceUID (0020,0052) to compare: paired by SeriesInstanceUID alone"))
        elif frame in frames[uid]:
            pairs.append((uid, None))
        else:
            problem = "its frame of reference (0020,0052) is not that of the CT series it names: positions don't agree"
    return sorted(pairs), None if len(pairs) == len(frames.keys() & series.keys()) > 0 else problem


def _by_frame(struct: DrawnFile, series: Mapping[str, SliceHeader]) -> Found:
    """For a file that names no series: the only series with its study and frame of reference."""
    frames = {one.frame_uid for one in struct.references} - {""}
    fitting = [uid for uid, one in series.items() if one.frame_uid in frames and one.study_uid == struct.study_uid]
    if len(fitting) == 1:
        return [(fitting[0], "it names no series: paired with the only one of its study and frame of reference")], None
    if not fitting:
        return [], "it names no CT series, and none here has its study and frame of reference"
    return [], f"it names no CT series, and {len(fitting)} here have its study and frame of reference"
