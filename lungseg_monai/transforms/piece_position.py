"""Masks without the pieces that lie too far from the image's middle."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError

Mask = NDArray[np.bool_]


def near_middle(mask: Mask, affine: NDArray, within_mm: Sequence[float]) -> Mask:
    """mask (I, J, K) without pieces whose centre lies farther from the image's than `within_mm`.

    affine (4 x 4): voxel -> mm, RAS or LPS. within_mm: to the left or right, and to the front or back, of the patient.
    Voxels of one piece touch, also by a corner.
    """
    from scipy.ndimage import center_of_mass, label

    numbers, count = label(mask, np.ones((3, 3, 3)))
    if not count:
        return mask.copy()
    centres = np.array(center_of_mass(mask, numbers, range(1, count + 1)))
    middle = (np.array(mask.shape) - 1) / 2
    away_mm = np.abs((centres - middle) @ affine[:3, :3].T)[:, :2]
    near = np.concatenate([[False], (away_mm <= np.asarray(within_mm)).all(axis=1)])
    kept: Mask = near[numbers]
    return kept


class PiecesNearMiddled(MapTransform):
    """MetaTensors (C, I, J, K) of 0 and 1 under `keys`, without pieces whose centre is not `within_mm` (near_middle).

    Raises ConfigError unless `within_mm` are two lengths above 0.
    """

    def __init__(self, keys: KeysCollection, within_mm: Sequence[float]) -> None:
        super().__init__(keys)
        pair = isinstance(within_mm, list | tuple) and len(within_mm) == 2
        if not pair or not all(isinstance(length, int | float) and length > 0 for length in within_mm):
            raise ConfigError(
                f"within_mm must be two lengths in mm, to the side and to front or back, got {within_mm!r}: "
                'give it as --within_mm "[150, 120]"'
            )
        self.within_mm = within_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            masks: MetaTensor = item[key]
            affine = masks.affine.cpu().numpy()
            for mask in masks:
                mask[:] = torch.from_numpy(near_middle(mask.cpu().numpy() > 0, affine, self.within_mm)).to(mask)
        return item
