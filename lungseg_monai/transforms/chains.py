"""The transform lists that all bundles share. Each function returns a list for `monai.transforms.Compose`.

An item is a dict: `image` a NIfTI file, for training also one list of mask files per target and `slices` (data.py).
Inside a chain volumes are (C, I, J, K) with the axes pointing to L, P, S, so that a slice along the last axis is axial.
"""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from monai.transforms import (
    AsDiscreted,
    CastToTyped,
    ConcatItemsd,
    DeleteItemsd,
    Lambdad,
    LoadImaged,
    Orientationd,
    RandAffined,
    RandGaussianNoised,
    RandScaleIntensityd,
    RandShiftIntensityd,
    Resized,
    ScaleIntensityRanged,
    Transform,
)
from torch import Tensor

from lungseg_monai.errors import ConfigError, DatasetError
from lungseg_monai.transforms.mirror import RandMirrorSidesd
from lungseg_monai.transforms.take_slices import TakeSlicesd

DEFAULT_CHANGES = ("rotation", "scale", "shift", "intensity", "noise")
SLICE_CHANGES = (*DEFAULT_CHANGES, "flip")
NEAR_LOW = 0.2  # of a window, from its lower end: where air lies, in Hounsfield units


def image_volume(window_hu: Sequence[float], spatial_size: Sequence[int]) -> list[Transform]:
    """Load `image` for prediction: (1, H, W, K) float32 in [0, 1]. Invertd takes probabilities back to the file's grid.

    `window_hu` (low, high) becomes 0 ... 1, clipped. `spatial_size` (H, W) is in plane; slices are left as they are.
    """
    return [
        _load(["image"], np.float32),
        Lambdad("image", func=finite),
        *_to_network_grid(["image"], window_hu, spatial_size),
    ]


def labelled_volume(targets: Sequence[str], window_hu: Sequence[float], spatial_size: Sequence[int]) -> list[Transform]:
    """`image_volume` together with `label` (T, H, W, K), uint8 0/1: a channel for each of `targets`.

    The mask files of a target are united. They are resized like the image, by linear interpolation cut at one half, so
    that image and label keep lying on one another (nearest neighbours would shift the label by up to half a pixel).
    """
    names = list(targets)
    return [
        _load(["image"], np.float32),
        Lambdad("image", func=finite),
        _load(names, np.uint8),
        Lambdad(names, func=unite),
        ConcatItemsd(names, name="label"),
        DeleteItemsd(names),
        TakeSlicesd(["image", "label"]),
        *_to_network_grid(["image", "label"], window_hu, spatial_size),
        AsDiscreted("label", threshold=0.5),
        CastToTyped("label", dtype=np.uint8),
    ]


def slice_augmentation(
    augment: bool,
    augmentations: Sequence[str] = DEFAULT_CHANGES,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> list[Transform]:
    """Random changes of a training slice (`image` (1, H, W), `label` (T, H, W)); none unless `augment`.

    `augmentations` are names out of SLICE_CHANGES: rotation (to 9 degrees), scale (by a tenth) and shift (8 pixels) are
    made together, with probability 0.5; intensity (contrast by a tenth, brightness by 0.05) 0.5; noise (of 0.03) 0.3;
    flip 0.5: left and right change places, in the picture and among the targets of `labels`.
    A change draws the same numbers whichever others are made; the default is what was done before they had names.
    Raises ConfigError for an unknown name, and for flip where a target has a side and its counterpart is no target.
    """
    unknown = [name for name in augmentations if name not in SLICE_CHANGES]
    if unknown:
        raise ConfigError(f"there is no augmentation {unknown[0]!r}; there are: {', '.join(SLICE_CHANGES)}")
    if not augment:
        return []
    chosen = set(augmentations)
    moved = RandAffined(
        ["image", "label"],
        prob=0.5 if chosen & {"rotation", "scale", "shift"} else 0.0,
        rotate_range=0.15 if "rotation" in chosen else 0.0,
        scale_range=(0.1, 0.1) if "scale" in chosen else (0.0, 0.0),
        translate_range=(8, 8) if "shift" in chosen else (0, 0),
        mode=("bilinear", "nearest"),
        padding_mode="border",
    )
    changes: list[Transform] = [
        moved,
        RandScaleIntensityd("image", factors=0.1, prob=0.5 if "intensity" in chosen else 0.0),
        RandShiftIntensityd("image", offsets=0.05, prob=0.5 if "intensity" in chosen else 0.0),
        RandGaussianNoised("image", prob=0.3 if "noise" in chosen else 0.0, std=0.03),
    ]
    return [*changes, RandMirrorSidesd(labels or {})] if "flip" in chosen else changes


def unite(masks: Tensor) -> Tensor:
    """(M, I, J, K) -> (1, I, J, K): inside, 1, where any of the M masks is.

    Raises DatasetError for a mask of several structures: of more than one value besides 0.
    """
    for mask in masks:
        inside = mask[mask != 0]
        if inside.numel() and inside.min() != inside.max():
            raise DatasetError(
                f"a mask holds several values besides 0, from {int(inside.min())} to {int(inside.max())}; wanted a "
                "file for each structure, 0 outside it: write a mask for each value"
            )
    return (masks != 0).any(dim=0, keepdim=True).to(masks.dtype)


def finite(image: Tensor) -> Tensor:
    """`image` itself. Raises ValueError for NaN or infinite voxels: resizing would spread them without a word."""
    wrong = int((~image.isfinite()).sum())
    if wrong:
        raise ValueError(f"the image has {wrong} voxels that are no finite numbers (NaN or infinite): write it again")
    return image


def in_window(image: Tensor, window_hu: Sequence[float]) -> Tensor:
    """`image` itself. Raises DatasetError where the window shows nothing of it, or no voxel near its lower end.

    Air is there in every CT in Hounsfield units; an 8-bit picture, normalised values or those of a scanner without its
    intercept begin at 0, and a window from -1000 would make them all one bright grey without a word.
    """
    low, high = window_hu
    darkest, brightest = float(image.min()), float(image.max())
    came = f"the image's values run from {darkest:g} to {brightest:g}"
    if brightest <= low or darkest >= high:
        raise DatasetError(f"{came}: nothing lies within window_hu [{low:g}, {high:g}]. Give a --window_hu that does")
    if darkest > low + NEAR_LOW * (high - low):
        raise DatasetError(
            f"{came}, none near the lower end of window_hu [{low:g}, {high:g}], where air is in Hounsfield units: an "
            "8-bit picture, normalised, or never rescaled? Give Hounsfield units, or the --window_hu of these values"
        )
    return image


def _load(keys: list[str], dtype: type) -> Transform:
    with warnings.catch_warnings():  # LoadImaged sets up readers of all formats and warns about one for DICOM on GPUs
        warnings.simplefilter("ignore", UserWarning)
        return LoadImaged(keys, reader="NibabelReader", dtype=dtype, ensure_channel_first=True, image_only=True)


def _to_network_grid(keys: list[str], window_hu: Sequence[float], spatial_size: Sequence[int]) -> list[Transform]:
    low, high = window_hu
    return [
        Orientationd(keys, axcodes="LPS", labels=None),
        Lambdad("image", func=partial(in_window, window_hu=window_hu)),
        ScaleIntensityRanged("image", a_min=low, a_max=high, b_min=0.0, b_max=1.0, clip=True),
        Resized(keys, spatial_size=(*spatial_size, -1), mode="trilinear"),
    ]
