"""A network's logits of a radiograph -> the mask on the picture's own pixels."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from numpy.typing import NDArray
from torch import Tensor

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures.resize import resize
from lungseg_monai.postprocessing_cxr import CxrRules, lung_mask_on_image

HANGS = {-1: None, 0: False, 1: True}  # an item's `mirrored`: not known, no, yes


class LungMaskd(MapTransform):
    """Logits (1 or 2, h, w) under each of `keys` -> uint8 (1, H, W) by `rules`: 1 right, 2 left lung (or 1 for both).

    The item says `shape_hw`, the picture's own rows and columns, and `mirrored` (HANGS). It gets `flags`, {code, what,
    severity} each, and with `probability` the map of lung on the same pixels, float32 (H, W).
    """

    def __init__(self, keys: KeysCollection, rules: CxrRules, probability: bool = False) -> None:
        super().__init__(keys)
        self.rules = rules
        self.probability = probability

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        rows, columns = (int(side) for side in item["shape_hw"])
        for key in self.key_iterator(item):
            probability = lung_probability(item[key])
            found = lung_mask_on_image(probability, (rows, columns), self.rules, HANGS[int(item["mirrored"])])
            item[key] = torch.from_numpy(found.labels)[None]
            item["flags"] = [{"code": flag.code, "what": flag.what, "severity": flag.severity} for flag in found.flags]
            if self.probability:
                item["probability"] = np.clip(resize(probability, (rows, columns)), 0, 1)
        return item


def lung_probability(logits: Tensor) -> NDArray[np.float32]:
    """float32 (h, w) of logits (C, h, w): their sigmoid where C is 1, the second one's softmax where it is 2.

    Raises ConfigError for more channels.
    """
    values = logits.detach().float()
    if values.shape[0] not in (1, 2):
        raise ConfigError(f"the network gives {values.shape[0]} channels; wanted 1, or 2 for two classes")
    lung = torch.sigmoid(values[0]) if values.shape[0] == 1 else torch.softmax(values, dim=0)[1]
    return np.asarray(torch.as_tensor(lung).cpu().numpy(), np.float32)
