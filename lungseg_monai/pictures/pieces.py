"""Masks made clean: opening and closing by disks, the largest pieces, holes. (H, W) throughout."""

from math import isqrt

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
TOUCHING = np.ones((3, 3), int)  # pixels of one piece may touch by a corner


def dilate(mask: Mask, radius: int) -> Mask:
    """mask with all that lies within `radius` pixels of it."""
    box = _box(mask, radius)
    if box is None or radius < 1:
        return mask.copy()
    out = np.zeros_like(mask)
    held = mask[box]
    out[box] = held | _near(held & _beside(~held), radius)
    return out


def erode(mask: Mask, radius: int) -> Mask:
    """mask without what lies within `radius` pixels of its outside. The picture's edge is no outside."""
    box = _box(mask, 1)
    if box is None or radius < 1:
        return mask.copy()
    out = np.zeros_like(mask)
    held = mask[box]
    out[box] = held & ~_near(~held & _beside(held), radius)
    return out


def opened(mask: Mask, radius: int) -> Mask:
    """mask without what a disk of `radius` pixels does not fit into: specks, threads, thin bridges."""
    return dilate(erode(mask, radius), radius) if radius > 0 else mask


def closed(mask: Mask, radius: int) -> Mask:
    """mask with the gaps that a disk of `radius` pixels does not fit into: cracks, thin notches."""
    return erode(dilate(mask, radius), radius) if radius > 0 else mask


def largest(mask: Mask, count: int, least_share: float = 0.0) -> list[Mask]:
    """The `count` largest pieces, the largest first; none of less than `least_share` of the largest. 0: all of them."""
    pieces, places, _ = _ranked(mask, count, least_share)
    return [pieces == place for place in places]


def largest_together(mask: Mask, count: int, least_share: float = 0.0) -> Mask:
    """The pieces of `largest` as one mask, in time that does not grow with how many there are."""
    pieces, places, found = _ranked(mask, count, least_share)
    if len(places) == found:
        return mask.copy()
    kept = np.zeros(found + 1, bool)
    kept[places] = True
    return kept[pieces]


def filled(mask: Mask) -> Mask:
    """mask with all that it encloses: the background from where no way of pixels side by side leads out."""
    from scipy.ndimage import label

    box = _box(mask, 0)
    if box is None:
        return mask.copy()
    regions, found = label(~mask[box])
    enclosed = np.ones(found + 1, bool)
    for edge in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        enclosed[edge] = False
    enclosed[0] = True  # the mask itself
    out = np.zeros_like(mask)
    out[box] = enclosed[regions]
    return out


def _ranked(mask: Mask, count: int, least_share: float) -> tuple[NDArray[np.int32], NDArray[np.intp], int]:
    """Numbered pieces (H, W), the numbers of those to keep, the largest first, and how many there are."""
    from scipy.ndimage import label

    pieces, found = label(mask, TOUCHING)
    sizes = np.bincount(pieces.ravel(), minlength=found + 1)[1:]
    order = np.argsort(-sizes, kind="stable")[: count or found]
    return pieces, 1 + order[sizes[order] >= least_share * sizes[order[:1]].sum()], found


def _box(mask: Mask, margin: int) -> tuple[slice, slice] | None:
    """Round what is set, with `margin` pixels more on each side as far as the picture goes. None: nothing is set."""
    spans = []
    for axis in (1, 0):
        there = np.flatnonzero(mask.any(axis=axis))
        if not len(there):
            return None
        spans.append(slice(max(int(there[0]) - margin, 0), int(there[-1]) + 1 + margin))
    return spans[0], spans[1]


def _beside(mask: Mask) -> Mask:
    """What is above, below, left or right of a pixel of mask."""
    out = np.zeros_like(mask)
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]
    out[:, 1:] |= mask[:, :-1]
    out[:, :-1] |= mask[:, 1:]
    return out


def _near(points: Mask, radius: int) -> Mask:
    """What lies within `radius` pixels of a point.

    A disk is a run in each column about it: where runs begin and end is counted, and then summed downwards. For
    outlines, which have few points: the pixel of a mask that is nearest to one outside lies on the mask's outline.
    """
    rows, columns = points.shape
    kind = np.int16 if (2 * radius + 1) ** 2 < np.iinfo(np.int16).max else np.int32
    begins = np.zeros((rows + 2 * radius + 1, columns + 2 * radius), kind)  # room on all sides: nothing is clipped
    row, column = np.nonzero(points)
    for offset in range(-radius, radius + 1):
        half = isqrt(radius * radius - offset * offset)
        begins[row + radius - half, column + radius + offset] += 1  # no two points of a column fall on one place
        begins[row + radius + half + 1, column + radius + offset] -= 1
    within = slice(radius, radius + columns)
    covered: NDArray[np.signedinteger] = np.cumsum(begins[: radius + rows, within], axis=0, dtype=kind)
    return np.asarray(covered[radius:] > 0)
