"""Tumour masks on the file's own grid, out of probabilities on the network's: the rules of postprocessing.py."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from data_prep.nifti import write_nifti
from lungseg_monai.inplane import resize_linear
from lungseg_monai.postprocessing import TumorRules, mask_on_image
from lungseg_monai.segment.tumor_grid import Upright, upright_grid


class TumorMaskd(MapTransform):
    """Probabilities (1, H, W, K) on the network's grid, axes to L, P, S -> mask (1, I, J, K) uint8 on the file's grid.

    The image under `image_key` tells the grid (tumor_chains.tumor_image). `rules` are those of TumorRules; the
    lungs are not known here: `lungseg segment --within lungs` is for that. With `folder` the probabilities themselves,
    linearly enlarged, go to folder/<case_id>/probability.nii.gz, float32.
    """

    def __init__(
        self, keys: KeysCollection, rules: TumorRules, image_key: str = "image", folder: str | Path | None = None
    ) -> None:
        super().__init__(keys)
        self.rules, self.image_key = rules, image_key
        self.folder = None if folder is None else Path(folder)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        affine_ras, up = _grid(item[self.image_key])
        for key in self.key_iterator(item):
            probability = item[key][0].detach().cpu().numpy()
            if self.folder is not None:
                enlarged = np.ascontiguousarray(up.as_image(resize_linear(probability, up.shape_ij)))
                write_nifti(self.folder / str(item["case_id"]) / "probability.nii.gz", enlarged, affine_ras)
            mask = up.as_image(mask_on_image(probability, self.rules, up.spacing_mm, up.shape_ij))
            turned = torch.from_numpy(np.ascontiguousarray(mask, np.uint8))[None]
            item[key] = MetaTensor(turned, affine=torch.from_numpy(affine_ras))
        return item


def _grid(image: MetaTensor) -> tuple[np.ndarray, Upright]:
    """Of the file that a loaded and turned image comes from: its affine_ras, and how it lies in that."""
    affine_ras = np.asarray(image.meta["original_affine"], np.float64)
    return affine_ras, upright_grid([int(n) for n in image.meta["spatial_shape"]], affine_ras)
