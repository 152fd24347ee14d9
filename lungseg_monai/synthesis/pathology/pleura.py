"""Thick pleura and plaques along the wall: not lung."""

from __future__ import annotations

import numpy as np

from lungseg_monai.synthesis.pathology.fields import Field, soft, uniform
from lungseg_monai.synthesis.pathology.nodules import local
from lungseg_monai.synthesis.pathology.part import Part, finding


def lens_mm(
    part: Part, place: tuple[float, ...], reach_mm: float, thick_mm: float, random: np.random.Generator
) -> Field:
    """Level field (mm, positive inside) of a lens lying on the pleura about a voxel."""
    across = part.from_voxel_mm(place) * np.float32(1 / reach_mm)
    across = across + 0.15 * part.noise(max(0.6 * reach_mm, 6), random)
    top = thick_mm * (1 - across * across)
    return (top * (1 + 0.15 * part.noise(15, random)) - part.depth_mm).astype(np.float32)


@finding("thick pleura of 3 to 20 mm along a part of the wall, fatty or bright: not lung", layer=5)
def pleural_thickening(part: Part, random: np.random.Generator) -> None:
    """A rind whose thickness varies smoothly."""
    thick = uniform(random, 3, 14) * np.clip(part.noise(60, random) + uniform(random, 0.2, 1.2), 0, 1.6)
    level = (thick * (1 + 0.3 * part.noise(12, random)) - part.depth_mm).astype(np.float32)
    _replace(part, level, uniform(random, 0, 70), random)
    if random.random() < 0.25:
        chalk = np.minimum(level, 3 - np.abs(part.depth_mm - 3)) - 2 * np.clip(1 - part.noise(20, random), 0, None)
        part.blend(soft(chalk, 2), uniform(random, 200, 900), part.cavity & (part.lung == 0))


@finding("flat plaques on the pleura, calcified in part: not lung", layer=5)
def pleural_plaques(part: Part, random: np.random.Generator) -> None:
    """Three to ten lenses of 15 to 60 mm by 3 to 9 mm, on the wall and the diaphragm."""
    rim = part.inside & (part.depth_mm < 4)
    for _ in range(int(random.integers(3, 11))):
        place = part.pick(rim, random)
        if place is None:
            continue
        reach = uniform(random, 8, 30)
        small, centre = local(part, place, 1.4 * reach)
        level = lens_mm(small, centre, reach, uniform(random, 3, 9), random)
        _replace(small, level, uniform(random, 20, 80) if random.random() < 0.5 else uniform(random, 200, 900), random)


@finding("a malignant rind: lumpy pleura all round with bulges of up to 40 mm: not lung", layer=5)
def pleural_tumour(part: Part, random: np.random.Generator) -> None:
    """A rind of 5 to 15 mm with bulges."""
    bulge = np.clip(part.noise(25, random) - 0.3, 0, None) * uniform(random, 5, 18)
    thick = uniform(random, 3, 12) * np.clip(0.7 + 0.5 * part.noise(50, random), 0, None) + bulge
    _replace(part, (thick - part.depth_mm).astype(np.float32), uniform(random, 30, 80), random)


def _replace(part: Part, level: Field, hu: float, random: np.random.Generator) -> None:
    lung = part.inside.copy()
    part.blend(soft(level, 2), np.float32(hu) + 10 * part.noise(6, random), lung)
    part.take_from_lung(level > 0)
