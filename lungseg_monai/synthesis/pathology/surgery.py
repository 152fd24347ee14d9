"""A lung that is gone: no lung on that side, or the other one herniated across."""

from __future__ import annotations

import numpy as np

from lungseg_monai.synthesis.pathology.fields import Mask, level_of_share, soft, uniform
from lungseg_monai.synthesis.pathology.fluid import fluid_hu
from lungseg_monai.synthesis.pathology.part import Part, finding


@finding("after removal of a lung: the cavity holds fluid in a thick wall, early on with air over it: no lung", layer=6)
def pneumonectomy(part: Part, random: np.random.Generator) -> None:
    """Fill the cavity; its outer part turns into wall; no voxel of this side stays lung."""
    room: Mask = part.cavity & (part.hu < 250)
    rind = uniform(random, 2, 25) * np.clip(1 + 0.5 * part.noise(40, random), 0.1, 2) - part.depth_mm
    part.blend(np.ones(part.shape, np.float32), fluid_hu(part, random), room)
    if random.random() < 0.35:
        up = np.ascontiguousarray(-part.down_mm())
        level = up - np.float32(level_of_share(up, part.cavity, uniform(random, 0.1, 0.6)))
        part.blend(soft(level, 1.5), uniform(random, -1000, -970), room)
    fatty = soft(part.noise(20, random), 1) * np.float32(uniform(random, 0, 1))
    part.blend(soft(rind.astype(np.float32), 4), 45 - 135 * fatty + 10 * part.noise(6, random), room)
    part.take_from_lung(part.lung == part.side)
