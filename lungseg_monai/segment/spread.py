"""Growing and shrinking masks by millimetres on any grid, by shifted copies: no distance map, little memory."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]


def steps(distance_mm: float, spacing_mm: tuple[float, float, float]) -> Iterator[tuple[list[int], bool]]:
    """(axes to step along, whether diagonally) so that together they reach distance_mm, roughly round."""
    counts = [round(distance_mm / step) for step in spacing_mm]
    most = max(counts)
    for step in range(1, most + 1):
        axes = [axis for axis in range(3) if step * counts[axis] // most > (step - 1) * counts[axis] // most]
        yield axes, step % 2 == 0  # cross and box in turn make an octagon


def spread(labels: Labels, axes: list[int], diagonal: bool = False, within: Labels | None = None) -> Labels:
    """labels with each 0 taking the largest label beside it along `axes`; `within`: 1 where it may."""
    grown = labels.copy()
    for axis in axes:
        source = grown.copy() if diagonal else labels
        for towards in (1, -1):
            here, there = _shifted(axis, towards)
            _take(grown, source, here, there, within)
    if within is not None or labels.max() > 1:
        np.copyto(grown, labels, where=labels > 0)
    return grown


def grow(mask: Labels, distance_mm: float, spacing_mm: tuple[float, float, float]) -> Labels:
    """mask (0 and 1) and what lies within about distance_mm of it."""
    for axes, diagonal in steps(distance_mm, spacing_mm):
        mask = spread(mask, axes, diagonal)
    return mask


def shrink(mask: Labels, distance_mm: float, spacing_mm: tuple[float, float, float]) -> Labels:
    """mask (0 and 1) without what lies within about distance_mm of its border; the image's edge is no border."""
    return 1 - grow(1 - mask, distance_mm, spacing_mm)


def box_around(mask: Labels, margin: int) -> tuple[slice, ...]:
    """The smallest box with all of mask and `margin` voxels around it, as far as the image reaches."""
    box = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(max(0, int(there[0]) - margin), int(there[-1]) + 1 + margin) if there.size else slice(0, 0))
    return tuple(box)


def _shifted(axis: int, towards: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    here, there = [slice(None)] * 3, [slice(None)] * 3
    here[axis], there[axis] = (slice(1, None), slice(None, -1)) if towards > 0 else (slice(None, -1), slice(1, None))
    return tuple(here), tuple(there)


def _take(
    grown: Labels, source: Labels, here: tuple[slice, ...], there: tuple[slice, ...], within: Labels | None
) -> None:
    if within is None:
        np.maximum(grown[here], source[there], out=grown[here])
    else:
        np.maximum(grown[here], source[there] * within[here], out=grown[here])
