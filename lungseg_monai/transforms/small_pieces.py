"""Masks without their small pieces."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from lungseg_monai.postprocessing import TumorRules, select


class DropSmallPiecesd(MapTransform):
    """MetaTensors (C, I, J, K) of 0 and 1 under `keys`, without pieces of less than `least_mm3`; 0 keeps all.

    Voxels of one piece touch, also by a corner. (MONAI's RemoveSmallObjects calls scikit-image in a way that is on
    its way out.) Raises ConfigError for a `least_mm3` below 0.
    """

    def __init__(self, keys: KeysCollection, least_mm3: float) -> None:
        super().__init__(keys)
        self.rules = TumorRules(least_mm3=least_mm3)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            masks: MetaTensor = item[key]
            i_mm, j_mm, k_mm = (float(step) for step in masks.pixdim)
            for mask in masks:
                kept = select(mask.cpu().numpy() > 0, self.rules, (i_mm, j_mm, k_mm))
                mask[:] = torch.from_numpy(kept).to(mask)
        return item
