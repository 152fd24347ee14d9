"""Air where it doesn't belong: in the pleural cavity, the mediastinum, the chest wall. None of it is lung."""

from __future__ import annotations

import numpy as np

from lungseg_monai.synthesis.pathology.fields import Field, Mask, level_of_share, sheets_mm, soft, uniform
from lungseg_monai.synthesis.pathology.fluid import fluid_hu
from lungseg_monai.synthesis.pathology.part import Part, finding


def shrunken(part: Part, centre: tuple[float, float, float], scale: tuple[float, ...]) -> tuple[Field, Field]:
    """The lung drawn together about a voxel by a scale (below 1) an axis: HU and a soft mask (0 to 1), (I, J, K)."""
    from scipy import ndimage

    matrix = 1 / np.asarray(scale)
    offset = np.asarray(centre) * (1 - matrix)
    filled = np.where(part.inside, part.hu, np.float32(-850))
    hu = ndimage.affine_transform(filled, matrix, offset, order=1, mode="nearest")
    mask = ndimage.affine_transform(part.inside.astype(np.float32), matrix, offset, order=1, mode="constant")
    return hu, mask


def _rest_place(part: Part, random: np.random.Generator) -> tuple[float, float, float]:
    """Where a collapsed lung comes to rest: the hilum, sunk along gravity."""
    place = list(part.hilum_ijk())
    down = part.down_mm()
    for axis in range(3):
        index = [0, 0, 0]
        index[axis] = 1
        slope = float(down[tuple(index)] - down[0, 0, 0]) / part.spacing_mm
        place[axis] += slope * uniform(random, 0, 45) / part.spacing_mm
    place[2] -= uniform(random, -10, 30) / part.spacing_mm
    return place[0], place[1], place[2]


def collapse_in_air(part: Part, random: np.random.Generator, *, smallest: float, largest: float) -> Mask:
    """Shrink the lung to a scale between two bounds and leave air about it; where that air is, (I, J, K)."""
    lung = part.inside.copy()
    mean_scale = uniform(random, smallest, largest)
    scale = np.clip(mean_scale * random.uniform(0.88, 1.12, 3), 0.2, 0.97)
    hu, mask = shrunken(part, _rest_place(part, random), tuple(scale))
    edge = mask + 0.12 * part.noise(20, random) * (mask > 0.02) * (1 - mask_core(mask))
    kept = soft((edge - np.float32(0.5)) * np.float32(part.spacing_mm), 2) * lung
    wet = float(np.clip(1.15 * (1 - mean_scale) ** 1.2 + uniform(random, -0.05, 0.1), 0, 1))
    dense = hu + wet * np.maximum(np.float32(40) - hu, 0)
    rim = kept * (1 - kept) * 4 * (300 if part.spacing_mm > 2 else 500)
    air = np.float32(uniform(random, -1005, -985))
    part.hu[lung] = (air + kept * (dense - air) + rim)[lung]
    gone = lung & (kept < 0.5)
    part.take_from_lung(gone)
    return gone


def mask_core(mask: Field) -> Field:
    """1 deep inside a soft mask, 0 at its edge and outside."""
    return np.clip((mask - np.float32(0.9)) * 10, 0, 1)


@finding("a small pneumothorax: a rim of air in front or at the apex: not lung", layer=6)
def small_pneumothorax(part: Part, random: np.random.Generator) -> None:
    """A crescent of 5 to 35 mm, against gravity, bounded by a thin pleural line."""
    lung = part.inside.copy()
    up = -part.down_mm() + uniform(random, 0, 0.7) * part.z
    level_up = up - np.float32(level_of_share(up.astype(np.float32), lung, uniform(random, 0.15, 0.5)))
    thick = np.clip(level_up * uniform(random, 0.3, 0.9), -5, uniform(random, 5, 35))
    level = (thick + 2 * part.noise(30, random) - part.depth_mm).astype(np.float32)
    if not ((level > 0) & lung).any():
        return
    part.wet(np.full(part.shape, uniform(random, 0, 0.12), np.float32))
    line = soft(1.2 - np.abs(level + 1.5), 2)
    part.wet(line * np.float32(uniform(random, 0.2, 0.6)))
    part.blend(soft(level, 1.5), uniform(random, -1005, -985), lung)
    part.take_from_lung(level > 0)


@finding("a large pneumothorax: the lung shrunken towards the hilum, air about it: the air is not lung", layer=6)
def pneumothorax(part: Part, random: np.random.Generator) -> None:
    """Shrink the lung to 30 to 90 % of its width."""
    collapse_in_air(part, random, smallest=0.3, largest=0.9)


@finding("a hydropneumothorax: air over a flat level of fluid about a shrunken lung: only that lung is lung", layer=6)
def hydropneumothorax(part: Part, random: np.random.Generator) -> None:
    """Shrink the lung, then fill the lowest tenth to two thirds of the cavity up to one flat level."""
    room = part.inside.copy()
    collapse_in_air(part, random, smallest=0.4, largest=0.9)
    down = np.ascontiguousarray(part.down_mm())
    level = down - np.float32(level_of_share(down, room, uniform(random, 0.1, 0.65)))
    drowned = room & (part.lung != part.side)
    part.blend(soft(level, 1.5), fluid_hu(part, random), drowned)
    sunk = (part.lung == part.side) & (level > 0)
    if random.random() < 0.6:  # without air, as any lung that fluid presses
        part.blend(soft(level, 4), uniform(random, 35, 90) + 12 * part.noise(6, random), sunk)
        part.take_from_lung(sunk)
    else:
        part.wet(sunk * np.float32(uniform(random, 0.0, 0.3)))


@finding("air in the mediastinum in streaks along its planes: not lung", layer=6, midline=True)
def pneumomediastinum(part: Part, random: np.random.Generator) -> None:
    """Sheets of air in the fat between the lungs and up into the neck."""
    soft_tissue = (part.hu > -200) & (part.hu < 110) & (part.lung == 0) & ~part.cavity
    middle = soft_tissue & (np.abs(part.x) < 55) & (part.y > -70) & (part.y < 50) & part.chest.body[part.box]
    middle &= (part.depth_mm > -16) | (part.z > 35)  # in the fat about the heart, not in it
    mesh = sheets_mm(part.shape, part.spacing_mm, uniform(random, 14, 26), random)
    level = uniform(random, 1, 3) * np.clip(part.noise(30, random) + uniform(random, -0.8, 0.6), -1, 2) - mesh
    rim = 2.5 * np.clip(part.noise(25, random) - 0.4, -1, 2) + part.depth_mm
    part.blend(soft(np.maximum(level, rim), 2), uniform(random, -980, -750), middle)


@finding("air in the chest wall in streaks and bubbles: not lung", layer=6)
def subcutaneous_emphysema(part: Part, random: np.random.Generator) -> None:
    """Sheets of air in fat and muscle on this side, as far out as the skin."""
    sideways = part.x < 0 if part.side == 1 else part.x > 0
    wall = part.chest.body[part.box] & ~part.cavity & (part.lung == 0) & sideways
    wall &= (part.hu > -200) & (part.hu < 110) & (np.abs(part.x) > 50) & (part.depth_mm < -3)
    mesh = sheets_mm(part.shape, part.spacing_mm, uniform(random, 10, 22), random)
    level = uniform(random, 1, 4) * np.clip(part.noise(40, random) + 0.4, 0, 2) - mesh
    part.blend(soft(level.astype(np.float32), 2), uniform(random, -980, -600), wall)
