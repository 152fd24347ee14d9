"""Nodules up to 34 mm: lung by the convention, wherever in it they sit."""

from __future__ import annotations

import numpy as np

from lungseg_monai.synthesis.pathology.fields import Field, Mask, soft, uniform
from lungseg_monai.synthesis.pathology.part import Part, finding


def lump_mm(part: Part, place: tuple[float, ...], radius_mm: float, rough: float, random: np.random.Generator) -> Field:
    """Level field (mm, positive inside) of an irregular ellipsoid about a voxel of the part."""
    stretch = tuple(float(value) for value in random.uniform(0.8, 1.2, 3))
    level = radius_mm - part.from_voxel_mm(place, stretch)
    if rough > 0:
        level += (rough * radius_mm * 0.4) * part.noise(max(0.7 * radius_mm, 3.0), random)
        level += (rough * radius_mm * 0.15) * part.noise(max(0.3 * radius_mm, 3.0), random)
    return level


def local(part: Part, place: tuple[int, ...], radius_mm: float) -> tuple[Part, tuple[float, ...]]:
    """A small part about a voxel, and that voxel's index in it."""
    small = part.around(place, radius_mm)
    shift = tuple(at - (inner.start - outer.start) for at, inner, outer in zip(place, small.box, part.box, strict=True))
    return small, shift


def _draw(part: Part, place: tuple[int, ...], diameter_mm: float, kind: str, random: np.random.Generator) -> None:
    radius = diameter_mm / 2
    small, centre = local(part, place, 1.7 * radius + 6)
    level = lump_mm(small, centre, radius, uniform(random, 0.1, 0.6), random)
    edge = uniform(random, 1.5, 4.0)
    if kind == "ground_glass":
        small.wet(soft(level, 2 * edge) * np.float32(uniform(random, 0.2, 0.55)))
        return
    if kind == "part_solid":
        small.wet(soft(level, 2 * edge) * np.float32(uniform(random, 0.25, 0.5)))
        level = level - radius * uniform(random, 0.3, 0.6)
    value = uniform(random, 150, 1200) if kind == "calcified" else uniform(random, -20, 70)
    small.blend(soft(level, edge), np.float32(value) + 12 * small.noise(4, random))
    if kind == "cavitated":
        wall = uniform(random, 2.5, max(3.0, 0.6 * radius))
        small.blend(soft(level - wall, edge), uniform(random, -990, -800))


def _kind(diameter_mm: float, random: np.random.Generator) -> str:
    kinds = ["solid", "ground_glass", "part_solid", "calcified", "cavitated"]
    chances = [0.55, 0.15, 0.1, 0.12, 0.08] if diameter_mm > 10 else [0.65, 0.15, 0.0, 0.2, 0.0]
    return str(random.choice(kinds, p=chances))


@finding("one to eight nodules of 3 to 28 mm: solid, ground glass, part solid, calcified or cavitated", layer=2)
def nodules(part: Part, random: np.random.Generator) -> None:
    """Draw nodules at random places of the lung."""
    for _ in range(int(random.choice([1, 1, 1, 2, 3, 5, 8]))):
        place = part.pick(part.inside, random)
        diameter = float(np.exp(uniform(random, np.log(3.5), np.log(28))))
        if place is not None:
            _draw(part, place, diameter, _kind(diameter, random), random)


@finding("many round metastases of 4 to 28 mm, more at the base", layer=2)
def metastases(part: Part, random: np.random.Generator) -> None:
    """Draw ten to forty solid nodules."""
    for _ in range(int(random.integers(10, 41))):
        place = part.pick(part.inside & (part.up_share() < uniform(random, 0.3, 1.0)), random)
        diameter = float(np.exp(uniform(random, np.log(4), np.log(28))))
        if place is not None:
            _draw(part, place, diameter, "solid", random)


@finding("a spiculated nodule of 8 to 28 mm with strands into the lung", layer=2)
def spiculated_nodule(part: Part, random: np.random.Generator) -> None:
    """Draw one nodule with six to fourteen tapering spicules and a halo."""
    place = part.pick(part.inside & (part.up_share() > 0.3), random)
    if place is None:
        return
    radius = uniform(random, 4, 14)
    small, centre = local(part, place, 3.2 * radius + 6)
    level = lump_mm(small, centre, radius, 0.7, random)
    for _ in range(int(random.integers(6, 15))):
        level = np.maximum(level, _spicule_mm(small, centre, uniform(random, 1.5, 3.0) * radius, random))
    if random.random() < 0.4:
        small.wet(soft(level + 5, 8) * np.float32(0.3))
    small.blend(soft(level, 2.5), np.float32(uniform(random, 0, 60)) + 12 * small.noise(4, random))


def _spicule_mm(part: Part, centre: tuple[float, ...], length_mm: float, random: np.random.Generator) -> Field:
    """Level field of a thin cone from the centre outward."""
    way = random.standard_normal(3)
    way /= np.linalg.norm(way)
    steps = [
        ((np.arange(size, dtype=np.float32) - at) * part.spacing_mm).reshape([-1 if o == axis else 1 for o in range(3)])
        for axis, (size, at) in enumerate(zip(part.shape, centre, strict=True))
    ]
    along = sum(step * np.float32(share) for step, share in zip(steps, way, strict=True))
    square = steps[0] ** 2 + steps[1] ** 2 + steps[2] ** 2
    off = np.sqrt(np.maximum(square - along**2, 0))
    level = np.where(along > 0, 1.8 * (1 - along / length_mm) - off, -off - 3)
    return level.astype(np.float32)


@finding("a nodule of 8 to 34 mm broadly attached to the pleura: lung", layer=2)
def wall_nodule(part: Part, random: np.random.Generator) -> None:
    """Draw one to three solid nodules whose centre lies near the pleura."""
    rim: Mask = part.inside & (part.depth_mm < 6)
    for _ in range(int(random.choice([1, 1, 1, 2, 3]))):
        place = part.pick(rim, random)
        if place is not None:
            _draw(part, place, uniform(random, 8, 34), str(random.choice(["solid", "solid", "part_solid"])), random)


@finding("hundreds of miliary nodules of 2 to 4 mm all over", layer=2)
def miliary(part: Part, random: np.random.Generator) -> None:
    """Scatter single bright spots and soften them to a voxel or two."""
    from scipy import ndimage

    density = uniform(random, 0.004, 0.02) * (part.spacing_mm / 3) ** 3
    spots = (random.random(part.shape, dtype=np.float32) < density) & part.inside
    weight = ndimage.gaussian_filter(spots.astype(np.float32), 0.5 + 0.3 * 3 / part.spacing_mm / 3)
    weight = np.clip(weight * uniform(random, 1.5, 3.0), 0, 0.8)
    part.wet(weight)
