"""What slices of one series may differ in, when they are several volumes: the keys, in the order they are tried."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.errors import GeometryError
from data_prep.geometry import slice_normal
from data_prep.slices import SliceHeader

LONGEST_LABEL = 24
# Wider than what one volume may vary by: less is no other volume, but one that is refused for what differs in it.
OTHER_COSINE, OTHER_SPACING_MM = 0.01, 1e-3
SAME_PLACE_MM = 0.1  # within the plane: one field of view or another


@dataclass(frozen=True)
class Label:
    """text: safe in file names. order: for sorting."""

    text: str
    order: tuple[Any, ...]


@dataclass(frozen=True)
class Key:
    """value: of one slice; text, a tuple of numbers, or None where the slice does not say. tag: for people.

    tolerance: for numbers. numbered: label groups 1, 2, 3, the largest first, rather than by value. worded: values are
    technical terms, fit for labels. joins: groups may continue each other. never_mixed: one volume has one value, even
    where its slices would lie evenly.
    """

    name: str
    tag: str
    value: Callable[[SliceHeader], str | tuple[float, ...] | None]
    tolerance: float = 0.0
    numbered: bool = False
    worded: bool = False
    joins: bool = False
    never_mixed: bool = False


def clusters(slices: Sequence[SliceHeader], key: Key) -> list[tuple[Label, list[SliceHeader]]]:
    """Slices of one value together, in the order of the values; numbers within the tolerance are one value."""
    values: list[Any] = []
    groups: list[list[SliceHeader]] = []
    found: dict[Any, int] = {}
    for one in slices:
        value = key.value(one)
        if value not in found:
            near = (n for n, known in enumerate(values) if _same(known, value, key.tolerance))
            found[value] = next(near, len(values))
            if found[value] == len(values):
                values.append(value)
                groups.append([])
        groups[found[value]].append(one)
    order = sorted(range(len(values)), key=lambda n: _order(values[n], len(groups[n]), key))
    return [(_label(values[n], place, key), groups[n]) for place, n in enumerate(order, 1)]


def _same(known: Any, value: Any, tolerance: float) -> bool:
    if known == value:
        return True
    if isinstance(known, tuple) and isinstance(value, tuple) and len(known) == len(value):
        return max(abs(a - b) for a, b in zip(known, value, strict=True)) <= tolerance
    return False


def _order(value: Any, count: int, key: Key) -> tuple[Any, ...]:
    if key.numbered:
        return -count, str(value)
    if isinstance(value, str) and value.isdecimal():
        return 0, int(value), ""
    return (1, 0, str(value)) if isinstance(value, str) else (0, *(value or (-1,)))


def _label(value: Any, place: int, key: Key) -> Label:
    if key.numbered or value is None:
        text = str(place)
    elif isinstance(value, tuple):
        text = "x".join(f"{number:.4g}" for number in dict.fromkeys(value))
    elif not (value.isdecimal() or key.worded):  # may hold anything
        text = str(place)
    else:
        text = re.sub(r"[^A-Za-z0-9.]+", "-", value).strip("-.")[:LONGEST_LABEL] or "none"
    return Label(f"{key.name}-{text}", (place,))


def _in_plane(one: SliceHeader) -> tuple[float, ...] | None:
    """Where the slice lies within its plane, mm, whatever plane that is."""
    if one.position_mm is None or one.orientation is None:
        return None
    try:
        normal = slice_normal(one.orientation)
    except GeometryError:
        return None
    position = np.array(one.position_mm)
    return tuple((position - (position @ normal) * normal).tolist())


# No volume can mix these.
GEOMETRY = (
    Key("frame", "FrameOfReferenceUID (0020,0052)", lambda one: one.frame_uid or None, numbered=True),
    Key(
        "orientation",
        "ImageOrientationPatient (0020,0037)",
        lambda one: one.orientation,
        tolerance=OTHER_COSINE,
        numbered=True,
    ),
    Key(
        "size",
        "Rows and Columns (0028,0010-0011)",
        lambda one: (float(one.columns), float(one.rows)) if one.columns and one.rows else None,
    ),
    Key("spacing", "PixelSpacing (0028,0030)", lambda one: one.pixel_spacing_mm, tolerance=OTHER_SPACING_MM),
)
# These differ within one volume, too: they count only where slices get in each other's way.
KEYS = (
    Key("phase", "TemporalPositionIdentifier (0020,0100)", lambda one: one.temporal_position, never_mixed=True),
    Key("acquisition", "AcquisitionNumber (0020,0012)", lambda one: one.acquisition, joins=True),
    Key("kernel", "ConvolutionKernel (0018,1210)", lambda one: one.kernel or "", worded=True, never_mixed=True),
    Key("type", "ImageType (0008,0008)", lambda one: "\\".join(one.image_type), numbered=True),
    Key(
        "thickness",
        "SliceThickness (0018,0050)",
        lambda one: (round(one.thickness_mm or 0.0, 3),),
    ),
)
IN_PLANE = Key("position", "the position within the plane", _in_plane, tolerance=SAME_PLACE_MM, numbered=True)
