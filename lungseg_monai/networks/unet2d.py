"""The U-Net of Gao, "Unet-based Model for Lung Segment", section 2.4.1 and Figure 1."""

import torch
from torch import Tensor, nn


class GaoUNet(nn.Module):
    """2D U-Net: four levels of two 3x3 convolutions, max pooling, a bottleneck, up-convolutions with skip connections.

    Input (B, in_channels, H, W), float, H and W divisible by 16. Output (B, out_channels, H, W): logits, before the
    sigmoid of section 2.5. Raises ValueError when H or W is not divisible by 16.

    `width` is the number of channels of the first level; each level below doubles it. `dropout` and `norm` are the
    "optional other layers" of the paper's convolutional block.

    Differs from the paper (which gives no layer table, so these are guesses):
    - width 32 (64 in Ronneberger et al. 2015, which the paper cites: `width=64`);
    - batch normalisation after each convolution, no dropout;
    - "same" padding, so the mask has the size of the slice (Figure 1 of Ronneberger et al. crops instead).
    """

    def __init__(
        self, in_channels: int = 1, out_channels: int = 1, width: int = 32, dropout: float = 0.0, norm: bool = True
    ) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = (width * 2**level for level in range(5))
        self.encoder1 = conv_block(in_channels, w1, dropout, norm)
        self.encoder2 = conv_block(w1, w2, dropout, norm)
        self.encoder3 = conv_block(w2, w3, dropout, norm)
        self.encoder4 = conv_block(w3, w4, dropout, norm)
        self.pool = nn.MaxPool2d(2)
        self.middle = conv_block(w4, w5, dropout, norm)
        self.up4 = nn.ConvTranspose2d(w5, w4, kernel_size=2, stride=2)
        self.decoder4 = conv_block(2 * w4, w4, dropout, norm)
        self.up3 = nn.ConvTranspose2d(w4, w3, kernel_size=2, stride=2)
        self.decoder3 = conv_block(2 * w3, w3, dropout, norm)
        self.up2 = nn.ConvTranspose2d(w3, w2, kernel_size=2, stride=2)
        self.decoder2 = conv_block(2 * w2, w2, dropout, norm)
        self.up1 = nn.ConvTranspose2d(w2, w1, kernel_size=2, stride=2)
        self.decoder1 = conv_block(2 * w1, w1, dropout, norm)
        self.out = nn.Conv2d(w1, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2], x.shape[-1]
        if height % 16 != 0 or width % 16 != 0:
            raise ValueError(
                f"GaoUNet halves its input four times: height and width must divide by 16, got {height} x {width}: "
                "resize or pad the slices, for example to a spatial_size of [256, 256]."
            )
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


def conv_block(in_channels: int, out_channels: int, dropout: float, norm: bool) -> nn.Sequential:
    """Two times: 3x3 convolution, batch normalisation if `norm`, ReLU, dropout of whole channels."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers.append(nn.Conv2d(channels, out_channels, kernel_size=3, padding=1, bias=not norm))
        if norm:
            layers.append(nn.BatchNorm2d(out_channels))
        layers.append(nn.ReLU(inplace=True))
        layers.append(nn.Dropout2d(dropout))  # also at 0, so that weights fit whatever the dropout
    return nn.Sequential(*layers)
