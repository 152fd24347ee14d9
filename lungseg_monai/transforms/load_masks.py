"""Load and unite the mask files of each target; a target without any file is an empty mask."""

import warnings
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import LoadImage, MapTransform
from torch import Tensor

from lungseg_monai.data import grid_difference
from lungseg_monai.io import Grid


class LoadMasksd(MapTransform):
    """A list of NIfTI files per key -> the union of their masks (1, I, J, K) uint8 0/1 on the grid of `image_key`.

    No file at all means that nothing was drawn: an empty mask. Raises ValueError when a mask lies on another grid
    than the image, which must be loaded before as (1, I, J, K), or holds what is no finite number.
    """

    def __init__(self, keys: KeysCollection, image_key: str = "image") -> None:
        super().__init__(keys)
        self.image_key = image_key
        with warnings.catch_warnings():  # sets up readers of all formats and warns about one for DICOM on GPUs
            warnings.simplefilter("ignore", UserWarning)
            self.loader = LoadImage(reader="NibabelReader", dtype=None, ensure_channel_first=True, image_only=True)

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
            difference = grid_difference(_grid(mask), _grid(image))
            if difference:
                raise ValueError(
                    f"a mask of {key} lies on another grid than its image: {difference}. Convert the case again."
                )
            if not bool(mask.isfinite().all()):
                raise ValueError(f"a mask of {key} holds what is no finite number (NaN or infinite): write it again")
        united = masks[0] > 0
        for mask in masks[1:]:
            united |= mask > 0
        return united.to(torch.uint8)


def _grid(volume: Tensor) -> Grid:
    """shape_ijk and affine of a volume (C, I, J, K); one that carries none lies where it should."""
    affine = volume.affine if isinstance(volume, MetaTensor) else torch.eye(4)
    return tuple(volume.shape[1:]), affine.double().cpu().numpy()
