"""The lungs' box out of a CT, and what is not lung in it toned down, before any network (Wang et al. 2020).

S. Wang et al.: A fully automatic deep learning system for COVID-19 diagnostic and prognostic analysis. European
Respiratory Journal 56(2), 2000775 (2020), and the authors' code. Deviations and guesses: docs/papers/wang-lung-roi.md.
"""

import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Crop, DeleteItemsd, InvertibleTransform, LoadImaged, MapTransform, Orientationd, Transform
from monai.utils import convert_to_dst_type
from numpy.typing import NDArray
from torch import Tensor

from lungseg_monai.data import grid_difference
from lungseg_monai.errors import ConfigError, ImageError
from lungseg_monai.io import Grid
from lungseg_monai.lung_box import Box, Span, lung_box
from lungseg_monai.transforms.take_slices import TakeSlicesd

IN_MASK = 0.5  # a mask that is a probability is cut here for the box


def lung_roi_box(
    mask: NDArray[np.bool_], affine_ras: NDArray[np.float64], margin_mm: float = 0.0, least_share: float = 0.03
) -> Box | None:
    """((i0, i1), (j0, j1), (k0, k1)) of the lungs in `mask` (I, J, K), `margin_mm` or more larger on each side.

    Along the axis that runs most from foot to head it reaches from the first to the last slice that counts: one whose
    area, and those of both its neighbours, are at least `least_share` of the largest slice's; 0 counts every slice with
    lung. Across it is the box of the whole mask. None where no slice counts. Raises UsageError for a margin below 0.
    """
    spacing_mm = np.linalg.norm(affine_ras[:3, :3], axis=0)
    box = lung_box(mask, spacing_mm.tolist(), margin_mm)
    if box is None or least_share <= 0:
        return box
    head = int(np.abs(affine_ras[2, :3] / spacing_mm).argmax())
    area = mask.sum(axis=tuple(axis for axis in range(3) if axis != head))
    has_lung = np.pad(area >= least_share * area.max(), 1)  # beyond the image there is none
    counts = has_lung[:-2] & has_lung[1:-1] & has_lung[2:]
    if not counts.any():
        return None
    first, last = np.flatnonzero(counts)[[0, -1]]
    margin = int(np.ceil(margin_mm / spacing_mm[head] - 1e-6))
    spans: list[Span] = list(box)
    spans[head] = max(int(first) - margin, 0), min(int(last) + 1 + margin, mask.shape[head])
    return spans[0], spans[1], spans[2]


def suppress_non_lung(
    values: NDArray[np.float32], lung: NDArray[np.bool_], percentile: float = 95.0, deviations: float = 4.0
) -> NDArray[np.float32]:
    """`values` (any shape) with bright and strange tissue toned down; `lung` of that shape says what is lung.

    All is capped at the `percentile` of all values; then what is not lung is brought to within `deviations` standard
    deviations of the lung's mean. Lung keeps its values up to the cap. Raises ImageError where `lung` is empty.
    """
    if not lung.any():
        raise ImageError(
            "the lung mask is empty in this image: there is no lung whose grey values others are brought to"
        )
    capped = np.minimum(values, np.float32(np.percentile(values, percentile)))
    inside = capped[lung]
    mean, spread = inside.mean(dtype=np.float64), inside.std(dtype=np.float64)
    low, high = np.float32(mean - deviations * spread), np.float32(mean + deviations * spread)
    out: NDArray[np.float32] = np.where(lung, capped, np.clip(capped, low, high)).astype(np.float32)
    return out


class CropLungROId(MapTransform, InvertibleTransform):
    """Volumes (C, I, J, K) under `keys` cut to the lungs' box; Invertd puts results back on the whole grid.

    `mask_key`: the lungs on the same grid, (M, I, J, K), masks or probabilities (cut at 0.5), united; cut to the box as
    well. Beyond the box a result becomes 0 when it goes back. Box: `lung_roi_box`. Raises ImageError for a mask that is
    empty (`allow_empty`: the whole image stays) or on another grid; ConfigError for numbers that make no sense.
    """

    def __init__(
        self,
        keys: KeysCollection,
        mask_key: str,
        margin_mm: float = 0.0,
        least_share: float = 0.03,
        allow_empty: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        if not margin_mm >= 0 or not 0 <= least_share < 1:
            raise ConfigError(f"margin_mm must be 0 or more, least_share 0 to 1: got {margin_mm} and {least_share}")
        self.mask_key = mask_key
        self.margin_mm, self.least_share, self.allow_empty = margin_mm, least_share, allow_empty
        self.crop = Crop()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        mask = item[self.mask_key]
        keys = [*self.key_iterator(item)]
        for key in keys:
            check_same_grid(item[key], mask, str(key))
        box = lung_roi_box(united(mask, IN_MASK), grid(mask)[1], self.margin_mm, self.least_share)
        if box is None and not self.allow_empty:
            raise ImageError(
                f"the lung mask {self.mask_key} holds no lung, or fewer than three slices of it: look at the mask, or "
                "let the whole image through with allow_empty"
            )
        slices = tuple(slice(*span) for span in box) if box else (slice(None),) * 3
        for key in dict.fromkeys([*keys, self.mask_key]):
            item[key] = self.crop(item[key], slices)
        return item

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self.crop.inverse(item[key])
        return item


class SuppressNonLungd(MapTransform, InvertibleTransform):
    """`suppress_non_lung` for images (C, I, J, K) under `keys`, of what `CropLungROId` left; lung: mask above `level`.

    Voxels stay where they are, so a result that goes back passes unchanged; grey values don't come back.
    Raises ImageError for a mask that is empty or on another grid; ConfigError for numbers that make no sense.
    """

    def __init__(
        self,
        keys: KeysCollection,
        mask_key: str,
        percentile: float = 95.0,
        deviations: float = 4.0,
        level: float = 0.2,
    ) -> None:
        MapTransform.__init__(self, keys)
        if not 0 < percentile <= 100 or not deviations >= 0:
            raise ConfigError(f"percentile must be 0 to 100, deviations 0 or more: got {percentile} and {deviations}")
        self.mask_key = mask_key
        self.percentile, self.deviations, self.level = percentile, deviations, level

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        mask = item[self.mask_key]
        lung = united(mask, self.level)
        for key in self.key_iterator(item):
            image = item[key]
            check_same_grid(image, mask, str(key))
            values = torch.as_tensor(image).detach().cpu().numpy().astype(np.float32)
            changed = [suppress_non_lung(channel, lung, self.percentile, self.deviations) for channel in values]
            item[key] = convert_to_dst_type(np.stack(changed), dst=image, dtype=torch.float32)[0]
        return item

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return dict(data)


def with_lung_roi(
    transforms: Sequence[Transform],
    mask_key: str = "lung_roi",
    margin_mm: float = 0.0,
    least_share: float = 0.03,
    deviations: float | None = 4.0,
) -> list[Transform]:
    """The chain of a bundle for CT, whose first part loads `image` (and `label`), with the lungs' box before the rest.

    The item holds a list of the lungs' mask files under `mask_key`. `deviations` None: nothing is toned down.
    Raises ConfigError for a chain without the Orientationd that begins the rest.
    """
    chain = list(transforms)
    place = next((place for place, part in enumerate(chain) if isinstance(part, Orientationd)), None)
    if place is None:
        raise ConfigError("this chain has no Orientationd, before which the lungs' box is cut: it is none for CT")
    keys = ["image", "label"]
    with warnings.catch_warnings():  # LoadImaged sets up readers of all formats and warns about one for DICOM on GPUs
        warnings.simplefilter("ignore", UserWarning)
        load = LoadImaged([mask_key], reader="NibabelReader", ensure_channel_first=True, image_only=True)
    roi: list[Transform] = [load, TakeSlicesd([mask_key])]
    roi.append(CropLungROId(keys, mask_key, margin_mm, least_share, allow_missing_keys=True))
    if deviations is not None:
        roi.append(SuppressNonLungd(["image"], mask_key, deviations=deviations))
    return [*chain[:place], *roi, DeleteItemsd([mask_key]), *chain[place:]]


def united(mask: Tensor, level: float) -> NDArray[np.bool_]:
    """(I, J, K): where any of the channels of `mask` (M, I, J, K) is above `level`."""
    inside: NDArray[np.bool_] = (torch.as_tensor(mask) > level).any(dim=0).cpu().numpy()
    return inside


def grid(volume: Tensor) -> Grid:
    """shape_ijk and affine_ras of a volume (C, I, J, K); one that carries no affine has voxels of 1 mm."""
    affine = volume.affine if isinstance(volume, MetaTensor) else torch.eye(4)
    return tuple(volume.shape[1:]), affine.double().cpu().numpy()


def check_same_grid(volume: Tensor, mask: Tensor, name: str) -> None:
    """Raise ImageError unless both, (C, I, J, K), lie on one grid."""
    if volume.ndim != 4 or mask.ndim != 4:
        raise ImageError(f"wanted volumes (C, I, J, K), got {name} {list(volume.shape)} and a mask {list(mask.shape)}")
    difference = grid_difference(grid(mask), grid(volume))
    if difference:
        raise ImageError(f"the lung mask lies on another grid than {name}: {difference}. Resample the mask first.")
