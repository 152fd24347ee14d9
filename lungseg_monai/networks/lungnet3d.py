"""3D-LungNet of Hossain et al., "A Pipeline for Lung Tumor Detection and Segmentation from CT Scans ..." (2019)."""

from torch import Tensor, nn

from lungseg_monai.networks.lungnet import ConvUnit, DilatedTrunk
from lungseg_monai.networks.slicewise import slices, stack


class LungNet3D(nn.Module):
    """2D-LungNet's dilated convolutions on each slice, then 3D convolutions over the stack of what they found.

    Input (B, in_channels, H, W, D), float, slices last, any size. Output (B, out_channels, H, W, D): logits, before
    the sigmoid. width: maps of each dilated convolution; then 4 width a slice, and 2 width and width in 3D.
    Raises ConfigError for a width below 1, ValueError for an input that is not 3D.

    Differs from the paper: dilation 13 where it prints 11 (its poster and code have Fibonacci's numbers); any number of
    slices where it has 9. Guesses: x + BN(x) in the 3D convolutions too (its code has it in the 2D ones), dropout of
    single values, momentum 0.01 (Keras' 0.99).
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, width: int = 32, dropout: float = 0.25) -> None:
        super().__init__()
        self.trunk = DilatedTrunk(in_channels, width)
        self.features = ConvUnit(nn.Conv2d(self.trunk.out_channels, 4 * width, kernel_size=1))
        self.dropout = nn.Dropout(dropout)
        self.wide = ConvUnit(nn.Conv3d(4 * width, 2 * width, kernel_size=3, padding=1))
        self.narrow = ConvUnit(nn.Conv3d(2 * width, width, kernel_size=3, padding=1))
        self.out = nn.Conv3d(width, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        found = self.features(self.trunk(slices(x)))  # (B D, 4 width, H, W)
        y = stack(found, x.shape[0]).permute(0, 1, 4, 2, 3)  # (B, 4 width, D, H, W)
        y = self.narrow(self.wide(self.dropout(y)))  # (B, width, D, H, W)
        return self.out(y).permute(0, 1, 3, 4, 2)  # (B, out_channels, H, W, D)
