"""U-Net of the chest X-ray paper, Algorithm 3 (docs/papers/cxr.md)."""

import torch
from torch import Tensor, nn

from lungseg_monai.networks.cxr_layers import check_settings, check_sides, conv_layers, deconv_layer, initialise_he


class CxrUNet(nn.Module):
    """Four blocks down, a middle, four blocks up with the maps of the way down beside them.

    Input (B, in_channels, H, W), float, H and W divisible by 16. Output (B, out_channels, H, W): logits, before the
    sigmoid of Algorithm 3. n_filters: maps of the first block; each block below has twice as many. dropout_rate: share
    of single values that training leaves out, after each pooling and each concatenation.
    Raises ConfigError for settings that can't be, ValueError for other inputs.

    Differs from the paper (guesses, as it gives no layer table; docs/papers/cxr.md): 16 filters, doubled from block to
    block; dropout 0.1; 3x3 kernels that keep the size; a middle of two convolutions between the 4 + 4 blocks; batch
    normalisation before every ReLU, that of the transposed convolutions too; normal start after He.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        n_filters: int = 16,
        dropout_rate: float = 0.1,
        batch_normalization: bool = True,
    ) -> None:
        super().__init__()
        check_settings("CxrUNet", n_filters, dropout_rate)
        norm = batch_normalization
        f1, f2, f3, f4, f5 = (n_filters * 2**level for level in range(5))
        # Step 1, "2 convolution layers, 1 max pooling layer and a dropout", four times.
        self.down1 = conv_layers(2, in_channels, f1, norm)
        self.down2 = conv_layers(2, f1, f2, norm)
        self.down3 = conv_layers(2, f2, f3, norm)
        self.down4 = conv_layers(2, f3, f4, norm)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout_rate)
        self.middle = conv_layers(2, f4, f5, norm)  # not in Algorithm 3, which counts the blocks of the two paths
        # Step 2, "starts with a transpose convolution", "concatenated", "a dropout and 2 more convolution layers".
        self.deconv4, self.up4 = deconv_layer(f5, f4, norm), conv_layers(2, 2 * f4, f4, norm)
        self.deconv3, self.up3 = deconv_layer(f4, f3, norm), conv_layers(2, 2 * f3, f3, norm)
        self.deconv2, self.up2 = deconv_layer(f3, f2, norm), conv_layers(2, 2 * f2, f2, norm)
        self.deconv1, self.up1 = deconv_layer(f2, f1, norm), conv_layers(2, 2 * f1, f1, norm)
        self.out = nn.Conv2d(f1, out_channels, kernel_size=1)  # "the output layer is a convolution layer"
        initialise_he(self)

    def forward(self, x: Tensor) -> Tensor:
        check_sides("CxrUNet", x, 16)
        x1 = self.down1(x)  # (B, f, H, W)
        x2 = self.down2(self.dropout(self.pool(x1)))  # (B, 2f, H/2, W/2)
        x3 = self.down3(self.dropout(self.pool(x2)))  # (B, 4f, H/4, W/4)
        x4 = self.down4(self.dropout(self.pool(x3)))  # (B, 8f, H/8, W/8)
        y = self.middle(self.dropout(self.pool(x4)))  # (B, 16f, H/16, W/16)
        y = self.up4(self.dropout(torch.cat([self.deconv4(y), x4], dim=1)))  # (B, 8f, H/8, W/8)
        y = self.up3(self.dropout(torch.cat([self.deconv3(y), x3], dim=1)))  # (B, 4f, H/4, W/4)
        y = self.up2(self.dropout(torch.cat([self.deconv2(y), x2], dim=1)))  # (B, 2f, H/2, W/2)
        y = self.up1(self.dropout(torch.cat([self.deconv1(y), x1], dim=1)))  # (B, f, H, W)
        return self.out(y)  # (B, out_channels, H, W)
