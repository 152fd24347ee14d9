"""Which lung a voxel belongs to: one region a side, by the network's opinion and by where it lies. Axes LPS."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.result import Flag
from lungseg_monai.segment.spread import Labels, flood, shrink

RIGHT, LEFT = 1, 2
NECK_MM = 6.0  # lungs that touch do so in a layer thinner than twice this
SHARE_OF_LUNG = 0.3  # a part with more than this of the other's volume is a lung of its own
SHARE_OF_SIDE = 0.2  # a side with less than this of a merged part is a mistake
APART_MM = 60.0  # across the body, two lungs lie at least this far from each other
WORTH_SAYING_ML = 20.0
MOST_STEPS = 400  # from a part's core to its farthest end
MUCH = 0.25  # of the lungs: the network had no idea of the sides


@dataclass(frozen=True)
class Part:
    """One piece of the lungs when thin bridges are cut. centre_x_mm: towards the patient's left."""

    index: int
    voxels: int
    right_share: float  # of its voxels, by the network
    centre_x_mm: float


def sort_sides(mask: Labels, probability: NDArray[np.float32], spacing_mm: float) -> tuple[Labels, tuple[Flag, ...]]:
    """(I, J, K) labels of mask, 1 right and 2 left. probability: (3, I, J, K) background, right, left; LPS axes.

    Thin bridges are cut; each large part gets the side that most of it has, unless it is plainly both lungs in one.
    The rest takes the side it is connected to.
    """
    voted = np.where(probability[1] >= probability[2], RIGHT, LEFT).astype(np.uint8) * mask
    core = shrink(mask, NECK_MM, (spacing_mm,) * 3)
    pieces, parts = _parts(core, voted, spacing_mm)
    if not parts:
        return voted, ()
    labels = np.zeros_like(mask)
    sides = _sides_of(parts)
    for part in parts:
        labels[pieces == part.index] = sides.get(part.index, 0)
    both = [part.index for part in parts if part.index not in sides]
    if both:
        where = np.isin(pieces, both)
        labels[where] = _one_region_each(voted * where)[where]
    labels = flood(labels, mask, MOST_STEPS)
    labels = np.where(labels > 0, labels, voted).astype(np.uint8)
    changed_ml = np.count_nonzero(labels != voted) * spacing_mm**3 / 1000
    if changed_ml < WORTH_SAYING_ML:
        return labels, ()
    what = f"{changed_ml:.0f} ml were given to the other lung, so that each is in one piece on its own side"
    much = changed_ml * 1000 > MUCH * np.count_nonzero(mask) * spacing_mm**3
    return labels, (Flag("sides_repaired", what, "alarm" if much else "check"),)


def _parts(core: Labels, voted: Labels, spacing_mm: float) -> tuple[NDArray[Any], list[Part]]:
    import cc3d

    pieces = cc3d.connected_components(core, connectivity=6)
    count = int(pieces.max()) + 1
    voxels = np.bincount(pieces.ravel(), minlength=count)
    right = np.bincount(pieces[voted == RIGHT], minlength=count)
    along_x = np.zeros(count)
    for i, plane in enumerate(pieces):
        along_x += i * np.bincount(plane.ravel(), minlength=count)
    parts = [
        Part(n, int(voxels[n]), right[n] / voxels[n], spacing_mm * along_x[n] / voxels[n])
        for n in range(1, count)
        if voxels[n]
    ]
    return pieces, sorted(parts, key=lambda part: -part.voxels)


def _sides_of(parts: list[Part]) -> dict[int, int]:
    """The side of each part; parts that hold both lungs are left out."""
    first = parts[0]
    seconds = [
        part
        for part in parts[1:]
        if part.voxels > SHARE_OF_LUNG * first.voxels and abs(part.centre_x_mm - first.centre_x_mm) > APART_MM
    ]
    if not seconds:
        minority = min(first.right_share, 1 - first.right_share)
        if minority >= SHARE_OF_SIDE:
            return {part.index: _majority(part) for part in parts[1:]}
        return {part.index: _majority(part) for part in parts}
    second = seconds[0]
    rightmost, leftmost = sorted((first, second), key=lambda part: part.centre_x_mm)
    # two lungs side by side: which is which is a matter of place, whatever the votes
    sides = {rightmost.index: RIGHT, leftmost.index: LEFT}
    for part in parts:
        if part.index not in sides:
            nearer_right = abs(part.centre_x_mm - rightmost.centre_x_mm) < abs(part.centre_x_mm - leftmost.centre_x_mm)
            certain = max(part.right_share, 1 - part.right_share) > 0.9
            sides[part.index] = _majority(part) if certain else (RIGHT if nearer_right else LEFT)
    return sides


def _majority(part: Part) -> int:
    return RIGHT if part.right_share >= 0.5 else LEFT


def _one_region_each(voted: Labels) -> Labels:
    """voted with each side's smaller regions given to the other side: both lungs in one part, no speckle."""
    import cc3d

    kept = np.zeros_like(voted)
    for side in (RIGHT, LEFT):
        kept[cc3d.largest_k((voted == side).astype(np.uint8), k=1, connectivity=6) > 0] = side
    return flood(kept, (voted > 0).astype(np.uint8), MOST_STEPS)
