"""A random part of the picture, enlarged to the whole: random cropping that keeps the size."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from torch import Tensor
from torch.nn.functional import interpolate

Box = tuple[int, int, int, int]


def crop_resize(picture: Tensor, box: Box, linear: bool) -> Tensor:
    """The part `box` (top, left, height, width) of `picture` (C, H, W), as large as it, linearly or by neighbours."""
    top, left, height, width = box
    part = picture[None, :, top : top + height, left : left + width]
    size = picture.shape[1:]
    if linear:
        return interpolate(part.float(), size=size, mode="bilinear", align_corners=False)[0]
    return interpolate(part.float(), size=size, mode="nearest-exact")[0].to(picture.dtype)


class RandCropResized(RandomizableTransform, MapTransform):
    """`crop_resize` with `prob` for pictures (C, H, W) under `keys`: the first linearly, the others by neighbours.

    The part has `smallest` to 1 of the sides, keeps their ratio, and lies anywhere.
    """

    def __init__(self, keys: KeysCollection, prob: float = 0.1, smallest: float = 0.8) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        if not 0 < smallest <= 1:
            raise ValueError(f"smallest must lie above 0 and up to 1, got {smallest}")
        self.smallest = smallest

    def draw(self, height: int, width: int) -> Box:
        """A box in a picture of that size."""
        share = self.R.uniform(self.smallest, 1.0)
        tall, wide = max(1, round(share * height)), max(1, round(share * width))
        return int(self.R.randint(height - tall + 1)), int(self.R.randint(width - wide + 1)), tall, wide

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return item
        height, width = item[self.keys[0]].shape[1:]
        box = self.draw(height, width)
        for number, key in enumerate(self.key_iterator(item)):
            item[key] = crop_resize(torch.as_tensor(item[key]), box, linear=number == 0)
        return item
