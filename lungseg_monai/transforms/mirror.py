"""Left and right exchanged, in the picture and in what its labels are called."""

import re
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import RandomizableTransform

from lungseg_monai.errors import ConfigError

SIDE = re.compile(r"(?<![a-z])(left|right)(?![a-z])", re.IGNORECASE)
OTHER = {"left": "right", "right": "left"}


def mirror_places(labels: Mapping[str, Any]) -> list[int]:
    """For each target of `labels` (target -> labels that it unites) the place of its counterpart in a mirror.

    {"r": ["lung_right"], "l": ["lung_left"]} gives [1, 0]; a target that names no side, or both, stays where it is.
    Targets that are no list of labels go by their own names. Raises ConfigError where the counterpart is no target.
    """
    parts = [frozenset(p) if isinstance(p, list | tuple) else frozenset([name]) for name, p in labels.items()]
    mirrored = [frozenset(SIDE.sub(lambda m: OTHER[m.group().lower()], part) for part in each) for each in parts]
    for name, own, other in zip(labels, parts, mirrored, strict=True):
        if other not in parts:
            raise ConfigError(
                f"the target {name} ({', '.join(sorted(own))}) has a side; a mirrored picture would need a target of "
                f"{', '.join(sorted(other))}: leave flip out, or give --labels both sides"
            )
    return [parts.index(other) for other in mirrored]


class RandMirrorSidesd(RandomizableTransform):
    """With `prob`: `image` and `label` (channels: the targets of `labels`) mirrored along their side axis.

    side_axis: from left to right, counted without channels: 0 for slices and volumes whose axes point to L, P, S.
    """

    def __init__(self, labels: Mapping[str, Any], prob: float = 0.5, side_axis: int = 0) -> None:
        super().__init__(prob)
        self.places, self.side_axis = mirror_places(labels), side_axis

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        self.randomize(None)
        if self._do_transform:
            image, label = torch.as_tensor(item["image"]), torch.as_tensor(item["label"])
            item["image"] = image.flip(1 + self.side_axis)
            item["label"] = label[self.places].flip(1 + self.side_axis)
        return item
