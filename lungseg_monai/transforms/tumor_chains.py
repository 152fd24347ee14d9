"""The transform lists of the tumour bundles: CT and tumour onto the network's grid, and what changes a patch at random.

An item is a dict as data.py makes it: `image` a NIfTI file, a list of mask files per target (an empty list: no
tumour) and perhaps `slices`. Inside a chain volumes are (C, I, J, K) with the axes pointing to L, P, S.
"""

import gzip
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import (
    AsDiscreted,
    CastToTyped,
    ConcatItemsd,
    DeleteItemsd,
    Lambdad,
    LoadImaged,
    Orientationd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandRotated,
    RandScaleIntensityd,
    RandShiftIntensityd,
    Resized,
    ScaleIntensityRanged,
    Transform,
)
from torch import Tensor

from lungseg_monai.errors import ConfigError
from lungseg_monai.transforms.chains import finite, in_window
from lungseg_monai.transforms.crop_resize import RandCropResized
from lungseg_monai.transforms.load_masks import LoadMasksd
from lungseg_monai.transforms.multiplicative_noise import RandMultiplicativeNoised
from lungseg_monai.transforms.stretch import eight_bits_to_one, stretch_slices
from lungseg_monai.transforms.take_slices import TakeSlicesd

INTENSITIES = ("window", "stretch")
AUGMENTATIONS = ("rotation", "cropping", "shift", "scale", "additive_noise", "multiplicative_noise", "flip", "blur")


def tumor_image(intensity: str, window_hu: Sequence[float], spatial_size: Sequence[int]) -> list[Transform]:
    """Load `image` for prediction: (1, H, W, K) float32 in [0, 1]. Invertd takes probabilities back to the file's grid.

    intensity: "window": `window_hu` (low, high) becomes 0 ... 1, clipped, the same for the whole volume. "stretch":
    each slice by itself to 8 bits, from its lowest value to its highest, as the pictures of the authors' code (which
    then divides each patch by its own maximum: patches.per_patch). `spatial_size` (H, W) is in plane.
    Raises ConfigError for another intensity.
    """
    return [*_load_image(), *_to_network_grid(["image"], intensity, window_hu, spatial_size)]


def tumor_volume(
    targets: Sequence[str], intensity: str, window_hu: Sequence[float], spatial_size: Sequence[int]
) -> list[Transform]:
    """`tumor_image` together with `label` (T, H, W, K), uint8 0/1: a channel for each of `targets`, often one.

    The mask files of a target are united; without any the channel is empty. Masks are resized like the image, by
    linear interpolation cut at one half, so that image and label keep lying on one another.
    """
    names = list(targets)
    return [
        *_load_image(),
        LoadMasksd(names),
        ConcatItemsd(names, name="label"),
        DeleteItemsd(names),
        TakeSlicesd(["image", "label"]),
        *_to_network_grid(["image", "label"], intensity, window_hu, spatial_size),
        AsDiscreted("label", threshold=0.5),
        CastToTyped("label", dtype=np.uint8),
    ]


def patch_augmentation(augment: bool, probabilities: Mapping[str, float]) -> list[Transform]:
    """Random changes of a training patch (`image`, `label` (1, H, W, D)); none unless `augment`.

    `probabilities` says how often each of AUGMENTATIONS is done, from 0 to 1; one that is not named is not done.
    All slices of a patch are changed alike, in plane; the image is clipped to [0, 1] at the end. Tumours have no side,
    so left and right may change places. Raises ConfigError for an unknown name or what is no probability.
    """
    check_probabilities(probabilities)
    if not augment:
        return []
    both = ["image", "label"]
    p = {name: float(probabilities.get(name, 0.0)) for name in AUGMENTATIONS}
    return [
        Lambdad(both, func=slices_as_channels),  # (D, H, W): one grid for all slices
        RandFlipd(both, prob=p["flip"], spatial_axis=0),
        RandRotated(
            both, prob=p["rotation"], range_x=0.26, mode=("bilinear", "nearest"), padding_mode="border", keep_size=True
        ),
        RandCropResized(both, prob=p["cropping"], smallest=0.8),
        RandGaussianSmoothd("image", prob=p["blur"], sigma_x=(0.25, 1.0), sigma_y=(0.25, 1.0)),
        RandScaleIntensityd("image", prob=p["scale"], factors=0.1),
        RandShiftIntensityd("image", prob=p["shift"], offsets=0.04),
        RandMultiplicativeNoised("image", prob=p["multiplicative_noise"], std=0.03),
        RandGaussianNoised("image", prob=p["additive_noise"], std=0.03),
        Lambdad("image", func=between_0_and_1),
        Lambdad(both, func=channels_as_slices),
    ]


def check_probabilities(probabilities: Mapping[str, float]) -> None:
    """Raise ConfigError unless each of `probabilities` is known and lies in [0, 1]."""
    for name, value in probabilities.items():
        if name not in AUGMENTATIONS:
            raise ConfigError(f"there is no augmentation {name!r}; there are: {', '.join(AUGMENTATIONS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ConfigError(f"the augmentation {name} has the probability {value!r}: give a number from 0 to 1")


def slices_as_channels(patch: Tensor) -> Tensor:
    """(1, H, W, D) -> (D, H, W)."""
    return patch[0].permute(2, 0, 1)


def channels_as_slices(slices: Tensor) -> Tensor:
    """(D, H, W) -> (1, H, W, D)."""
    return slices.permute(1, 2, 0)[None].contiguous()


def between_0_and_1(image: Tensor) -> Tensor:
    return torch.clamp(image, 0.0, 1.0)


def spaced(image: Tensor) -> Tensor:
    """`image` itself. Raises ValueError when its file gives no spacing: no axis would point anywhere.

    Where the file has no sform the spacing is that of its header: nibabel makes 1 mm of the 0 that stands there for
    "not known".
    """
    meta = getattr(image, "meta", {})
    if int(meta.get("sform_code", 1)) == 0 and meta.get("filename_or_obj"):
        spacing_mm = torch.as_tensor(written_spacing(Path(str(meta["filename_or_obj"]))))
    else:
        spacing_mm = getattr(image, "affine", torch.eye(4))[:3, :3].norm(dim=0)
    if not bool((spacing_mm > 0).all() and spacing_mm.isfinite().all()):
        raise ValueError(f"the image has no spacing: {[round(float(mm), 4) for mm in spacing_mm]} mm. Write it again.")
    return image


def written_spacing(path: Path) -> tuple[float, ...]:
    """What a NIfTI file's header gives as spacing, in mm, unrepaired: 0 where it is not known."""
    import nibabel as nib

    kind: Any = type(nib.load(path).header)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        header = kind.from_fileobj(stream, check=False)
    return tuple(abs(float(step)) for step in header["pixdim"][1:4])


def _load_image() -> list[Transform]:
    with warnings.catch_warnings():  # LoadImaged sets up readers of all formats and warns about one for DICOM on GPUs
        warnings.simplefilter("ignore", UserWarning)
        load = LoadImaged(
            ["image"], reader="NibabelReader", dtype=np.float32, ensure_channel_first=True, image_only=True
        )
    return [load, Lambdad("image", func=finite), Lambdad("image", func=spaced)]


def _to_network_grid(
    keys: list[str], intensity: str, window_hu: Sequence[float], spatial_size: Sequence[int]
) -> list[Transform]:
    upright = Orientationd(keys, axcodes="LPS", labels=None)
    resize = Resized(keys, spatial_size=(*spatial_size, -1), mode="trilinear")
    if intensity == "window":
        low, high = window_hu
        return [
            upright,
            Lambdad("image", func=partial(in_window, window_hu=window_hu)),
            ScaleIntensityRanged("image", a_min=low, a_max=high, b_min=0.0, b_max=1.0, clip=True),
            resize,
        ]
    if intensity == "stretch":
        return [
            upright,
            Lambdad("image", func=stretch_slices),
            resize,
            Lambdad("image", func=eight_bits_to_one),
        ]
    raise ConfigError(f"the intensity must be one of {', '.join(INTENSITIES)}, got {intensity!r}")
