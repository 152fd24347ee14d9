"""Lung with too much air: emphysema, bullae, cysts, trapped air. All of it is lung."""

from __future__ import annotations

import numpy as np

from lungseg_monai.synthesis.pathology.fields import level_of_share, soft, uniform
from lungseg_monai.synthesis.pathology.nodules import local, lump_mm
from lungseg_monai.synthesis.pathology.opacities import patches
from lungseg_monai.synthesis.pathology.part import Part, finding


@finding("centrilobular emphysema: holes of 4 to 15 mm without walls, more at the top", layer=0)
def centrilobular_emphysema(part: Part, random: np.random.Generator) -> None:
    """Thin out the lung where a fine noise field is high."""
    scale = uniform(random, 6, 12)
    score = part.noise(scale, random) + 0.5 * part.noise(35, random) + uniform(random, 0, 1.5) * part.up_share()
    weight = patches(part, score, uniform(random, 0.1, 0.55), 4, scale)
    part.blend(weight * np.float32(uniform(random, 0.6, 0.95)) * (part.hu < -500), uniform(random, -1000, -960))


@finding("diffuse (panlobular) emphysema: nearly all air, few vessels", layer=0)
def diffuse_emphysema(part: Part, random: np.random.Generator) -> None:
    """Thin out everything but the larger vessels, more at the base or evenly."""
    share = uniform(random, 0.4, 0.95) * np.clip(1 + 0.25 * part.noise(50, random), 0, 1.2)
    share = np.clip(share * (1 - uniform(random, 0, 0.5) * part.up_share()), 0, 0.97)
    part.blend(share * soft((-350 - part.hu) / 100, 3), uniform(random, -985, -950))


@finding("paraseptal emphysema: a row of walled holes under the pleura", layer=0)
def paraseptal_emphysema(part: Part, random: np.random.Generator) -> None:
    """Holes of 8 to 25 mm in the outer 5 to 20 mm, near the top and along the mediastinum."""
    scale = uniform(random, 8, 16)
    rim = soft(uniform(random, 5, 20) - part.depth_mm, 5) * soft((part.up_share() - 0.4) * 100, 30)
    field = np.abs(part.noise(scale, random)) * np.float32(0.6 * scale)
    part.blend(rim * soft(field - 1.2, 2), -985.0)
    part.wet(rim * soft(0.8 - field, 2) * np.float32(0.35))


@finding("one to five bullae of 15 to 120 mm with thin walls: lung", layer=0)
def bullae(part: Part, random: np.random.Generator) -> None:
    """Balloons of air under the pleura, most at the top, that press the lung beside them together."""
    for _ in range(int(random.choice([1, 1, 2, 3, 5]))):
        low = part.up_share() > float(random.choice([0.0, 0.55]))
        place = part.pick(part.inside & (part.depth_mm < 25) & low, random)
        if place is None:
            continue
        radius = float(np.exp(uniform(random, np.log(7.5), np.log(60))))
        small, centre = local(part, place, 1.4 * radius + 12)
        level = lump_mm(small, centre, radius, 0.25, random)
        small.wet(soft(level + 10, 20) * np.float32(uniform(random, 0, 0.2)))
        small.blend(soft(level, 2), uniform(random, -1005, -970))
        wall = soft(1.0 - np.abs(level), 2) * np.clip(0.7 + 0.5 * small.noise(20, random), 0, 1)
        small.wet(wall * np.float32(uniform(random, 0.1, 0.5)))


@finding("many thin-walled round cysts of 4 to 25 mm", layer=0)
def cysts(part: Part, random: np.random.Generator) -> None:
    """Ten to sixty balls of air."""
    for _ in range(int(random.integers(10, 61))):
        place = part.pick(part.inside, random)
        if place is None:
            return
        radius = uniform(random, 2, 12)
        small, centre = local(part, place, radius + 6)
        level = lump_mm(small, centre, radius, 0.1, random)
        small.blend(soft(level, 2), -985.0)
        small.wet(soft(0.8 - np.abs(level), 2) * np.float32(0.2))


@finding("mosaic attenuation: a patchwork of darker and brighter lung", layer=0)
def mosaic(part: Part, random: np.random.Generator) -> None:
    """Trapped air in a share of sharply bounded patches."""
    score = part.noise(uniform(random, 18, 35), random)
    level = level_of_share(score, part.inside, uniform(random, 0.3, 0.7))
    weight = soft((score - np.float32(level)) * 15, 6)
    part.wet((1 - weight) * np.float32(uniform(random, 0.05, 0.15)))
    part.blend(weight * np.float32(uniform(random, 0.2, 0.6)) * (part.hu < -600), -960.0)
