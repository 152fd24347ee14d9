"""The transform lists of the radiograph bundles: picture and masks onto the network's grid, and random changes of them.

An item is a dict: `image` a picture's file, a list of mask files per target, `case_id`. Order and parameters of
pre-processing are data: a setting's name or a list (pictures/steps.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.transforms import (
    Lambdad,
    Rand2DElasticd,
    RandAdjustContrastd,
    RandAffined,
    RandBiasFieldd,
    RandGaussianNoised,
    RandGaussianSharpend,
    RandGaussianSmoothd,
    RandHistogramShiftd,
    Transform,
)
from torch import Tensor

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures.steps import Steps, parts, steps_of
from lungseg_monai.transforms.burnt_in import text, tubes
from lungseg_monai.transforms.crop_resize import RandCropResized
from lungseg_monai.transforms.film_looks import (
    contrast_and_brightness,
    equalised,
    inverted,
    portable_look,
    vignetted,
)
from lungseg_monai.transforms.flip_lungs import RandFlipLungsd
from lungseg_monai.transforms.frames import borders
from lungseg_monai.transforms.opacities import opacities
from lungseg_monai.transforms.picture_steps import PictureStepsd, PrepareMasksd, PrepareRadiographd
from lungseg_monai.transforms.random_picture import RandPictured

AUGMENTATIONS = (  # in the order in which they are done: the patient, the machine, the film, the file
    "flip",
    "affine",
    "elastic",
    "cropping",
    "opacities",
    "tubes",
    "portable",
    "vignette",
    "shading",
    "gamma",
    "contrast",
    "histogram",
    "clahe",
    "blur",
    "sharpen",
    "noise",
    "borders",
    "text",
    "inversion",
)
# How often each is done in training for other hospitals. Chosen, not yet measured.
STRONG: dict[str, float] = {
    "flip": 0.5,
    "affine": 0.8,
    "elastic": 0.15,
    "cropping": 0.15,
    "opacities": 0.35,
    "tubes": 0.2,
    "portable": 0.25,
    "vignette": 0.15,
    "shading": 0.2,
    "gamma": 0.5,
    "contrast": 0.4,
    "histogram": 0.2,
    "clahe": 0.2,
    "blur": 0.15,
    "sharpen": 0.1,
    "noise": 0.25,
    "borders": 0.25,
    "text": 0.25,
    "inversion": 0.05,
}


def radiograph_image(steps: str | Steps, spatial_size: Sequence[int]) -> list[Transform]:
    """Load `image` for prediction: float32 (1, *spatial_size) after all steps. `shape_hw` is the file's own size."""
    return [PrepareRadiographd("image", steps_of(steps), spatial_size)]


def labelled_radiograph(targets: Sequence[str], steps: str | Steps, spatial_size: Sequence[int]) -> list[Transform]:
    """`image` (1, *spatial_size) after the steps before "augmentation", `label` (T, *spatial_size) uint8 0/1.

    What these steps make is held in memory; `radiograph_finish` does the rest of them, after the random changes.
    """
    before, _ = parts(steps)
    return [PrepareRadiographd("image", before, spatial_size), PrepareMasksd(targets, spatial_size)]


def radiograph_finish(steps: str | Steps, spatial_size: Sequence[int]) -> list[Transform]:
    """The steps after "augmentation" for `image` (1, *spatial_size); none without it."""
    _, after = parts(steps)
    return [PictureStepsd("image", after, spatial_size)] if after else []


def radiograph_augmentation(
    augment: bool, probabilities: Mapping[str, float], spatial_size: Sequence[int], targets: Sequence[str] = ("lungs",)
) -> list[Transform]:
    """Random changes of a training radiograph (`image` (1, H, W), `label` (T, H, W)); none unless `augment`.

    `probabilities` says how often each of AUGMENTATIONS is done, from 0 to 1; one that is not named is not done.
    `targets` are the label's channels: in a flip those that end in _right and _left change places. The image is cut to
    0 ... 1 at the end. Raises ConfigError for an unknown name or what is no probability.
    """
    check_probabilities(probabilities)
    p = {name: float(probabilities.get(name, 0.0)) for name in AUGMENTATIONS}
    if not augment or not any(p.values()):
        return []
    rows, columns = spatial_size
    made = {
        "flip": RandFlipLungsd(p["flip"], targets),
        **_geometry(p, rows, columns),
        **_intensities(p),
        "opacities": RandPictured(opacities, p["opacities"]),
        "tubes": RandPictured(tubes, p["tubes"]),
        "portable": RandPictured(portable_look, p["portable"]),
        "vignette": RandPictured(vignetted, p["vignette"]),
        "contrast": RandPictured(contrast_and_brightness, p["contrast"]),
        "clahe": RandPictured(equalised, p["clahe"]),
        "borders": RandPictured(borders, p["borders"]),
        "text": RandPictured(text, p["text"]),
        "inversion": RandPictured(inverted, p["inversion"]),
    }
    return [*(made[name] for name in AUGMENTATIONS if p[name] > 0), Lambdad("image", func=between_0_and_1)]


def check_probabilities(probabilities: Mapping[str, float]) -> None:
    """Raise ConfigError unless each of `probabilities` is known and lies in [0, 1]."""
    for name, value in probabilities.items():
        if name not in AUGMENTATIONS:
            raise ConfigError(f"there is no augmentation {name!r}; there are: {', '.join(AUGMENTATIONS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ConfigError(f"the augmentation {name} has the probability {value!r}: give a number from 0 to 1")


def between_0_and_1(image: Tensor) -> Tensor:
    return torch.clamp(torch.as_tensor(image), 0.0, 1.0)


def _geometry(p: Mapping[str, float], rows: int, columns: int) -> dict[str, Transform]:
    """Rotation to 17 degrees, scale 0.7 to 1.3, shear 0.1, shift by an eighth; black outside, as of a turned film."""
    both: Any = ["image", "label"]
    modes: Any = ("bilinear", "nearest")
    return {
        "affine": RandAffined(
            both,
            prob=p["affine"],
            rotate_range=0.3,
            shear_range=(0.1, 0.1),
            translate_range=(rows // 8, columns // 8),
            scale_range=(0.3, 0.3),
            mode=modes,
            padding_mode="zeros",
        ),
        "elastic": Rand2DElasticd(
            both,
            spacing=(max(rows // 6, 1), max(columns // 6, 1)),
            magnitude_range=(0.5, 2.5),
            prob=p["elastic"],
            mode=modes,
            padding_mode="zeros",
        ),
        "cropping": RandCropResized(both, prob=p["cropping"], smallest=0.75),
    }


def _intensities(p: Mapping[str, float]) -> dict[str, Transform]:
    return {
        "shading": RandBiasFieldd("image", degree=3, coeff_range=(-0.25, 0.25), prob=p["shading"]),
        "gamma": RandAdjustContrastd("image", prob=p["gamma"], gamma=(0.45, 2.2)),
        "histogram": RandHistogramShiftd("image", num_control_points=(4, 8), prob=p["histogram"]),
        "blur": RandGaussianSmoothd("image", sigma_x=(0.3, 1.5), sigma_y=(0.3, 1.5), prob=p["blur"]),
        "sharpen": RandGaussianSharpend("image", alpha=(2.0, 10.0), prob=p["sharpen"]),
        "noise": RandGaussianNoised("image", prob=p["noise"], std=0.06),
    }
