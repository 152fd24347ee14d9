"""A whole made scan: a chest or something else, its findings, and the scanner."""

from dataclasses import dataclass

import numpy as np

from lungseg_monai.synthesis.acquisition import acquire
from lungseg_monai.synthesis.build import make_chest
from lungseg_monai.synthesis.chest import Scene
from lungseg_monai.synthesis.elsewhere import make_elsewhere
from lungseg_monai.synthesis.pathology import afflict

VOLUME_MM = ((384, 288, 288), (360, 270, 330), (420, 300, 234), (384, 264, 390), (330, 252, 252), (456, 330, 288))
MM = 3.0


@dataclass(frozen=True)
class SceneOptions:
    """What is made. difficulty: 0 ordinary chests on a good scanner, 1 everything.

    elsewhere: share of scenes without a chest. findings: exactly these (names of pathology.FINDINGS), None draws them.
    scan: whether the scanner adds its faults. volume_mm: extent of the grid (x, y, z), None draws one.
    """

    spacing_mm: float = MM
    difficulty: float = 1.0
    elsewhere: float = 0.07
    findings: tuple[str, ...] | None = None
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
        afflict(chest, random, only=options.findings, difficulty=options.difficulty)
    if options.scan:
        return acquire(chest, random, difficulty=options.difficulty)
    hu = np.clip(np.round(chest.hu), -1024, 3071).astype(np.int16)
    return Scene(hu, chest.lung, chest.spacing_mm, chest.facts)
