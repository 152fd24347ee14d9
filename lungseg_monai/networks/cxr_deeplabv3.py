"""DeepLabV3 of the chest X-ray paper, Algorithm 4 (docs/papers/cxr.md)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lungseg_monai.errors import ConfigError
from lungseg_monai.networks.cxr_layers import (
    check_settings,
    check_sides,
    conv_layer,
    conv_layers,
    deconv_layer,
    initialise_he,
)

RATES = (1, 2, 3, 4, 5, 6, 7, 8)  # of the two layers of each of the four branches in turn


class CxrDeepLabV3(nn.Module):
    """Three blocks that find features, four dilated branches side by side, three transposed convolutions.

    Input (B, in_channels, H, W), float, H and W divisible by 8. Output (B, out_channels, H, W): logits, before the
    sigmoid of Algorithm 4. n_filters: maps of the first block. dropout_rate: share of single values that training
    leaves out, after each pooling and after the branches' concatenation. dilation_rates: of the branches' eight
    layers, two a branch; (1, 1, 6, 6, 12, 12, 18, 18) are the rates of the DeepLabV3 that the paper cites.
    Raises ConfigError for settings that can't be, ValueError for other inputs.

    Differs from the paper (guesses, as it gives no layer table; docs/papers/cxr.md): dilation rates 1 to 8, "with each
    layer we augment the dilation rate"; the branches' last layers are concatenated, where it says "all previous
    layers"; 4n filters in each layer of the branches; 4n, 2n, n in the decoder; dropout 0.1 and its places; max
    pooling; 3x3 kernels, 1x1 in the output layer; batch normalisation before every ReLU; normal start after He.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        n_filters: int = 16,
        dropout_rate: float = 0.1,
        batch_normalization: bool = True,
        dilation_rates: Sequence[int] = RATES,
    ) -> None:
        super().__init__()
        check_settings("CxrDeepLabV3", n_filters, dropout_rate)
        check_rates(dilation_rates)
        norm, f = batch_normalization, n_filters
        # Step 1, 2, 2 and 3 convolution layers, a pooling layer, filters "ascending by a multiplier of 2".
        self.feature1 = conv_layers(2, in_channels, f, norm)
        self.feature2 = conv_layers(2, f, 2 * f, norm)
        self.feature3 = conv_layers(3, 2 * f, 4 * f, norm)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout_rate)
        # Step 2, "4 blocks consist of 2 convolution layers, with each layer we augment the dilation rate".
        self.branches = nn.ModuleList(
            nn.Sequential(conv_layer(4 * f, 4 * f, norm, first), conv_layer(4 * f, 4 * f, norm, second))
            for first, second in zip(dilation_rates[::2], dilation_rates[1::2], strict=True)
        )
        # Step 3, "one deconvolution layer for each block, with each layer we divide the number of filters by 2".
        self.deconv1 = deconv_layer(16 * f, 4 * f, norm)
        self.deconv2 = deconv_layer(4 * f, 2 * f, norm)
        self.deconv3 = deconv_layer(2 * f, f, norm)
        self.out = nn.Conv2d(f, out_channels, kernel_size=1)  # "The last block is the output layer."
        initialise_he(self)

    def forward(self, x: Tensor) -> Tensor:
        check_sides("CxrDeepLabV3", x, 8)
        x = self.dropout(self.pool(self.feature1(x)))  # (B, f, H/2, W/2)
        x = self.dropout(self.pool(self.feature2(x)))  # (B, 2f, H/4, W/4)
        x = self.dropout(self.pool(self.feature3(x)))  # (B, 4f, H/8, W/8)
        x = torch.cat([branch(x) for branch in self.branches], dim=1)  # (B, 16f, H/8, W/8), "the last block"
        x = self.deconv1(self.dropout(x))  # (B, 4f, H/4, W/4)
        x = self.deconv2(x)  # (B, 2f, H/2, W/2)
        x = self.deconv3(x)  # (B, f, H, W)
        return self.out(x)  # (B, out_channels, H, W)


def check_rates(dilation_rates: Sequence[int]) -> None:
    """Raise ConfigError unless there are eight rates, each 1 or more."""
    if len(dilation_rates) != len(RATES) or min(dilation_rates) < 1:
        raise ConfigError(
            f"dilation_rates of CxrDeepLabV3 are eight numbers of 1 or more, two for each of its four branches; got "
            f"{list(dilation_rates)}; the default is {list(RATES)}"
        )
