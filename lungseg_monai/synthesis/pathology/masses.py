"""Masses of 34 to 100 mm: not lung by the convention, with what lies behind them."""

from __future__ import annotations

import numpy as np

from lungseg_monai.synthesis.pathology.fields import Field, Mask, soft, uniform
from lungseg_monai.synthesis.pathology.nodules import local, lump_mm
from lungseg_monai.synthesis.pathology.opacities import consolidate, patches
from lungseg_monai.synthesis.pathology.part import Part, finding

BONE_HU = 180.0


def _mass(part: Part, place: tuple[int, ...], random: np.random.Generator, *, invade_mm: float) -> None:
    """Draw a mass about a voxel: soft tissue in the lung and up to `invade_mm` out of it; none of it is lung."""
    radius = uniform(random, 17, 50)
    small, centre = local(part, place, 1.5 * radius + 6)
    level = lump_mm(small, centre, radius, uniform(random, 0.3, 1.0), random)
    room: Mask = small.inside | ((small.depth_mm > -invade_mm) & (small.chest.body[small.box]) & (small.hu < BONE_HU))
    value = uniform(random, 10, 60) + (uniform(random, 0, 35) if part.chest.blood_hu > 100 else 0)
    halo = uniform(random, 0, 0.5)
    small.wet(soft(level + 5, 10) * np.float32(halo))
    small.blend(soft(level, 3), np.float32(value) + _texture(small, random), room)
    kind = random.random()
    if kind < 0.45:  # necrosis
        core = level - radius * uniform(random, 0.3, 0.6) + 5 * small.noise(12, random)
        small.blend(soft(core, 6), uniform(random, 0, 25), room)
    elif kind < 0.7:  # a cavity with a thick wall, now and then with a level
        core = level - uniform(random, 5, 0.6 * radius) + 3 * small.noise(10, random)
        small.blend(soft(core, 3), uniform(random, -1000, -930), room)
        if random.random() < 0.4:
            pool = np.minimum(core, small.down_mm() - np.median(small.down_mm()[0, :, 0]))
            small.blend(soft(pool, 2), uniform(random, 0, 30), room)
    if random.random() < 0.15:
        specks = small.noise(4, random) > 2.2
        small.blend((specks & (level > 2)).astype(np.float32), uniform(random, 200, 700), room)
    small.take_from_lung(level > 0)


def _texture(part: Part, random: np.random.Generator) -> Field:
    return 12 * part.noise(5, random) + 12 * part.noise(20, random)


@finding("a mass of 34 to 100 mm on the pleura, now and then growing into the chest wall: not lung", layer=3)
def wall_mass(part: Part, random: np.random.Generator) -> None:
    """Draw one mass whose centre lies under the pleura."""
    place = part.pick(part.inside & (part.depth_mm < uniform(random, 6, 25)), random)
    if place is not None:
        _mass(part, place, random, invade_mm=float(random.choice([0, 0, 6, 15])))


@finding("a mass of 34 to 100 mm within the lung: not lung", layer=3)
def lung_mass(part: Part, random: np.random.Generator) -> None:
    """Draw one mass anywhere."""
    place = part.pick(part.inside, random)
    if place is not None:
        _mass(part, place, random, invade_mm=0.0)


@finding("a mass at the hilum with collapse or pneumonia behind it: the mass is not lung, the rest is", layer=3)
def hilar_mass(part: Part, random: np.random.Generator) -> None:
    """Draw a mass at the hilum that reaches into the mediastinum; most often with an opacity that fans out from it."""
    near = part.inside & (part.from_hilum_mm() < 35)
    place = part.pick(near, random)
    if place is None:
        return
    if random.random() < 0.7:
        _behind(part, random)
    _mass(part, place, random, invade_mm=uniform(random, 5, 25))


def _behind(part: Part, random: np.random.Generator) -> None:
    """A fan of consolidation from the hilum to the pleura."""
    hilum = np.asarray(part.chest.hilum_mm[part.side])
    way = random.standard_normal(3)
    way[0] = abs(way[0]) * (-1 if part.side == 1 else 1)
    way /= np.linalg.norm(way)
    steps = [values - np.float32(start) for values, start in zip((part.x, part.y, part.z), hilum, strict=True)]
    along = sum(step * np.float32(share) for step, share in zip(steps, way, strict=True))
    length = np.sqrt(steps[0] ** 2 + steps[1] ** 2 + steps[2] ** 2) + np.float32(1e-3)
    score = (along / length).astype(np.float32) * 2 + 0.35 * part.noise(25, random)
    consolidate(part, patches(part, score, uniform(random, 0.08, 0.35), 8, 30), random, bronchograms=1.5)
