"""A whole made scan: a chest or something else, its findings, and the scanner."""

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.acquisition import acquire
from lungseg_monai.synthesis.build import make_chest
from lungseg_monai.synthesis.chest import Chest, Scene
from lungseg_monai.synthesis.elsewhere import make_elsewhere
from lungseg_monai.synthesis.pathology import afflict

VOLUME_MM = ((384, 288, 288), (360, 270, 330), (420, 300, 234), (384, 264, 390), (330, 252, 252), (456, 330, 288))
MM = 3.0
TRIM_MM = 40.0  # at most so much air is left beside the body, as when an image is cut to it
ARRAYS = ("x", "y", "z", "hu", "lung", "cavity", "depth_mm", "body")
SMALLEST = 32  # voxels along a side


@dataclass(frozen=True)
class SceneOptions:
    """What is made. difficulty: 0 ordinary chests on a good scanner, 1 everything.

    elsewhere: share of scenes without a chest. findings: exactly these (names of pathology.FINDINGS), None draws them.
    sickness: how many chests are sick and how many of those severely, against the usual mix (1). scan: whether the
    scanner adds its faults. volume_mm: extent of the grid (x, y, z), None draws one.
    """

    spacing_mm: float = MM
    difficulty: float = 1.0
    elsewhere: float = 0.07
    findings: tuple[str, ...] | None = None
    sickness: float = 1.0
    scan: bool = True
    volume_mm: tuple[float, float, float] | None = None


DEFAULTS = SceneOptions()


def make_scene(seed: int, index: int, options: SceneOptions = DEFAULTS) -> Scene:
    """Scene number `index` of `seed`: the same arguments give the same voxels. Axes LPS, `options.spacing_mm` apart."""
    random = np.random.default_rng([seed, index])
    extent = options.volume_mm or VOLUME_MM[int(random.integers(len(VOLUME_MM)))]
    i, j, k = (max(32, round(mm / options.spacing_mm)) for mm in extent)
    if options.findings is None and random.random() < options.elsewhere:
        chest = make_elsewhere((i, j, k), options.spacing_mm, random)
    else:
        chest = make_chest((i, j, k), options.spacing_mm, random, options.difficulty)
        afflict(chest, random, only=options.findings, difficulty=options.difficulty * options.sickness)
    chest = trim(chest, random.uniform(0, TRIM_MM, (2, 2)))
    if options.scan:
        return acquire(chest, random, difficulty=options.difficulty)
    hu = np.clip(np.round(chest.hu), -1024, 3071).astype(np.int16)
    return Scene(hu, chest.lung, chest.spacing_mm, chest.facts)


def trim(chest: Chest, margin_mm: NDArray[np.float64]) -> Chest:
    """Cut the grid sideways to the body. margin_mm: (2, 2), what is left before and behind it along i and j."""
    cuts = []
    for axis in (0, 1):
        there = np.flatnonzero(chest.body.any(axis=(1 - axis, 2)))
        size = chest.body.shape[axis]
        if there.size == 0:
            return chest
        before, after = np.ceil(margin_mm[axis] / chest.spacing_mm).astype(int).tolist()
        low, high = max(0, int(there[0]) - before), min(size, int(there[-1]) + 1 + after)
        short = max(0, SMALLEST - (high - low))
        low = max(0, low - short)
        cuts.append(slice(low, max(high, low + SMALLEST)))
    trimmed = copy(chest)
    for name in ARRAYS:
        setattr(trimmed, name, np.ascontiguousarray(getattr(chest, name)[cuts[0], cuts[1]]))
    return trimmed
