"""What random changes of a radiograph share: a picture (1, H, W) and its label (T, H, W), changed together or not."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import RandomizableTransform
from numpy.typing import NDArray

from lungseg_monai.pictures.grey import Picture

Label = NDArray[np.float32]
Change = Callable[[Picture, Label, np.random.RandomState], tuple[Picture, Label]]


class RandPictured(RandomizableTransform):
    """With `prob`: `image` (1, H, W) and `label` (T, H, W) of an item through `change(picture, label, random)`.

    `change` takes float32 (H, W) and (T, H, W), leaves both as they are, and returns new ones of these shapes; `random`
    is all that it may draw from.
    """

    def __init__(self, change: Change, prob: float) -> None:
        super().__init__(prob)
        self.change = change

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return item
        image, label = (torch.as_tensor(item[key]) for key in ("image", "label"))
        picture, changed = self.change(np.array(image[0], np.float32), np.array(label, np.float32), self.R)
        item["image"] = torch.from_numpy(np.ascontiguousarray(picture, np.float32))[None]
        item["label"] = torch.from_numpy(np.ascontiguousarray(changed)).to(label.dtype)
        return item
