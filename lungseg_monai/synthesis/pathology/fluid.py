"""Fluid in the pleural cavity and the lung it presses flat: neither is lung by the convention."""

from __future__ import annotations

import numpy as np

from lungseg_monai.synthesis.pathology.fields import Field, Mask, level_of_share, soft, uniform
from lungseg_monai.synthesis.pathology.part import Part, finding
from lungseg_monai.synthesis.pathology.pleura import lens_mm


def fluid_hu(part: Part, random: np.random.Generator) -> Field:
    """Water, protein or blood of 0 to 70 HU, faintly uneven, blood settling along gravity."""
    bloody = random.random() < 0.2
    value = uniform(random, 30, 65) if bloody else uniform(random, -5, 28)
    hu = value + 4 * part.noise(8, random) + 4 * part.noise(40, random)
    if bloody:
        hu = hu + 0.08 * (part.down_mm() - float(part.down_mm().mean()))
    return hu.astype(np.float32)


def fluid_score(part: Part, random: np.random.Generator) -> Field:
    """Where fluid runs first (mm): down along gravity and to the base, creeping up the walls as a meniscus."""
    creep = uniform(random, 15, 60) * np.exp(-np.clip(part.depth_mm, 0, None) / uniform(random, 10, 25))
    base = uniform(random, 0.1, 0.6) * (part.z - float(part.z.mean()))
    return (part.down_mm() - base + creep + 3 * part.noise(40, random)).astype(np.float32)


def pour(part: Part, level: Field, random: np.random.Generator) -> None:
    """Fluid where the level is positive; a band of pressed lung along its surface; both leave the lung."""
    lung: Mask = part.inside.copy()
    band = uniform(random, 2, 16) * np.clip(1 + 0.8 * part.noise(25, random), 0, 2.5)
    dense = uniform(random, 25, 60) + (uniform(random, 20, 60) if part.chest.blood_hu > 100 else 0)
    pressed = np.maximum(part.hu, np.float32(dense) + 12 * part.noise(5, random))
    part.wet(soft(level + band + 12, 24) * np.float32(uniform(random, 0.05, 0.3)))
    part.blend(soft(level + band, 3), pressed, lung)
    part.blend(soft(level, 2), fluid_hu(part, random), lung)
    part.take_from_lung(level + band > 0)


@finding("a free effusion of 2 to 60 % of the cavity with a meniscus and pressed lung at its edge: not lung", layer=5)
def effusion(part: Part, random: np.random.Generator) -> None:
    """Pour fluid into the dependent part of the cavity."""
    share = float(np.exp(uniform(random, np.log(0.02), np.log(0.6))))
    score = fluid_score(part, random)
    pour(part, score - np.float32(level_of_share(score, part.inside, share)), random)


@finding(
    "an effusion of 60 to 98 % of the cavity; a remnant of lung floats in front: the remnant alone is lung", layer=5
)
def massive_effusion(part: Part, random: np.random.Generator) -> None:
    """Pour fluid all round; what is left of the lung is wet."""
    score = fluid_score(part, random) - uniform(random, 0, 0.4) * np.clip(part.depth_mm, 0, 40)
    share = uniform(random, 0.6, 0.98)
    part.wet(np.full(part.shape, uniform(random, 0.1, 0.4), np.float32))
    pour(part, score - np.float32(level_of_share(score, part.inside, share)), random)


@finding("one to three lens-shaped pockets of fluid against the wall: not lung", layer=5)
def loculated_effusion(part: Part, random: np.random.Generator) -> None:
    """Lenses of 30 to 120 mm by 10 to 50 mm."""
    for _ in range(int(random.choice([1, 1, 2, 3]))):
        place = part.pick(part.inside & (part.depth_mm < 6), random)
        if place is not None:
            pour(part, lens_mm(part, place, uniform(random, 25, 65), uniform(random, 10, 50), random), random)


@finding("an empyema: a pocket of fluid with a thick bright wall, now and then gas in it: not lung", layer=5)
def empyema(part: Part, random: np.random.Generator) -> None:
    """A lens with a rim of 3 to 6 mm and, in a half, bubbles or a level of gas."""
    place = part.pick(part.inside & (part.depth_mm < 6) & (part.back_share() > 0.35), random)
    if place is None:
        return
    lung = part.inside.copy()
    level = lens_mm(part, place, uniform(random, 30, 70), uniform(random, 18, 55), random)
    pour(part, level, random)
    rim = uniform(random, 3, 6)
    shell = np.minimum(np.minimum(level, part.depth_mm) + 1, rim - np.minimum(level, part.depth_mm))
    part.blend(soft(shell, 2), uniform(random, 50, 110), lung & (level > -2))
    if random.random() < 0.5 and (level > rim).any():
        up = -part.down_mm() + 10 * part.noise(10, random) * float(random.random() < 0.5)
        top = level_of_share(up.astype(np.float32), lung & (level > rim), uniform(random, 0.05, 0.4))
        gas = np.minimum(up - np.float32(top), level - rim).astype(np.float32)
        part.blend(soft(gas, 2), uniform(random, -1000, -900), lung)


@finding("fluid in a fissure: a spindle or sheet between the lobes: not lung", layer=5)
def fissure_fluid(part: Part, random: np.random.Generator) -> None:
    """A spindle of 20 to 70 mm by 6 to 25 mm along the oblique fissure."""
    plane = (part.back_share() - 0.5 - 0.9 * (part.up_share() - 0.45)) * np.float32(110) + 3 * part.noise(50, random)
    place = part.pick(part.inside & (np.abs(plane) < 4), random)
    if place is None:
        return
    across = part.from_voxel_mm(place) / uniform(random, 20, 70)
    level = uniform(random, 3, 13) * (1 - across * across) - np.abs(plane)
    lung = part.inside.copy()
    part.blend(soft(level.astype(np.float32), 2), fluid_hu(part, random), lung)
    part.take_from_lung(level > 0)
