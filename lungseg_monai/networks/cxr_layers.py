"""What the three networks of the chest X-ray paper (Algorithms 3 to 5) are put together from."""

from monai.networks.blocks import Convolution
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from lungseg_monai.errors import ConfigError


def conv_layer(in_channels: int, features: int, batch_normalization: bool, dilation: int = 1) -> Convolution:
    """3x3 convolution that keeps the size, batch normalisation if asked for, ReLU."""
    return Convolution(
        2, in_channels, features, kernel_size=3, dilation=dilation, adn_ordering="NA",
        norm="batch" if batch_normalization else None, act=("relu", {"inplace": True}), bias=not batch_normalization,
    )  # fmt: skip


def deconv_layer(in_channels: int, features: int, batch_normalization: bool) -> Convolution:
    """3x3 transposed convolution that doubles height and width, batch normalisation if asked for, ReLU."""
    return Convolution(
        2, in_channels, features, kernel_size=3, strides=2, is_transposed=True, adn_ordering="NA",
        norm="batch" if batch_normalization else None, act=("relu", {"inplace": True}), bias=not batch_normalization,
    )  # fmt: skip


def conv_layers(layers: int, in_channels: int, features: int, batch_normalization: bool) -> nn.Sequential:
    """That many convolution layers in a row, the first from `in_channels`."""
    inputs = (in_channels, *[features] * (layers - 1))
    return nn.Sequential(*(conv_layer(channels, features, batch_normalization) for channels in inputs))


def check_settings(network: str, n_filters: int, dropout_rate: float) -> None:
    """Raise ConfigError unless n_filters is 1 or more and dropout_rate at least 0 and below 1."""
    if n_filters < 1:
        raise ConfigError(f"n_filters of {network} must be 1 or more, got {n_filters}; 16 is its default")
    if not 0.0 <= dropout_rate < 1.0:
        raise ConfigError(
            f"dropout_rate of {network} is the share of values left out: at least 0, below 1, got {dropout_rate}"
        )


def check_sides(network: str, x: Tensor, divisor: int) -> None:
    """Raise ValueError unless x is (B, C, H, W) with H and W divisible by `divisor`; TorchScript can call it."""
    if x.dim() != 4 or x.shape[2] % divisor != 0 or x.shape[3] % divisor != 0:
        sizes = " x ".join([str(n) for n in x.shape[2:]])
        raise ValueError(
            f"{network} wants images (B, C, H, W) whose height and width divide by {divisor}, got {sizes} after batch "
            "and channel: resize or pad them, for example to a spatial_size of [256, 256]."
        )


def initialise_he(network: nn.Module) -> None:
    """Start every convolution, transposed ones too, in place: normal after He et al. (2015) by fan-in, biases 0."""
    for module in network.modules():
        if isinstance(module, _ConvNd):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
