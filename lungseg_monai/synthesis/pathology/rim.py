"""Voxels that the pleural surface cuts hold a little lung: what happens to the lung happens to them in part."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lungseg_monai.synthesis.pathology.fields import Field
    from lungseg_monai.synthesis.pathology.part import Part

WALL_HU = 40.0
CUT_HU = (-930.0, -60.0)  # a voxel of the wall in this range holds some lung


def carry_to_rim(part: Part, before_hu: Field) -> None:
    """Change cut voxels just outside the cavity by the change of the lung beside them times their share of lung.

    Without this a dark line would be left about every effusion, and a network would learn the line. before_hu:
    (I, J, K), the part's HU before the finding.
    """
    delta = part.hu - before_hu
    rim = (before_hu > CUT_HU[0]) & (before_hu < CUT_HU[1]) & (part.depth_mm > -2.5 * part.spacing_mm)
    rim &= (delta == 0) & part.chest.body[part.box] & (part.lung == 0)
    at = np.nonzero(rim)
    total, lung_hu, count = (np.zeros(at[0].size, np.float32) for _ in range(3))
    for step in product((-1, 0, 1), repeat=3):
        near = tuple(np.clip(index + move, 0, size - 1) for index, move, size in zip(at, step, part.shape, strict=True))
        touched = delta[near] != 0
        total += delta[near] * touched
        lung_hu += before_hu[near] * touched
        count += touched
    count = np.maximum(count, 1)
    share = np.clip((WALL_HU - before_hu[at]) / np.maximum(WALL_HU - lung_hu / count, 50), 0, 1)
    part.hu[at] += share * total / count
