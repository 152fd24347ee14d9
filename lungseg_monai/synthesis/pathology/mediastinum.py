"""Findings between the lungs: hernia, oesophagus, pericardium. None of them is lung; some take its place."""

from __future__ import annotations

import numpy as np

from lungseg_monai.synthesis.pathology.fields import Field, Mask, level_of_share, soft, uniform
from lungseg_monai.synthesis.pathology.part import Part, finding

BONE_HU = 180.0
BEFORE_SPINE_MM = 45.0


def _free(part: Part) -> Mask:
    """Where such a finding may lie: inside the body, not in bone, not in the airways."""
    airway = (part.hu < -850) & (part.lung == 0)
    return part.chest.body[part.box] & (part.hu < BONE_HU) & ~airway & (part.y < BEFORE_SPINE_MM)


def _organ(part: Part, level: Field, room: Mask, wall_mm: float, random: np.random.Generator) -> None:
    """A hollow organ: wall of 40 HU, gas over a flat level of fluid or food inside."""
    part.blend(soft(level, 2), np.float32(uniform(random, 25, 60)) + 6 * part.noise(6, random), room)
    hollow = level - wall_mm
    core = (hollow > 0) & room
    if core.any():
        down = np.ascontiguousarray(part.down_mm())
        surface = level_of_share(down, core, uniform(random, 0.0, 0.8))
        content = uniform(random, -40, 60) + 25 * part.noise(8, random)
        filling = soft(down - np.float32(surface), 1.5)
        gas = np.float32(uniform(random, -1000, -940))
        part.blend(soft(hollow, 1.5), gas + filling * (content - gas), room)
    taken = (level > 0) & room
    part.lung[taken] = 0


@finding("a hiatal hernia: stomach with gas and a level behind the heart: not lung", layer=6, midline=True)
def hiatal_hernia(part: Part, random: np.random.Generator) -> None:
    """An ellipsoid of 40 to 110 mm before the spine, at the base."""
    base = float(np.percentile(part.z[part.cavity], 12))
    x0, y0, z0 = uniform(random, -10, 25), uniform(random, 25, 45), base + uniform(random, 0, 40)
    radius = uniform(random, 20, 55)
    wide, deep, tall = random.uniform(0.8, 1.4), random.uniform(0.6, 0.9), random.uniform(0.8, 1.3)
    gap = np.sqrt(((part.x - x0) / wide) ** 2 + ((part.y - y0) / deep) ** 2 + ((part.z - z0) / tall) ** 2)
    level = (radius - gap + 4 * part.noise(25, random)).astype(np.float32)
    _organ(part, level, _free(part), uniform(random, 3, 6), random)


@finding("a wide oesophagus with gas or a level: not lung", layer=6, midline=True)
def wide_oesophagus(part: Part, random: np.random.Generator) -> None:
    """A tube of 15 to 50 mm before the spine, from the neck to the diaphragm."""
    radius = uniform(random, 6, 24)
    x0 = uniform(random, 0, 10) + 6 * np.sin(part.z * np.float32(uniform(random, 0.01, 0.04)))
    y0 = 15 + 10 + radius * uniform(random, 0.5, 0.9) - 0.05 * np.clip(-part.z, 0, 100)
    gap = np.sqrt((part.x - x0) ** 2 + ((part.y - y0) * np.float32(uniform(random, 1.0, 1.5))) ** 2)
    level = radius * (1 + 0.15 * part.noise(30, random)) - gap
    level = np.minimum(level, part.z + uniform(random, 60, 130)).astype(np.float32)
    _organ(part, level, _free(part), uniform(random, 2.5, 5), random)


@finding(
    "a pericardial effusion: a rim of fluid about the heart that takes a little of the lungs' room",
    layer=6,
    midline=True,
)
def pericardial_effusion(part: Part, random: np.random.Generator) -> None:
    """Fluid of 5 to 30 mm between heart and lungs, thicker along gravity."""
    wide = uniform(random, 55, 75)
    gap = np.sqrt((part.x - 18) ** 2 + ((part.y + 25) * 1.15) ** 2 + ((part.z + 65) * 0.95) ** 2)
    outer = uniform(random, 2, 15)
    near = np.minimum(wide + 3 * part.noise(40, random) - gap, outer - part.depth_mm)
    shell = np.minimum(near, part.depth_mm + uniform(random, 4, 15)).astype(np.float32)
    room = _free(part) & (part.y < 45)
    part.blend(soft(shell, 2), uniform(random, -5, 45) + 4 * part.noise(8, random), room)
    part.lung[(shell > 0) & room] = 0
