"""A mirrored radiograph: where left and right lung are told apart, their labels change places."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import RandomizableTransform
from torch import Tensor


def exchange(targets: Sequence[str]) -> list[int]:
    """For each of `targets` the place of its counterpart: lung_left for lung_right; what has none stays."""
    names = list(targets)
    places = []
    for place, name in enumerate(names):
        side = {"left": "right", "right": "left"}.get(name.rpartition("_")[2])
        other = f"{name.rpartition('_')[0]}_{side}"
        places.append(names.index(other) if side and other in names else place)
    return places


def flip_lungs(image: Tensor, label: Tensor, places: Sequence[int]) -> tuple[Tensor, Tensor]:
    """image (C, H, W) and label (T, H, W) mirrored along W, label's channels taken from `places`."""
    return image.flip(-1), label[list(places)].flip(-1)


class RandFlipLungsd(RandomizableTransform):
    """`flip_lungs` with `prob` for `image` and `label`, whose channels are `targets`."""

    def __init__(self, prob: float, targets: Sequence[str]) -> None:
        super().__init__(prob)
        self.places = exchange(targets)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        self.randomize(None)
        if self._do_transform:
            image, label = torch.as_tensor(item["image"]), torch.as_tensor(item["label"])
            item["image"], item["label"] = flip_lungs(image, label, self.places)
        return item
