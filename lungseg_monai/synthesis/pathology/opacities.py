"""Ground glass, consolidation, oedema: air replaced by water or cells. All of it stays lung."""

from __future__ import annotations

import numpy as np

from lungseg_monai.synthesis.pathology.fields import Field, level_of_share, sheets_mm, soft, tubes_mm, uniform
from lungseg_monai.synthesis.pathology.part import Part, finding


def patches(part: Part, score: Field, share: float, edge_mm: float, scale_mm: float) -> Field:
    """Weight of 0 to 1 over the share of the lung where a smooth score (deviation about 1) is highest."""
    level = level_of_share(score, part.inside, share)
    return soft((score - np.float32(level)) * np.float32(0.6 * scale_mm), edge_mm)


def consolidate(part: Part, weight: Field, random: np.random.Generator, *, bronchograms: float) -> None:
    """Fill the air with -60 to 70 HU of cells; `bronchograms` (mm, radius) leaves open bronchi in it, 0 none."""
    value = uniform(random, -40, 60) + (uniform(random, 0, 40) if part.chest.blood_hu > 100 else 0)
    texture = 14 * part.noise(5, random) + 18 * part.noise(25, random)
    full = np.maximum(part.hu, np.float32(value) + texture)
    if bronchograms > 0:
        tubes = tubes_mm(part.shape, part.spacing_mm, uniform(random, 18, 30), random)
        open_air = soft(bronchograms - tubes, 2.5)
        full += open_air * (uniform(random, -950, -700) - full)
    part.blend(weight, full)


@finding("ground glass in patches or everywhere, -700 to -350 HU", layer=1)
def ground_glass(part: Part, random: np.random.Generator) -> None:
    """Wet 10 to 90 % of the lung by 15 to 55 %."""
    scale = uniform(random, 25, 70)
    score = part.noise(scale, random) + 0.3 * part.noise(10, random)
    weight = patches(part, score, uniform(random, 0.1, 0.9), uniform(random, 5, 25), scale)
    part.wet(weight * np.float32(uniform(random, 0.15, 0.55)))


@finding("ground glass and consolidation under the pleura, at the back and base, as in COVID", layer=1)
def peripheral_opacities(part: Part, random: np.random.Generator) -> None:
    """Patches whose chance falls with the depth below the pleura."""
    bias = np.exp(-np.clip(part.depth_mm, 0, None) / uniform(random, 8, 20))
    bias = 2.5 * bias + 1.2 * part.back_share() - 0.8 * part.up_share()
    score = bias + 0.8 * part.noise(25, random) + 0.25 * part.noise(8, random)
    share = uniform(random, 0.1, 0.65)
    part.wet(patches(part, score, share, 8, 25) * np.float32(uniform(random, 0.25, 0.6)))
    if random.random() < 0.6:
        dense = score + 0.5 * part.noise(15, random)
        consolidate(part, patches(part, dense, 0.5 * share, 6, 25), random, bronchograms=1.5)


@finding("patches of consolidation with soft edges and air bronchograms", layer=1)
def patchy_consolidation(part: Part, random: np.random.Generator) -> None:
    """Consolidate 5 to 40 % of the lung, within a halo of ground glass."""
    scale = uniform(random, 20, 45)
    score = part.noise(scale, random) + 0.3 * part.noise(9, random) + uniform(random, -0.8, 1.6) * part.back_share()
    share = uniform(random, 0.05, 0.4)
    part.wet(patches(part, score, min(1.8 * share, 0.9), 10, scale) * np.float32(0.35))
    consolidate(part, patches(part, score, share, 6, scale), random, bronchograms=uniform(random, 0, 2.5))


def lobe_mm(part: Part, lobe: str, random: np.random.Generator) -> Field:
    """Level field (mm, positive inside) of a lobe cut by wavy fissures: "lower", "upper" or "middle" (right only)."""
    back, up = part.back_share(), part.up_share()
    tilt, shift = uniform(random, 0.7, 1.1), uniform(random, -0.07, 0.07)
    wave = 0.03 * part.noise(60, random)
    oblique = (back - 0.5 - tilt * (up - 0.45) + shift + wave) * np.float32(110)
    if lobe == "lower":
        return oblique
    if part.side != 1:
        return -oblique
    horizontal = (up - np.float32(0.5 + shift) + wave) * np.float32(180)
    return np.minimum(-oblique, horizontal if lobe == "upper" else -horizontal)


def draw_lobe(part: Part, random: np.random.Generator) -> str:
    """A lobe's name that this side has."""
    return str(random.choice(["lower", "lower", "upper", "middle"] if part.side == 1 else ["lower", "lower", "upper"]))


@finding("a whole lobe consolidated up to its fissures, with air bronchograms", layer=1)
def lobar_consolidation(part: Part, random: np.random.Generator) -> None:
    """Fill one lobe, or most of it."""
    level = lobe_mm(part, draw_lobe(part, random), random)
    if random.random() < 0.5:
        level = np.minimum(level, 18 * (part.noise(35, random) + uniform(random, 0.2, 1.5)))
    consolidate(part, soft(level, 4), random, bronchograms=uniform(random, 0.8, 3.0))


@finding("almost the whole lung consolidated, its bronchi open", layer=1)
def whole_consolidation(part: Part, random: np.random.Generator) -> None:
    """Consolidate 85 to 100 % of the lung."""
    score = part.noise(40, random) + 0.8 * part.back_share() - 0.4 * part.up_share()
    weight = patches(part, score, uniform(random, 0.85, 1.0), 8, 40)
    consolidate(part, weight, random, bronchograms=uniform(random, 1.5, 3.5))


@finding("acute respiratory distress: dense at the back, ground glass before it", layer=1)
def dependent_consolidation(part: Part, random: np.random.Generator) -> None:
    """A gradient along gravity from air over ground glass to consolidation."""
    down = part.down_mm()
    low = level_of_share(down, part.inside, 1.0)
    high = level_of_share(down, part.inside, 0.0)
    score = (down - low) / max(high - low, 1.0) * 3.4 + 0.45 * part.noise(25, random) + 0.15 * part.noise(9, random)
    share = uniform(random, 0.1, 0.6)
    part.wet(patches(part, score, min(0.95, share + 0.35), 40, 35) * np.float32(uniform(random, 0.3, 0.55)))
    consolidate(part, patches(part, score, share, 14, 35), random, bronchograms=uniform(random, 1, 2.5))


@finding("ground glass with thickened septa in it: crazy paving", layer=1)
def crazy_paving(part: Part, random: np.random.Generator) -> None:
    """A patch of ground glass with a mesh of 6 to 10 mm."""
    score = part.noise(40, random)
    weight = patches(part, score, uniform(random, 0.2, 0.7), 5, 40)
    part.wet(weight * np.float32(uniform(random, 0.25, 0.45)))
    mesh = sheets_mm(part.shape, part.spacing_mm, uniform(random, 8, 11), random)
    part.wet(weight * soft(1.0 - mesh, 2.5) * np.float32(0.5))


@finding("thickened interlobular septa, more at the base and the periphery", layer=1)
def septal_thickening(part: Part, random: np.random.Generator) -> None:
    """Thin sheets of 10 to 20 mm apart, under the pleura and at the base."""
    mesh = sheets_mm(part.shape, part.spacing_mm, uniform(random, 10, 18), random)
    weight = np.clip(1.3 - part.up_share(), 0, 1) * np.exp(-np.clip(part.depth_mm, 0, None) / 30)
    part.wet(soft(0.9 - mesh, 2.5) * weight * np.float32(uniform(random, 0.3, 0.7)))


@finding("congestion: wide vessels and a butterfly of ground glass about the hilum", layer=1)
def congestion(part: Part, random: np.random.Generator) -> None:
    """Widen the vessels near the hilum, then wet what lies about them along gravity."""
    from scipy import ndimage

    wide = ndimage.maximum_filter(part.hu, size=2 if part.spacing_mm > 2 else 3)
    near = np.exp(-part.from_hilum_mm() / uniform(random, 40, 90)).astype(np.float32)
    share = soft((wide + 500) / 100, 2) * np.clip(1.4 * near, 0, 1) * np.float32(uniform(random, 0.3, 0.9))
    part.blend(share, np.minimum(wide, np.float32(part.chest.blood_hu)))
    score = 2.2 * near + 0.6 * part.back_share() + 0.4 * part.noise(25, random)
    part.wet(patches(part, score, uniform(random, 0.2, 0.7), 30, 30) * np.float32(uniform(random, 0.15, 0.55)))
