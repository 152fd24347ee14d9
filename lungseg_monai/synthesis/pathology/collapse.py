"""Collapsed lung that holds its place in the pleural cavity: dense, sharply edged, and lung by the convention."""

from __future__ import annotations

import numpy as np

from lungseg_monai.synthesis.pathology.fields import Field, Mask, level_of_share, soft, uniform
from lungseg_monai.synthesis.pathology.opacities import consolidate
from lungseg_monai.synthesis.pathology.part import Part, finding


def above_wall_mm(part: Part) -> Field:
    """Height above the dependent wall of the cavity, mm along gravity: 0 at the wall; large outside the cavity."""
    down = np.where(part.cavity, part.down_mm(), np.float32(-1e4))
    slope = [part.down_mm()[tuple(1 if o == axis else 0 for o in range(3))] for axis in range(3)]
    axis = int(np.argmax(np.abs(np.asarray(slope) - part.down_mm()[0, 0, 0])))
    floor = down.max(axis=axis, keepdims=True)
    return np.where(part.cavity, floor - part.down_mm(), np.float32(1e4)).astype(np.float32)


@finding("dependent atelectasis: a dense band or wedge along the lower wall", layer=1)
def dependent_atelectasis(part: Part, random: np.random.Generator) -> None:
    """A crescent of 4 to 45 mm, thicker at the base, its edge fading into ground glass."""
    thick = uniform(random, 4, 18) + uniform(random, 0, 30) * np.clip(1 - 1.6 * part.up_share(), 0, 1)
    level = thick * (1 + 0.3 * part.noise(30, random)) - above_wall_mm(part)
    part.wet(soft(level + 8, 20) * np.float32(uniform(random, 0.1, 0.35)))
    weight = soft(level, uniform(random, 3, 10)) * np.float32(uniform(random, 0.5, 1.0))
    consolidate(part, weight, random, bronchograms=float(random.choice([0.0, 1.0])))


@finding("one to four plates of atelectasis near the diaphragm or a fissure", layer=1)
def plate_atelectasis(part: Part, random: np.random.Generator) -> None:
    """Bent sheets of 2 to 5 mm, 20 to 90 mm wide, often reaching the pleura."""
    for _ in range(int(random.integers(1, 5))):
        place = part.pick(part.inside & (part.up_share() < uniform(random, 0.25, 0.8)), random)
        if place is None:
            continue
        way = random.standard_normal(3) * (0.5, 0.6, 1.0)
        way /= np.linalg.norm(way)
        along = sum(
            (values - values[place]) * np.float32(share)
            for values, share in zip((part.x, part.y, part.z), way, strict=True)
        )
        sheet = uniform(random, 1, 2.5) - np.abs(along + 4 * part.noise(40, random))
        level = np.minimum(sheet, uniform(random, 10, 45) - part.from_voxel_mm(place) + 5 * part.noise(15, random))
        part.wet(soft(level.astype(np.float32), 2.5) * np.float32(uniform(random, 0.6, 1.0)))


@finding("a lobe collapsed against the mediastinum or the spine, without air: lung", layer=4)
def lobar_collapse(part: Part, random: np.random.Generator) -> None:
    """A wedge with its point at the hilum: at the back (lower lobe), in front or at the top (upper lobe)."""
    hilum = np.asarray(part.chest.hilum_mm[part.side])
    outward = -1.0 if part.side == 1 else 1.0
    x, y, z = ((values - np.float32(at)) for values, at in zip((part.x, part.y, part.z), hilum, strict=True))
    wide = uniform(random, 8, 35)
    bend = wide * (1 + 0.25 * part.noise(45, random))
    lateral = x * np.float32(outward)
    kind = str(random.choice(["lower", "lower", "front", "top"]))
    if kind == "lower":  # a triangle beside the spine and behind the heart, widest at the diaphragm
        level = np.minimum(bend + 0.12 * np.clip(-z, 0, 80) + 0.3 * y - lateral, y + 0.35 * np.clip(-z, 0, 60) - 4)
        level = np.minimum(level, 15 - z)
    elif kind == "front":  # a veil along the front of the mediastinum
        level = np.minimum(bend - 0.6 * lateral + 0.1 * np.clip(z, 0, 60), -y - 5 - 0.4 * lateral)
    else:  # a wedge along the upper mediastinum
        level = np.minimum(bend + 0.25 * np.clip(z, 0, 80) - lateral - 0.006 * y * y, z - 5 - 0.3 * lateral)
    weight = soft(level.astype(np.float32), 3)
    consolidate(part, weight, random, bronchograms=float(random.choice([0.0, 0.8])))
    _stretch_rest(part, level > 0, random)


def _stretch_rest(part: Part, collapsed: Mask, random: np.random.Generator) -> None:
    """What is left of the lung has more air for the same vessels."""
    rest = (part.inside & ~collapsed & (part.hu < -600)).astype(np.float32)
    part.blend(rest * np.float32(uniform(random, 0, 0.35)), -960.0)


@finding("round atelectasis: a lens of 25 to 60 mm on the pleura with a tail towards the hilum: lung", layer=2)
def round_atelectasis(part: Part, random: np.random.Generator) -> None:
    """A flattened lump under the pleura at the back and base, with vessels swept into it."""
    score = part.inside & (part.depth_mm < 8) & (part.up_share() < 0.5) & (part.back_share() > 0.4)
    place = part.pick(score, random)
    if place is None:
        return
    radius = uniform(random, 10, 17)
    level = radius - part.from_voxel_mm(place, (1.2, 1.0, 1.3)) + 2 * part.noise(10, random)
    near = part.from_voxel_mm(place) + part.from_hilum_mm() - float(part.from_hilum_mm()[place])
    tail = np.minimum(2.0 + 2 * part.noise(8, random) - 0.35 * near, 3.0 * radius - part.from_voxel_mm(place))
    consolidate(part, soft(np.maximum(level, tail), 3), random, bronchograms=0.0)


@finding("a white-out: the whole lung without air, drawn to the hilum and wrapped in fluid: not lung", layer=5)
def whole_collapse(part: Part, random: np.random.Generator) -> None:
    """Everything inside the cavity becomes dense; the lump at the hilum is brighter than the fluid about it."""
    score = -part.from_hilum_mm() + 8 * part.noise(35, random)
    lump = soft(score - np.float32(level_of_share(score, part.inside, uniform(random, 0.1, 0.4))), 6)
    fluid = uniform(random, 0, 25) + 5 * part.noise(10, random)
    dense = uniform(random, 35, 90) + 12 * part.noise(6, random)
    part.blend(np.ones(part.shape, np.float32), fluid + lump * (dense - fluid))
    part.take_from_lung(part.inside.copy())
