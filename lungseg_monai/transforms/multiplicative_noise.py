"""Noise that multiplies: each voxel times a number of its own close to 1 (MONAI has one number for all)."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from torch import Tensor


def multiply_noise(image: Tensor, noise: Tensor) -> Tensor:
    """`image` * (1 + `noise`), both of one shape."""
    return image * (1 + noise)


class RandMultiplicativeNoised(RandomizableTransform, MapTransform):
    """`multiply_noise` with `prob` for `keys`: normal noise of standard deviation 0 ... `std`, drawn each time."""

    def __init__(self, keys: KeysCollection, prob: float = 0.1, std: float = 0.03) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.std = std

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return item
        std = self.R.uniform(0.0, self.std)
        for key in self.key_iterator(item):
            image = torch.as_tensor(item[key])
            noise = torch.as_tensor(self.R.normal(0.0, std, tuple(image.shape)), dtype=image.dtype)
            item[key] = multiply_noise(image, noise)
        return item
