"""The scan of a made chest: what lies around it, and everything a scanner does to the picture.

`acquire(chest, random)` makes a Scene. Every effect is a small function in the file of its theme; stages.py draws
which come and how strong. Labels are only ever cut and mirrored.
"""

from __future__ import annotations

import numpy as np

from lungseg_monai.synthesis.acquisition import field_of_view, stages
from lungseg_monai.synthesis.acquisition.waves import happens
from lungseg_monai.synthesis.chest import LEFT, RIGHT, Chest, Scene

__all__ = ["acquire"]
OTHER = {0: 0, RIGHT: LEFT, LEFT: RIGHT}


def acquire(chest: Chest, random: np.random.Generator, *, difficulty: float = 1.0) -> Scene:
    """Scan a chest (which stays as it is). `difficulty` 0 to 1 scales how often effects come and how strong.

    facts["scan"] of the scene holds what was done: each effect that came, `crop` (spans of voxels along i, j, k),
    `circle` and `wedge` with `padding_hu` (in the cropped grid, before mirroring) and `mirrored`.
    Labels outside what was scanned are 0; after mirroring 1 is the right side of the image again.
    """
    hard = float(np.clip(difficulty, 0, 1))
    facts: stages.Facts = {"difficulty": hard}
    spacing_mm = chest.spacing_mm
    hu = stages.surround(chest.hu.astype(np.float32), chest, hard, random, facts)
    hu, metal = stages.implant(hu, chest, hard, random, facts)
    hu = stages.move(hu, chest, hard, random, facts)
    hu = stages.focus(hu, hard, random, facts)
    hu, slices = stages.slice_up(hu, spacing_mm, hard, random, facts)
    hu = stages.miscalibrate(hu, hard, random, facts)
    hu = stages.streak(hu, spacing_mm, metal, hard, random, facts)
    hu = stages.add_noise(hu, spacing_mm, slices, hard, random, facts)
    box = stages.frame(chest, hard, random, facts)
    hu, lung = stages.pad(hu[box], chest.lung[box], hard, random, facts)
    scan = np.clip(np.rint(hu), -32768, 32767).astype(np.int16)
    facts["mirrored"] = happens(random, 0.5)
    known = chest.facts
    if facts["mirrored"]:
        scan, lung = field_of_view.mirror(scan, lung)
        found = [{**fact, "side": OTHER[fact["side"]]} for fact in known.get("findings", [])]
        known = {**known, "findings": found}
    return Scene(np.ascontiguousarray(scan), np.ascontiguousarray(lung), spacing_mm, {**known, "scan": facts})
