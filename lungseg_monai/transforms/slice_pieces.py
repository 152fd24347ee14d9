"""Masks without small pieces in their axial slices, and without small holes there."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError

Mask = NDArray[np.bool_]
SIDES, CORNERS = np.zeros((2, 3, 3, 3), int)  # which neighbours within a slice pixels of one piece touch
SIDES[1, :, 1] = SIDES[:, 1, 1] = CORNERS[:, :, 1] = 1


def without_small_pieces(mask: Mask, least: float) -> Mask:
    """mask (I, J, K) without the pieces of a slice [:, :, k] that have fewer than `least` pixels.

    Pixels of one piece touch within the slice, also by a corner.
    """
    from scipy.ndimage import label

    numbers, _ = label(mask, CORNERS)
    large = np.bincount(numbers.ravel()) >= least
    large[0] = False
    kept: Mask = large[numbers]
    return kept


def without_small_holes(mask: Mask, least: float) -> Mask:
    """mask (I, J, K), filled where a hole of a slice [:, :, k] has fewer than `least` pixels.

    A hole is what the mask encloses within the slice: no way over pixels' sides leads from it to the slice's edge.
    (MONAI's FillHoles knows no limit: lungs that touch before and behind the heart would have it filled.)
    """
    from scipy.ndimage import label

    numbers, _ = label(np.pad(~mask, ((1, 1), (1, 1), (0, 0)), constant_values=True), SIDES)
    small = np.bincount(numbers.ravel()) < least
    small[0] = small[numbers[0, 0]] = False  # the mask, and what lies round it
    filled: Mask = mask | small[numbers[1:-1, 1:-1]]
    return filled


class SlicePiecesd(MapTransform):
    """MetaTensors (C, I, J, K) of 0 and 1 under `keys`, cleaned in each axial slice; their affines say where those lie.

    Pieces of less than `least_area_mm2` go, holes of less than `fill_holes_mm2` are filled; 0 leaves either alone.
    Raises ConfigError for an area below 0.
    """

    def __init__(self, keys: KeysCollection, least_area_mm2: float = 0.0, fill_holes_mm2: float = 0.0) -> None:
        super().__init__(keys)
        for name, area in (("least_area_mm2", least_area_mm2), ("fill_holes_mm2", fill_holes_mm2)):
            if isinstance(area, bool) or not isinstance(area, int | float) or not area >= 0:
                raise ConfigError(f"{name} must be an area in mm2, from 0, got {area!r}: give it as --{name} VALUE")
        self.least_area_mm2 = least_area_mm2
        self.fill_holes_mm2 = fill_holes_mm2

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            masks: MetaTensor = item[key]
            axis = axial_axis(masks.affine.cpu().numpy())
            spacing_mm = masks.pixdim.cpu().numpy()
            pixel_mm2 = float(np.prod(np.delete(spacing_mm, axis)))
            for mask in masks:
                slices = np.moveaxis(mask.cpu().numpy() > 0, axis, 2)
                slices = without_small_pieces(slices, self.least_area_mm2 / pixel_mm2)
                slices = without_small_holes(slices, self.fill_holes_mm2 / pixel_mm2)
                mask[:] = torch.from_numpy(np.moveaxis(slices, 2, axis)).to(mask)
        return item


def axial_axis(affine: NDArray) -> int:
    """The axis of an array with this affine (4 x 4, RAS or LPS) that runs most along the patient."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return int(np.abs(directions[2]).argmax())
