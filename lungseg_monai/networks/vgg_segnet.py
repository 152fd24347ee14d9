"""VGG-SegNet: Khan et al., Diagnostics 11(12):2208 (2021). VGG19, and back up by its pooling indices."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import max_unpool2d

from lungseg_monai.errors import ConfigError
from lungseg_monai.networks.cxr_layers import check_sides, initialise_he

CONVOLUTIONS = (2, 2, 4, 4, 4)  # of VGG19's five levels; VGG16 has 2, 2, 3, 3, 3
WIDTHS = (1, 2, 4, 8, 8)  # in units of the first level's


class VggSegNet(nn.Module):
    """VGG19 without its dense layers, and its mirror image, which puts values back where each maximum came from.

    Input (B, in_channels, H, W), float, H and W divisible by 32. Output (B, out_channels, H, W): logits of the
    classes, for cross-entropy. width: maps of the first level; VGG19 has 64. norm: batch normalisation after each
    convolution but the last. `encoder` gives the deepest maps, for `lungseg_monai.features.deep`.
    Raises ConfigError for settings that can't be, ValueError for other inputs.

    Differs from the paper (only its abstract could be read, docs/papers/khan-vgg-segnet.md), guesses: one CT channel
    where VGG19 has three; batch normalisation, and the last 3x3 convolution as the classes' logits, as in SegNet
    (Badrinarayanan et al. 2017); weights start at random after He et al. (2015).
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 2, width: int = 64, norm: bool = True) -> None:
        super().__init__()
        if width < 1:
            raise ConfigError(f"width of VggSegNet must be 1 or more, got {width}; that of VGG19 is 64")
        w1, w2, w3, w4, w5 = (width * times for times in WIDTHS)
        n1, n2, n3, n4, n5 = CONVOLUTIONS
        self.encoder = VggEncoder(in_channels, width, norm)
        self.decoder5 = convolutions(n5, w5, w5, w4, norm)
        self.decoder4 = convolutions(n4, w4, w4, w3, norm)
        self.decoder3 = convolutions(n3, w3, w3, w2, norm)
        self.decoder2 = convolutions(n2, w2, w2, w1, norm)
        self.decoder1 = convolutions(n1 - 1, w1, w1, w1, norm)
        self.out = nn.Conv2d(w1, out_channels, kernel_size=3, padding=1)
        initialise_he(self)

    def forward(self, x: Tensor) -> Tensor:
        i1, i2, i3, i4, i5, y = self.encoder(x)  # (B, 8w, H/32, W/32)
        y = self.decoder5(unpooled(y, i5))  # (B, 8w, H/16, W/16)
        y = self.decoder4(unpooled(y, i4))  # (B, 4w, H/8, W/8)
        y = self.decoder3(unpooled(y, i3))  # (B, 2w, H/4, W/4)
        y = self.decoder2(unpooled(y, i2))  # (B, w, H/2, W/2)
        y = self.decoder1(unpooled(y, i1))  # (B, w, H, W)
        return self.out(y)  # (B, out_channels, H, W)


class VggEncoder(nn.Module):
    """VGG19's sixteen convolutions (Simonyan and Zisserman 2015, Table 1, E), a 2x2 max pooling after each level.

    (B, in_channels, H, W), H and W divisible by 32 -> the five poolings' indices, from the first to the deepest, each
    of one plane's H W at that level, and the deepest maps (B, 8w, H/32, W/32). Raises ValueError for other sizes.
    """

    def __init__(self, in_channels: int, width: int, norm: bool) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = (width * times for times in WIDTHS)
        n1, n2, n3, n4, n5 = CONVOLUTIONS
        self.level1 = convolutions(n1, in_channels, w1, w1, norm)
        self.level2 = convolutions(n2, w1, w2, w2, norm)
        self.level3 = convolutions(n3, w2, w3, w3, norm)
        self.level4 = convolutions(n4, w3, w4, w4, norm)
        self.level5 = convolutions(n5, w4, w5, w5, norm)
        self.pool = nn.MaxPool2d(2, return_indices=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        check_sides("VggSegNet", x, 32)
        x, i1 = self.pool(self.level1(x))  # (B, w, H/2, W/2)
        x, i2 = self.pool(self.level2(x))  # (B, 2w, H/4, W/4)
        x, i3 = self.pool(self.level3(x))  # (B, 4w, H/8, W/8)
        x, i4 = self.pool(self.level4(x))  # (B, 8w, H/16, W/16)
        x, i5 = self.pool(self.level5(x))  # (B, 8w, H/32, W/32)
        return i1, i2, i3, i4, i5, x


def unpooled(x: Tensor, indices: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C, 2h, 2w): each value where its 2x2 window's maximum was, 0 elsewhere."""
    return max_unpool2d(x, indices, [2, 2])  # TorchScript fails on nn.MaxUnpool2d


def convolutions(count: int, in_channels: int, features: int, out_channels: int, norm: bool) -> nn.Sequential:
    """`count` times: 3x3 convolution, batch normalisation if `norm`, ReLU; from in_channels by features to out."""
    layers: list[nn.Module] = []
    channels = [in_channels, *[features] * (count - 1), out_channels]
    for inputs, outputs in pairwise(channels):
        layers.append(nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=not norm))
        if norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
