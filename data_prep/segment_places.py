"""Where the frames of a DICOM SEG lie, out of their functional groups (PS3.3 C.7.6.16)."""

from typing import Any

import numpy as np

from data_prep.errors import SeriesError
from data_prep.geometry import Array, slice_normal
from data_prep.planes import FARTHEST_MM
from data_prep.segment_codes import items
from data_prep.slices import text

SHORTEST_MM, LONGEST_MM = 1e-3, 1e3  # between pixels, and between frames
SAME_PLACE_MM = 0.01  # two roundings of one position

Place = tuple[Array, Array, Array, Array, Array]


def place_of(group: Any, shared: Any) -> Place | str:
    """Origin and steps along i and j, mm in LPS, and both directions; or why the frame lies nowhere."""
    position = _decimals(macro(group, shared, "PlanePositionSequence"), "ImagePositionPatient", 3)
    cosines = _decimals(macro(group, shared, "PlaneOrientationSequence"), "ImageOrientationPatient", 6)
    spacing = _decimals(macro(group, shared, "PixelMeasuresSequence"), "PixelSpacing", 2)
    if position is None or np.abs(position).max() > FARTHEST_MM:
        return "ImagePositionPatient (0020,0032) is missing or no three numbers within 1 km"
    if cosines is None:
        return "ImageOrientationPatient (0020,0037) is missing or no six numbers"
    if spacing is None or (spacing < SHORTEST_MM).any() or (spacing > LONGEST_MM).any():
        return "PixelSpacing (0028,0030) is missing or no two lengths of 0.001 mm to 1 m"
    try:
        slice_normal(cosines)
    except SeriesError as error:
        return str(error)
    row, column = cosines[:3], cosines[3:]
    return position, row * spacing[1], column * spacing[0], row, column


def step_of(data: Any, positions: list[Array]) -> tuple[float | None, bool]:
    """Distance of neighbouring planes, and whether the file states it; else the least between any two frames.

    positions: (6,) each, a frame's origin and normal.
    """
    shared = (items(data, "SharedFunctionalGroupsSequence") or [None])[0]
    first = (items(data, "PerFrameFunctionalGroupsSequence") or [None])[0]
    stated = _decimals(macro(first, shared, "PixelMeasuresSequence"), "SpacingBetweenSlices", 1)
    least = None
    if positions:
        places = np.array(positions)
        gaps = np.diff(np.sort(places[:, :3] @ places[0, 3:]))
        gaps = gaps[gaps > SAME_PLACE_MM]
        least = float(gaps.min()) if len(gaps) else None
    if stated is None or not SHORTEST_MM <= stated[0] <= LONGEST_MM:
        return least, False
    if least is not None and least < stated[0] - SAME_PLACE_MM:  # the frames belie it
        return least, False
    return float(stated[0]), True


def macro(group: Any, shared: Any, keyword: str) -> Any:
    """A functional group macro's item: the frame's own, else the shared one (PS3.3 C.7.6.16)."""
    for source in (group, shared):
        if source is not None and (found := items(source, keyword)):
            return found[0]
    return None


def _decimals(data: Any, keyword: str, count: int) -> Array | None:
    try:
        values = np.array([float(part) for part in text(data, keyword).split("\\")]) if data is not None else None
    except ValueError:
        return None
    return values if values is not None and len(values) == count and np.isfinite(values).all() else None


def whole_number(data: Any, keyword: str) -> int | None:
    value = text(data, keyword)
    return int(value) if value.isdecimal() else None
