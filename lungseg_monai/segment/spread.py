"""Growing and shrinking masks by millimetres on any grid, step by step: no distance map, little memory."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.bits import Bits, labels_of, levels_of, levels_spread

Labels = NDArray[np.uint8]


def steps(distance_mm: float, spacing_mm: tuple[float, float, float]) -> Iterator[tuple[list[int], bool]]:
    """(axes to step along, whether diagonally) so that together they reach distance_mm, roughly round."""
    counts = [round(distance_mm / step) for step in spacing_mm]
    most = max(counts)
    for step in range(1, most + 1):
        axes = [axis for axis in range(3) if step * counts[axis] // most > (step - 1) * counts[axis] // most]
        yield axes, step % 2 == 0  # cross and box in turn make an octagon


def spread(labels: Labels, axes: list[int], diagonal: bool = False, within: Labels | None = None) -> Labels:
    """labels with each 0 taking the largest label beside it along `axes`; `within`: not 0 where it may."""
    allowed = None if within is None else Bits.of(within)
    return labels_of(levels_spread(levels_of(labels), (axes, diagonal), allowed))


def flood(labels: Labels, within: Labels, most: int) -> Labels:
    """labels spread along all axes into `within`, `most` times or until nothing changes."""
    levels, allowed = levels_of(labels), Bits.of(within)
    for _ in range(most):
        before, levels = levels[0], levels_spread(levels, ([0, 1, 2], False), allowed)
        if np.array_equal(before.words, levels[0].words):
            break
    return labels_of(levels)


def grow(mask: Labels, distance_mm: float, spacing_mm: tuple[float, float, float]) -> Labels:
    """mask (0 and 1) and what lies within about distance_mm of it."""
    return Bits.of(mask).grown(steps(distance_mm, spacing_mm)).mask()


def shrink(mask: Labels, distance_mm: float, spacing_mm: tuple[float, float, float]) -> Labels:
    """mask (0 and 1) without what lies within about distance_mm of its border; the image's edge is no border."""
    return Bits.of(mask).shrunk(steps(distance_mm, spacing_mm)).mask()


def box_around(mask: Labels, margin: int) -> tuple[slice, ...]:
    """The smallest box with all of mask and `margin` voxels around it, as far as the image reaches."""
    box = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(max(0, int(there[0]) - margin), int(there[-1]) + 1 + margin) if there.size else slice(0, 0))
    return tuple(box)
