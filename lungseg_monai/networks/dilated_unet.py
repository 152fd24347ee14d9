"""U-Net with dilated convolutions: Chen et al., Comput. Methods Programs Biomed. 207:106170 (2021); its reach."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lungseg_monai.errors import ConfigError
from lungseg_monai.networks.cxr_layers import check_sides

LEVELS = 5  # four that are pooled, and the bottleneck
RATES = ((1, 1), (1, 1), (1, 1), (1, 1), (2, 4))
PLAIN = (1, 1)  # of the decoder


class DilatedUNet(nn.Module):
    """2D U-Net whose encoder and bottleneck take their 3x3 convolutions at intervals of a rate.

    Input (B, in_channels, H, W), float, H and W divisible by 16. Output (B, out_channels, H, W): logits.
    rates: dilations of the two convolutions of each of the four encoder levels and of the bottleneck; `receptive_field`
    tells what they see. width: channels of the first level, doubled at each level below. The weights have GaoUNet's
    names and shapes whatever the rates, so its weights start this network, and all rates 1 are that network.
    Raises ConfigError for settings that can't be, ValueError for other inputs.

    Differs from the paper (only its abstract could be read, docs/papers/chen-dilated-unet.md), all guesses: which
    convolutions are dilated and how much (the bottleneck's, 2 and 4), that the decoder is plain, four levels, width 32,
    batch normalisation, "same" padding.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 32,
        rates: Sequence[Sequence[int]] = RATES,
        dropout: float = 0.0,
        norm: bool = True,
    ) -> None:
        super().__init__()
        r1, r2, r3, r4, r5 = checked_rates(rates)
        if width < 1:
            raise ConfigError(f"width of DilatedUNet must be 1 or more, got {width}; 32 is its default")
        if not 0.0 <= dropout < 1.0:
            raise ConfigError(f"dropout of DilatedUNet is a share of channels: at least 0, below 1, got {dropout}")
        w1, w2, w3, w4, w5 = (width * 2**level for level in range(LEVELS))
        self.encoder1 = dilated_block(in_channels, w1, r1, dropout, norm)
        self.encoder2 = dilated_block(w1, w2, r2, dropout, norm)
        self.encoder3 = dilated_block(w2, w3, r3, dropout, norm)
        self.encoder4 = dilated_block(w3, w4, r4, dropout, norm)
        self.pool = nn.MaxPool2d(2)
        self.middle = dilated_block(w4, w5, r5, dropout, norm)
        self.up4 = nn.ConvTranspose2d(w5, w4, kernel_size=2, stride=2)
        self.decoder4 = dilated_block(2 * w4, w4, PLAIN, dropout, norm)
        self.up3 = nn.ConvTranspose2d(w4, w3, kernel_size=2, stride=2)
        self.decoder3 = dilated_block(2 * w3, w3, PLAIN, dropout, norm)
        self.up2 = nn.ConvTranspose2d(w3, w2, kernel_size=2, stride=2)
        self.decoder2 = dilated_block(2 * w2, w2, PLAIN, dropout, norm)
        self.up1 = nn.ConvTranspose2d(w2, w1, kernel_size=2, stride=2)
        self.decoder1 = dilated_block(2 * w1, w1, PLAIN, dropout, norm)
        self.out = nn.Conv2d(w1, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        check_sides("DilatedUNet", x, 16)
        x1 = self.encoder1(x)  # (B, w, H, W)
        x2 = self.encoder2(self.pool(x1))  # (B, 2w, H/2, W/2)
        x3 = self.encoder3(self.pool(x2))  # (B, 4w, H/4, W/4)
        x4 = self.encoder4(self.pool(x3))  # (B, 8w, H/8, W/8)
        x5 = self.middle(self.pool(x4))  # (B, 16w, H/16, W/16)
        y4 = self.decoder4(torch.cat([x4, self.up4(x5)], dim=1))  # (B, 8w, H/8, W/8)
        y3 = self.decoder3(torch.cat([x3, self.up3(y4)], dim=1))  # (B, 4w, H/4, W/4)
        y2 = self.decoder2(torch.cat([x2, self.up2(y3)], dim=1))  # (B, 2w, H/2, W/2)
        y1 = self.decoder1(torch.cat([x1, self.up1(y2)], dim=1))  # (B, w, H, W)
        return self.out(y1)  # (B, out_channels, H, W)


def dilated_block(in_channels: int, features: int, rates: Sequence[int], dropout: float, norm: bool) -> nn.Sequential:
    """For each rate: dilated 3x3 convolution, batch normalisation if `norm`, ReLU, dropout of whole channels."""
    layers: list[nn.Module] = []
    for channels, rate in zip((in_channels, *[features] * (len(rates) - 1)), rates, strict=True):
        layers.append(nn.Conv2d(channels, features, kernel_size=3, padding=rate, dilation=rate, bias=not norm))
        if norm:
            layers.append(nn.BatchNorm2d(features))
        layers.append(nn.ReLU(inplace=True))
        layers.append(nn.Dropout2d(dropout))  # also at 0, so that weights fit whatever the dropout
    return nn.Sequential(*layers)


def receptive_field(rates: Sequence[Sequence[int]] = RATES) -> int:
    """Side, in pixels of the slice, of the square that one output pixel can depend on; the largest of any pixel.

    It is that of the span: a rate above 1 leaves pixels out between its taps. Raises ConfigError as DilatedUNet does.
    """
    period = 2 ** (LEVELS - 1)  # a pixel's place among those that are pooled into one decides how far it sees
    return max(last - first + 1 for first, last in (span(rates, pixel) for pixel in range(period)))


def span(rates: Sequence[Sequence[int]], pixel: int) -> tuple[int, int]:
    """First and last input index, along one axis, that output `pixel` can depend on in an endless slice."""
    rates = checked_rates(rates)
    first = last = pixel
    skips: list[tuple[int, int]] = []
    for _ in rates[:-1]:  # up the decoder, from the output to the bottleneck
        first, last = first - sum(PLAIN), last + sum(PLAIN)
        skips.append((first, last))
        first, last = first // 2, last // 2  # a 2x2 up-convolution of stride 2: pixel o is made of o // 2
    first, last = first - sum(rates[-1]), last + sum(rates[-1])
    for pair, skip in zip(reversed(rates[:-1]), reversed(skips), strict=True):  # and down the encoder to the input
        first, last = 2 * first, 2 * last + 1  # 2x2 pooling
        first, last = min(first, skip[0]) - sum(pair), max(last, skip[1]) + sum(pair)
    return first, last


def checked_rates(rates: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Five pairs of whole numbers from 1, or a ConfigError."""
    pairs = [tuple(pair) for pair in rates if not isinstance(pair, int)]
    whole = all(isinstance(rate, int) and rate >= 1 for pair in pairs for rate in pair)
    if len(pairs) != LEVELS or len(rates) != LEVELS or any(len(pair) != 2 for pair in pairs) or not whole:
        raise ConfigError(
            f"rates of DilatedUNet must be {LEVELS} pairs of whole numbers from 1, for four encoder levels and the "
            f"bottleneck, got {rates!r}: for example {[list(pair) for pair in RATES]}"
        )
    return [(first, second) for first, second in pairs]
