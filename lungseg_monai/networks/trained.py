"""The network that a checkpoint describes."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from lungseg_monai.errors import ModelError
from lungseg_monai.networks.cxr_deeplabv3 import CxrDeepLabV3
from lungseg_monai.networks.cxr_fcnn import CxrFCNN
from lungseg_monai.networks.cxr_unet import CxrUNet
from lungseg_monai.networks.resnet50_unet import ResNet50UNet
from lungseg_monai.networks.tumor import tumor_network

OPTIONS = ("architecture", "dense", "recurrent_layers")
RADIOGRAPHS = {  # bundle -> network
    "cxr_lung_unet": CxrUNet,
    "cxr_lung_fcnn": CxrFCNN,
    "cxr_lung_deeplabv3": CxrDeepLabV3,
    "cxr_lung_resnet50_unet": ResNet50UNet,
}
CXR_OPTIONS = ("n_filters", "batch_normalization", "width")
TUMOR_EXAMPLE, CXR_EXAMPLE = (1, 1, 32, 16, 8), (1, 1, 96, 64)


def network_of(numbers: Mapping[str, Any]) -> nn.Module:
    """A tumour network by `network_name`, `width`, and those of OPTIONS that are there and not null; to predict with.

    Raises ModelError where the numbers name no network, ConfigError where there is none of that name.
    """
    missing = {"network_name", "width"} - set(numbers)
    if missing:
        raise ModelError(f"these numbers describe no tumour network: {', '.join(sorted(missing))} is missing")
    options = {name: numbers[name] for name in OPTIONS if numbers.get(name) is not None}
    return tumor_network(str(numbers["network_name"]), int(numbers["width"]), **options).eval()


def radiograph_network(bundle: str, numbers: Mapping[str, Any]) -> nn.Module:
    """The network of a radiograph bundle, of its run's filters or width; in evaluation mode.

    Raises ModelError for a bundle that is none of RADIOGRAPHS, ConfigError for numbers that can't be.
    """
    if bundle not in RADIOGRAPHS:
        raise ModelError(f"{bundle} is no bundle of radiographs; there are: {', '.join(RADIOGRAPHS)}")
    return RADIOGRAPHS[bundle](**{name: numbers[name] for name in CXR_OPTIONS if name in numbers}).eval()


def trained_network(checkpoint: Mapping[str, Any]) -> tuple[nn.Module, tuple[int, ...]]:
    """The network that a checkpoint's bundle and numbers describe, and the shape of an input to try it on."""
    if str(checkpoint.get("bundle")) in RADIOGRAPHS:
        return radiograph_network(checkpoint["bundle"], checkpoint["numbers"]), CXR_EXAMPLE
    return network_of(checkpoint["numbers"]), TUMOR_EXAMPLE
