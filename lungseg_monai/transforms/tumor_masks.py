"""Tumour masks on the file's own grid, out of probabilities on the network's: the rules of postprocessing.py."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from numpy.typing import NDArray

from data_prep.nifti import write_nifti
from lungseg_monai.inplane import resize_linear
from lungseg_monai.postprocessing import TumorRules, mask_on_image

LPS = ("L", "P", "S")


class FileGrid:
    """The grid of a file, and how its axes lie in a volume whose axes point to L, P, S.

    shape_ijk, affine_ras (index -> mm in RAS): of the file. shape and spacing_mm: of the turned volume.
    """

    def __init__(self, shape_ijk: tuple[int, ...], affine_ras: NDArray[np.float64]) -> None:
        own, lps = nib.io_orientation(affine_ras), nib.orientations.axcodes2ornt(LPS)
        there = nib.orientations.ornt_transform(own, lps)
        self.back = nib.orientations.ornt_transform(lps, own)
        self.affine_ras = affine_ras
        order = np.argsort(there[:, 0])  # the file's axis that becomes L, P, S
        spacing = np.linalg.norm(affine_ras[:3, :3], axis=0)
        self.shape = tuple(int(shape_ijk[axis]) for axis in order)
        self.spacing_mm = (float(spacing[order[0]]), float(spacing[order[1]]), float(spacing[order[2]]))

    @classmethod
    def of(cls, image: MetaTensor) -> "FileGrid":
        """Of the file that a loaded and turned image comes from."""
        meta = image.meta
        return cls(tuple(int(n) for n in meta["spatial_shape"]), np.asarray(meta["original_affine"], np.float64))

    def turn_back(self, volume: NDArray) -> NDArray:
        """(I, J, K) with axes to L, P, S -> as in the file."""
        return np.ascontiguousarray(nib.orientations.apply_orientation(volume, self.back))


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
        grid = FileGrid.of(item[self.image_key])
        for key in self.key_iterator(item):
            probability = item[key][0].detach().cpu().numpy()
            if self.folder is not None:
                enlarged = grid.turn_back(resize_linear(probability, grid.shape[:2]))  # type: ignore[arg-type]
                write_nifti(self.folder / str(item["case_id"]) / "probability.nii.gz", enlarged, grid.affine_ras)
            mask = mask_on_image(probability, self.rules, grid.spacing_mm, grid.shape[:2])  # type: ignore[arg-type]
            turned = torch.from_numpy(grid.turn_back(mask).astype(np.uint8))[None]
            item[key] = MetaTensor(turned, affine=torch.from_numpy(grid.affine_ras))
        return item
