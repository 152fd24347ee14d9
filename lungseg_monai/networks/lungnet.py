"""2D-LungNet: the dilated convolutional network of Anthimopoulos et al. (2018), as Hossain et al. (2019) use it."""

import torch
from torch import Tensor, nn

from lungseg_monai.errors import ConfigError

DILATIONS = (1, 1, 2, 3, 5, 8, 13, 21, 34, 55)  # Fibonacci's numbers
RECEPTIVE_FIELD = 1 + 2 * sum(DILATIONS)  # 287 pixels
EPSILON, MOMENTUM = 1e-3, 0.01  # of batch normalisation


class LungNet2D(nn.Module):
    """Ten dilated 3x3 convolutions at full resolution; three 1x1 convolutions read what all of them found.

    Input (B, in_channels, H, W), float, any H and W. Output (B, out_channels, H, W): logits, before the sigmoid.
    width: maps of each dilated convolution; the 1x1 convolutions have four times as many, then as many.
    Raises ConfigError for a width below 1, ValueError for an input that is not 2D.

    Differs from Anthimopoulos et al. (facts of their public code), as in Hossain et al., phase I, whose figures
    Kamal et al. repeat: one CT channel, one sigmoid map, running statistics in prediction where theirs takes the
    batch's. Guesses: zero padding, dropout of single values, momentum 0.01 (Keras' 0.99).
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, width: int = 32, dropout: float = 0.5) -> None:
        super().__init__()
        self.trunk = DilatedTrunk(in_channels, width)
        self.dropout = nn.Dropout(dropout)
        self.wide = ConvUnit(nn.Conv2d(self.trunk.out_channels, 4 * width, kernel_size=1))
        self.narrow = ConvUnit(nn.Conv2d(4 * width, width, kernel_size=1))
        self.out = nn.Conv2d(width, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            sizes = " x ".join([str(n) for n in x.shape[2:]])
            raise ValueError(f"LungNet2D wants slices (B, C, H, W), got {sizes} after batch and channel")
        x = self.dropout(self.trunk(x))  # (B, in_channels + 10 width, H, W)
        return self.out(self.narrow(self.wide(x)))  # (B, out_channels, H, W)


class DilatedTrunk(nn.Module):
    """The normalised input and what ten 3x3 convolutions in a row make of it, concatenated.

    (B, in_channels, H, W) -> (B, in_channels + 10 width, H, W). Raises ConfigError for a width below 1.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        if width < 1:
            raise ConfigError(f"LungNet's width must be 1 or more, got {width}")
        self.start = Residual(nn.BatchNorm2d(in_channels, eps=EPSILON, momentum=MOMENTUM))
        inputs = (in_channels, *[width] * (len(DILATIONS) - 1))
        self.layers = nn.ModuleList(
            ConvUnit(nn.Conv2d(channels, width, kernel_size=3, padding=dilation, dilation=dilation))
            for channels, dilation in zip(inputs, DILATIONS, strict=True)
        )
        self.out_channels = in_channels + len(DILATIONS) * width

    def forward(self, x: Tensor) -> Tensor:
        x = self.start(x)
        found = [x]
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        return torch.cat(found, dim=1)


class ConvUnit(nn.Module):
    """Convolution, x + BN(x), ReLU; in 2D or 3D as the convolution is."""

    def __init__(self, conv: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        self.conv = conv
        norm = nn.BatchNorm2d if isinstance(conv, nn.Conv2d) else nn.BatchNorm3d
        self.norm = Residual(norm(conv.out_channels, eps=EPSILON, momentum=MOMENTUM))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(x)))


class Residual(nn.Module):
    """x + BN(x)."""

    def __init__(self, norm: nn.BatchNorm2d | nn.BatchNorm3d) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(x)
