"""Load and unite the mask files of each target; a target without any file is an empty mask."""

import warnings
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import LoadImage, MapTransform
from torch import Tensor


class LoadMasksd(MapTransform):
    """A list of NIfTI files per key -> the union of their masks (1, I, J, K) uint8 0/1 on the grid of `image_key`.

    No file at all means that nothing was drawn: an empty mask. Raises ValueError when a mask lies on another grid
    than the image, which must be loaded before as (1, I, J, K).
    """

    def __init__(self, keys: KeysCollection, image_key: str = "image") -> None:
        super().__init__(keys)
        self.image_key = image_key
        with warnings.catch_warnings():  # sets up readers of all formats and warns about one for DICOM on GPUs
            warnings.simplefilter("ignore", UserWarning)
            self.loader = LoadImage(reader="NibabelReader", dtype=np.uint8, ensure_channel_first=True, image_only=True)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self._united(str(key), list(item[key]), item[self.image_key])
        return item

    def _united(self, key: str, files: list[str], image: Tensor) -> Tensor:
        if not files:
            empty = torch.zeros_like(image, dtype=torch.uint8)
            return MetaTensor(empty, meta=image.meta) if isinstance(image, MetaTensor) else empty
        masks = [self.loader(file) for file in files]
        for mask in masks:
            if mask.shape != image.shape or not same_place(mask, image):
                raise ValueError(
                    f"a mask of {key} lies on another grid than its image: {list(mask.shape[1:])} voxels against "
                    f"{list(image.shape[1:])}, or another affine. Convert the case again."
                )
        united = masks[0] > 0
        for mask in masks[1:]:
            united |= mask > 0
        return united.to(torch.uint8)


def same_place(one: Tensor, other: Tensor) -> bool:
    """Whether two volumes have one affine, to 0.001 mm; volumes that carry none lie where they should."""
    if not isinstance(one, MetaTensor) or not isinstance(other, MetaTensor):
        return True
    return torch.allclose(one.affine.double(), other.affine.double(), rtol=0, atol=1e-3)
