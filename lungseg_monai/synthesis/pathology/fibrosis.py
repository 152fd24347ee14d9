"""Scarred lung: reticulation, honeycombs, scars, wide bronchi. All of it is lung."""

from __future__ import annotations

import numpy as np

from lungseg_monai.synthesis.pathology.fields import Field, sheets_mm, soft, tubes_mm, uniform
from lungseg_monai.synthesis.pathology.opacities import patches
from lungseg_monai.synthesis.pathology.part import Part, finding


def subpleural(part: Part, reach_mm: float, random: np.random.Generator) -> Field:
    """Weight of 0 to 1: highest under the pleura, at the back and the base, in patches."""
    score = 2.2 * np.exp(-np.clip(part.depth_mm, 0, None) / reach_mm) + 0.6 * part.back_share()
    score = score - uniform(random, 0.2, 1.4) * part.up_share() + 0.5 * part.noise(30, random)
    return patches(part, score.astype(np.float32), uniform(random, 0.12, 0.6), 12, 25)


@finding("fibrosis: subpleural reticulation over ground glass, bronchi pulled wide", layer=0)
def fibrosis(part: Part, random: np.random.Generator) -> None:
    """A mesh of 6 to 11 mm and tubes of air in the scarred rim."""
    weight = subpleural(part, uniform(random, 10, 25), random)
    part.wet(weight * np.float32(uniform(random, 0.08, 0.35)))
    mesh = sheets_mm(part.shape, part.spacing_mm, uniform(random, 7, 11), random)
    part.wet(weight * soft(1.0 - mesh, 2.5) * np.float32(uniform(random, 0.3, 0.7)))
    if random.random() < 0.6:
        airways = tubes_mm(part.shape, part.spacing_mm, uniform(random, 14, 22), random)
        _airway(part, airways, weight, uniform(random, 1.5, 3.5))


@finding("honeycombing: stacked holes of 3 to 10 mm with thick walls under the pleura: lung", layer=0)
def honeycombing(part: Part, random: np.random.Generator) -> None:
    """Cells of air between dense walls in the outer 10 to 35 mm."""
    weight = subpleural(part, uniform(random, 8, 20), random)
    scale = uniform(random, 6, 11)
    cells = part.noise(scale, random)
    walls = uniform(random, -350, 20)
    part.blend(weight * np.float32(0.85), np.where(cells > 0.15, np.float32(-930), np.float32(walls)))


@finding("an apical scar: a dense cap with strands, calcium and small pockets of lung above: lung", layer=1)
def apical_scar(part: Part, random: np.random.Generator) -> None:
    """Scar the top 10 to 30 % under the pleura."""
    top = soft((part.up_share() - uniform(random, 0.7, 0.9)) * 150 + 8 * part.noise(15, random), 20)
    cap = soft(uniform(random, 2, 14) * np.clip(1 + 0.7 * part.noise(15, random), 0, None) - part.depth_mm, 3)
    part.wet(top * cap * np.float32(uniform(random, 0.6, 1.0)), uniform(random, 20, 60))
    strands = sheets_mm(part.shape, part.spacing_mm, 14, random)
    part.wet(top * soft(1.2 - strands, 2.5) * np.float32(uniform(random, 0.2, 0.7)))
    if random.random() < 0.4:
        part.blend(top * cap * (part.noise(5, random) > 1.8), uniform(random, 150, 700))


@finding("radiation scar: a straight-edged dense band beside the mediastinum, wide bronchi in it: lung", layer=1)
def radiation_scar(part: Part, random: np.random.Generator) -> None:
    """A slab of 15 to 50 mm beside the mediastinum at the height of the hilum."""
    x, _, z = part.chest.hilum_mm[part.side]
    lateral = np.abs(part.x - np.float32(x))
    tall = uniform(random, 30, 80)
    level = np.minimum(uniform(random, 10, 45) - lateral + 3 * part.noise(20, random), tall - np.abs(part.z - z))
    weight = soft(level.astype(np.float32), 4)
    part.wet(weight * np.float32(uniform(random, 0.5, 1.0)) * np.clip(0.8 + 0.3 * part.noise(14, random), 0, 1))
    _airway(part, tubes_mm(part.shape, part.spacing_mm, 18, random), weight, uniform(random, 1.5, 4))


@finding("bronchiectasis: wide bronchi with thick walls, some plugged: lung", layer=1)
def bronchiectasis(part: Part, random: np.random.Generator) -> None:
    """Tubes or cysts of 4 to 20 mm with walls of 1 to 3 mm in a lobe or so."""
    weight = patches(part, part.noise(45, random) - part.up_share(), uniform(random, 0.1, 0.6), 8, 45)
    airways = tubes_mm(part.shape, part.spacing_mm, uniform(random, 18, 30), random)
    radius = uniform(random, 2, 6) * np.clip(1 + 0.5 * part.noise(12, random), 0.3, 2)
    part.wet(weight * np.float32(uniform(random, 0, 0.15)))
    _airway(part, airways, weight, radius)
    if random.random() < 0.4:
        part.blend(weight * soft(radius - airways, 2) * (part.noise(20, random) > 0.7), uniform(random, -20, 40))


def _airway(part: Part, axis_mm: Field, weight: Field, radius_mm: Field | float) -> None:
    """Open tubes with a wall, where the weight allows."""
    part.wet(weight * soft(radius_mm + 2.0 - axis_mm, 2) * np.float32(0.6))
    part.blend(weight * soft(radius_mm - axis_mm, 2), -960.0)


@finding("tree in bud: clusters of 2 to 5 mm spots: lung", layer=1)
def tree_in_bud(part: Part, random: np.random.Generator) -> None:
    """Fine bright spots in patches."""
    weight = patches(part, part.noise(30, random), uniform(random, 0.08, 0.4), 6, 30)
    spots = np.clip(part.noise(4, random) - uniform(random, 0.9, 1.5), 0, 1)
    part.wet(weight * np.minimum(spots, 0.9))
