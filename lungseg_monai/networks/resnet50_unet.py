"""U-Net decoder on a ResNet50 encoder: Kuppili, "Lung Segmentation using Deep Learning", section 3."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.networks.blocks import Convolution
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lungseg_monai.errors import CheckpointError, ConfigError
from lungseg_monai.networks.cxr_layers import check_sides

BOTTLENECKS = (3, 4, 6, 3)  # of ResNet50's four layers; each widens its maps by EXPANSION
EXPANSION = 4
WRAPPERS = ("state_dict", "model")  # what a file may keep the weights under
MAPPING = (
    "The names wanted are those of torchvision's ResNet50: conv1.weight, bn1.*, layer1.0.conv1.weight to "
    "layer4.2.bn3.*, and downsample.0 and .1 in the first bottleneck of each layer; fc.* is left out"
)


class ResNet50UNet(nn.Module):
    """ResNet50 without its classifier, and four decoder blocks that read each layer's maps beside the upsampled ones.

    Input (B, in_channels, H, W), float 0..1, H and W divisible by 32. Output (B, out_channels, H, W): logits of the
    classes, for cross-entropy. width: maps of ResNet50's first convolution; weights from elsewhere fit 64 alone.
    The weights start at random; `load_encoder` reads ResNet50's from a file.
    Raises ConfigError for settings that can't be, ValueError for other inputs.

    Differs from the paper (docs/papers/kuppili.md): one grey channel where ResNet50 has three; the decoder's widths
    4w, 2w, w, w/2 with two convolutions each, bilinear upsampling and a final layer at half the size are guesses, as
    is that its ResNet50 may have come with weights of ImageNet, of which the text does not tell.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 2, width: int = 64) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ConfigError(f"width of ResNet50UNet must be even and 2 or more, got {width}; that of ResNet50 is 64")
        w = width
        self.encoder = ResNet50Encoder(in_channels, w)
        self.decoder4 = decoder_block((32 + 16) * w, 4 * w)
        self.decoder3 = decoder_block((4 + 8) * w, 2 * w)
        self.decoder2 = decoder_block((2 + 4) * w, w)
        self.decoder1 = decoder_block((1 + 1) * w, w // 2)
        self.final = conv_unit(w // 2, w // 2)
        self.out = nn.Conv2d(w // 2, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        check_sides("ResNet50UNet", x, 32)
        stem, x1, x2, x3, x4 = self.encoder(x)
        y = self.decoder4(torch.cat([doubled(x4), x3], dim=1))  # (B, 4w, H/16, W/16)
        y = self.decoder3(torch.cat([doubled(y), x2], dim=1))  # (B, 2w, H/8, W/8)
        y = self.decoder2(torch.cat([doubled(y), x1], dim=1))  # (B, w, H/4, W/4)
        y = self.decoder1(torch.cat([doubled(y), stem], dim=1))  # (B, w/2, H/2, W/2)
        return doubled(self.out(self.final(y)))  # (B, out_channels, H, W), "upsampled again before being returned"

    def load_encoder(self, path: str | Path) -> None:
        """Start the encoder from the ResNet50 in a local file: .pt or .pth (a state dict), or .safetensors.

        Names are torchvision's, and so are the encoder's own: each weight goes to the one of its name, fc.* nowhere.
        With in_channels 1, the first convolution's weights of three channels are summed: a grey image then gives what
        three equal channels gave. Weights of ImageNet were trained on normalised images (mean 0, deviation 1): train
        on from there, so that the running statistics follow images of 0..1, or normalise.
        Raises CheckpointError: missing, unreadable, or not ResNet50's, naming what is missing or unexpected.
        """
        weights = read_weights(Path(path))
        self.encoder.load_state_dict(fitted(weights, self.encoder.state_dict(), Path(path)), strict=False)


class ResNet50Encoder(nn.Module):
    """ResNet50 of He et al. (2015), the stride in the 3x3 convolution, by MONAI's ResNet; names are torchvision's.

    (B, in_channels, H, W) -> (B, w, H/2, W/2), (B, 4w, H/4, W/4), (B, 8w, H/8, W/8), (B, 16w, H/16, W/16),
    (B, 32w, H/32, W/32).
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        whole = ResNet(
            "bottleneck", list(BOTTLENECKS), [width * 2**layer for layer in range(4)], spatial_dims=2,
            n_input_channels=in_channels, conv1_t_stride=2, feed_forward=False, bias_downsample=False,
        )  # fmt: skip
        self.conv1, self.bn1, self.act, self.maxpool = whole.conv1, whole.bn1, whole.act, whole.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = whole.layer1, whole.layer2, whole.layer3, whole.layer4

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        stem = self.act(self.bn1(self.conv1(x)))
        x1 = self.layer1(self.maxpool(stem))
        x2 = self.layer2(x1)
        x3 = self.layer3(x2)
        return stem, x1, x2, x3, self.layer4(x3)


def conv_unit(in_channels: int, features: int) -> Convolution:
    """The paper's "sequential composition": 3x3 convolution, batch normalisation, ReLU."""
    return Convolution(
        2, in_channels, features, kernel_size=3, adn_ordering="NA", norm="batch", act=("relu", {"inplace": True}),
        bias=False,
    )  # fmt: skip


def decoder_block(in_channels: int, features: int) -> nn.Sequential:
    return nn.Sequential(conv_unit(in_channels, features), conv_unit(features, features))


def doubled(x: Tensor) -> Tensor:
    """Twice the height and width, bilinear."""
    return interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights by name in a .pt, .pth or .safetensors file, on the CPU. Raises CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"there is no file {path} with the weights of a ResNet50: give a local .pt, .pth or "
                              ".safetensors file; nothing is downloaded")  # fmt: skip
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path, device="cpu")
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError as error:
        raise CheckpointError(f"{path} needs the package safetensors: pip install safetensors, or give .pth") from error
    except Exception as error:  # foreign or damaged bytes make the readers raise anything
        raise CheckpointError(
            f"{path} can't be read as weights ({type(error).__name__}): a .pt or .pth must hold a state dict and no "
            "other Python objects; save model.state_dict() rather than the model"
        ) from error
    for name in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds no state dict, but a {type(content).__name__}: save model.state_dict()")
    other = [str(name) for name, value in content.items() if not isinstance(name, str) or not isinstance(value, Tensor)]
    if other:
        raise CheckpointError(
            f"{path} holds no plain state dict: {some(other)} is no weight with a name: save model.state_dict()"
        )
    return dict(content)


def fitted(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """What of `found` goes into an encoder of the state `wanted`, the first convolution summed to one channel.

    Raises CheckpointError naming what is missing, unexpected or of another shape.
    """
    weights = {name: value for name, value in found.items() if not name.startswith("fc.")}
    first = weights.get("conv1.weight")
    if first is not None and first.dim() == 4 and first.shape[1] == 3 and wanted["conv1.weight"].shape[1] == 1:
        weights["conv1.weight"] = first.sum(dim=1, keepdim=True)
    # Files from before batch normalisation counted its batches lack that count, which the weights do without.
    missing = [name for name in wanted if name not in weights and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in weights if name not in wanted]
    if missing or unexpected:
        raise CheckpointError(
            f"{path} does not hold the weights of a ResNet50: {some(missing)} missing, {some(unexpected)} unexpected. "
            f"{MAPPING}: rename the weights, or give another file"
        )
    other = [
        f"{name} {list(value.shape)} (wanted {list(wanted[name].shape)})"
        for name, value in weights.items() if value.shape != wanted[name].shape
    ]  # fmt: skip
    if other:
        raise CheckpointError(
            f"{path} holds a ResNet of another size: {some(other)}. Weights from elsewhere fit width 64 and as many "
            "input channels as the network has, or three where it has one"
        )
    return weights


def some(names: list[str]) -> str:
    """The first three, and how many more there are; "none" of an empty list."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more if names else "none"
