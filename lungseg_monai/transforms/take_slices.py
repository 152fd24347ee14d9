"""Keep some slices of a volume: what a split within one patient trains or tests on."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor

SliceRanges = Sequence[Sequence[int]]


def take_slices(volume: Tensor, ranges: SliceRanges) -> Tensor:
    """The slices of `volume` (C, I, J, K) whose k lies in `ranges` [[start, stop], ...] (stop excluded), in that order.

    A MetaTensor keeps its affine, which after a gap between two ranges holds for the in-plane axes only.
    Raises ValueError when a range is empty or reaches outside of the volume.
    """
    depth = volume.shape[-1]
    for start, stop in ranges:
        if not 0 <= start < stop <= depth:
            raise ValueError(f"slices {start} to {stop} (stop excluded) don't lie in a volume of {depth} slices")
    return torch.cat([volume[..., start:stop] for start, stop in ranges], dim=-1)


class TakeSlicesd(MapTransform):
    """`take_slices` for `keys`, with the ranges that the item holds under `ranges_key`; None keeps all slices."""

    def __init__(self, keys: KeysCollection, ranges_key: str = "slices") -> None:
        super().__init__(keys)
        self.ranges_key = ranges_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        ranges = item.get(self.ranges_key)
        if ranges is not None:
            for key in self.key_iterator(item):
                item[key] = take_slices(item[key], ranges)
        return item
