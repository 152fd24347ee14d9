"""FCNN of the chest X-ray paper, Algorithm 5 (docs/papers/cxr.md)."""

from torch import Tensor, nn

from lungseg_monai.networks.cxr_layers import check_settings, check_sides, conv_layers, deconv_layer, initialise_he


class CxrFCNN(nn.Module):
    """Five blocks in a row, two down, two up, one to the answer, with nothing carried past them.

    Input (B, in_channels, H, W), float, H and W divisible by 4. Output (B, out_channels, H, W): logits, before the
    sigmoid of Algorithm 5. n_filters: maps of the first block. dropout_rate: share of single values that training
    leaves out, after each pooling and each transposed convolution.
    Raises ConfigError for settings that can't be, ValueError for other inputs.

    Differs from the paper (guesses, as it gives no layer table; docs/papers/cxr.md): filters n, 2n, 4n, 2n, n; dropout
    0.1 and its places, which Algorithm 5 names as an input only; max pooling; 3x3 kernels that keep the size, 1x1 in
    the output layer; batch normalisation before every ReLU; normal start after He.
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
        check_settings("CxrFCNN", n_filters, dropout_rate)
        norm, f = batch_normalization, n_filters
        # "The first 2 blocks consist of 2 convolution layers followed by a pooling layer."
        self.block1 = conv_layers(2, in_channels, f, norm)
        self.block2 = conv_layers(2, f, 2 * f, norm)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout_rate)
        # "The next 2 blocks consist of 2 convolution layers followed by a deconvolution layer."
        self.block3, self.deconv3 = conv_layers(2, 2 * f, 4 * f, norm), deconv_layer(4 * f, 2 * f, norm)
        self.block4, self.deconv4 = conv_layers(2, 2 * f, 2 * f, norm), deconv_layer(2 * f, f, norm)
        # "The last block consists of 3 convolution layers, the last one being the output layer."
        self.block5 = conv_layers(2, f, f, norm)
        self.out = nn.Conv2d(f, out_channels, kernel_size=1)
        initialise_he(self)

    def forward(self, x: Tensor) -> Tensor:
        check_sides("CxrFCNN", x, 4)
        x = self.dropout(self.pool(self.block1(x)))  # (B, f, H/2, W/2)
        x = self.dropout(self.pool(self.block2(x)))  # (B, 2f, H/4, W/4)
        x = self.dropout(self.deconv3(self.block3(x)))  # (B, 2f, H/2, W/2), within the block 4f at H/4, W/4
        x = self.dropout(self.deconv4(self.block4(x)))  # (B, f, H, W), within the block 2f at H/2, W/2
        return self.out(self.block5(x))  # (B, out_channels, H, W)
