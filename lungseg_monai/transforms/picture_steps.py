"""Pre-processing of radiographs (lungseg_monai/pictures) as transforms for arrays (C, H, W) and dictionaries."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from torch import Tensor

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures.files import read_masks, read_picture
from lungseg_monai.pictures.steps import STEPS, Steps, apply


class PictureStep(Transform):
    """One of pictures.steps.STEPS on each channel: (C, H, W) -> float32 (C, H', W').

    PictureStep("clahe", clip_limit=3.0); "grey" makes one channel of three or four. Raises ConfigError for an unknown
    name or parameter.
    """

    def __init__(self, name: str, **parameters: Any) -> None:
        if name not in STEPS:
            raise ConfigError(f"there is no step {name!r}; there are: {', '.join(STEPS)}")
        self.name = name
        self.parameters = parameters

    def __call__(self, picture: Any) -> Tensor:
        values = np.asarray(picture)
        if self.name == "grey":
            channels = [values[0]] if len(values) == 1 else [np.moveaxis(values, 0, -1)]
        else:
            channels = list(values)
        return torch.from_numpy(np.stack([STEPS[self.name](one, **self.parameters) for one in channels]))


class PictureStepd(MapTransform):
    """`PictureStep` for `keys`."""

    def __init__(self, keys: KeysCollection, name: str, **parameters: Any) -> None:
        super().__init__(keys)
        self.step = PictureStep(name, **parameters)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self.step(item[key])
        return item


class PictureStepsd(MapTransform):
    """A list of steps on the picture (1, H, W) under each of `keys`; "resize" goes to `spatial_size`."""

    def __init__(self, keys: KeysCollection, steps: Steps, spatial_size: Sequence[int]) -> None:
        super().__init__(keys)
        self.steps = list(steps)
        self.spatial_size = tuple(spatial_size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            values = np.asarray(item[key])
            item[key] = torch.from_numpy(apply(values[0], self.steps, self.spatial_size))[None]
        return item


class PrepareRadiographd(MapTransform):
    """The file under each of `keys` read and taken through `steps`: float32 (1, *spatial_size).

    `shape_hw` of the item becomes the picture's own [rows, columns], to go back to.
    """

    def __init__(self, keys: KeysCollection, steps: Steps, spatial_size: Sequence[int]) -> None:
        super().__init__(keys)
        self.steps = list(steps)
        self.spatial_size = tuple(spatial_size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            stored = read_picture(item[key])
            item["shape_hw"] = list(stored.shape[:2])
            item[key] = torch.from_numpy(apply(stored, self.steps, self.spatial_size))[None]
        return item


class PrepareMasksd(Transform):
    """`label` (T, *spatial_size), uint8 0/1, of the item's mask files: a channel for each of `targets`, united.

    Resized as the picture is, bilinear, and cut at one half, so that both keep lying on one another.
    """

    def __init__(self, targets: Sequence[str], spatial_size: Sequence[int]) -> None:
        self.targets = list(targets)
        self.spatial_size = tuple(spatial_size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        from lungseg_monai.pictures.resize import resize

        item = dict(data)
        rows, columns = item["shape_hw"]
        masks = [read_masks(item.pop(target), (rows, columns)) for target in self.targets]
        resized = [(resize(mask, self.spatial_size) >= 0.5).astype(np.uint8) for mask in masks]
        item["label"] = torch.from_numpy(np.stack(resized))
        return item
