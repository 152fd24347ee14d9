"""Masks made clean: opening and closing by disks, the largest pieces, holes. (H, W) throughout."""

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.postprocessing import TumorRules, dilate_in_plane, footprint

Mask = NDArray[np.bool_]
TOUCHING = np.ones((3, 3), int)  # pixels of one piece may touch by a corner


def dilate(mask: Mask, radius: int) -> Mask:
    """mask with all that lies within `radius` pixels of it."""
    disk = footprint(TumorRules(radius=radius), (1.0, 1.0, 1.0))
    return dilate_in_plane(mask[..., None], disk)[..., 0]


def erode(mask: Mask, radius: int) -> Mask:
    """mask without what lies within `radius` pixels of its outside. The picture's edge is no outside."""
    return ~dilate(~mask, radius)


def opened(mask: Mask, radius: int) -> Mask:
    """mask without what a disk of `radius` pixels does not fit into: specks, threads, thin bridges."""
    return dilate(erode(mask, radius), radius) if radius > 0 else mask


def closed(mask: Mask, radius: int) -> Mask:
    """mask with the gaps that a disk of `radius` pixels does not fit into: cracks, thin notches."""
    return erode(dilate(mask, radius), radius) if radius > 0 else mask


def largest(mask: Mask, count: int, least_share: float = 0.0) -> list[Mask]:
    """The `count` largest pieces, the largest first; none of less than `least_share` of the largest. 0: all of them."""
    from scipy.ndimage import label

    pieces, found = label(mask, TOUCHING)
    sizes = np.bincount(pieces.ravel(), minlength=found + 1)[1:]
    order = np.argsort(-sizes, kind="stable")[: count or found]
    return [pieces == 1 + place for place in order if sizes[place] >= least_share * sizes[order[0]]]


def filled(mask: Mask) -> Mask:
    """mask with all that it encloses."""
    from scipy.ndimage import binary_fill_holes

    return np.asarray(binary_fill_holes(mask), bool)
