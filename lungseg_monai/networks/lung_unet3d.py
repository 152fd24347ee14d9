"""Our 3D U-Net for both lungs of a whole chest CT at 3 mm: MONAI's BasicUNet on blocks of 2 x 2 x 2 voxels."""

from collections.abc import Sequence

from monai.networks.nets import BasicUNet
from torch import Tensor, nn

SIDE = 32  # every side divides by it: blocks of 2, then four halvings


class LungUNet3D(nn.Module):
    """Every 2 x 2 x 2 block of voxels becomes eight channels, BasicUNet works on those, and its channels become voxels.

    Input (B, in_channels, I, J, K), float; every side divisible by 32. Output (B, out_channels, I, J, K): logits.
    Raises ValueError when a side does not divide by 32.

    `features` are BasicUNet's six. Its first level works at half the resolution, which halves the time of a step at
    the same number of weights. Batch normalisation remembers about the last 33 batches (momentum 0.03): a batch is one
    volume. With `frozen_statistics` training leaves the means and variances as they are.
    """

    def __init__(
        self, in_channels: int = 1, out_channels: int = 3, features: Sequence[int] = (16, 32, 64, 128, 128, 16)
    ) -> None:
        super().__init__()
        self.frozen_statistics = False
        self.unet = BasicUNet(
            spatial_dims=3,
            in_channels=8 * in_channels,
            out_channels=8 * out_channels,
            features=tuple(features),
            act=("LeakyReLU", {"negative_slope": 0.1, "inplace": True}),
            norm=("batch", {"momentum": 0.03}),
        )
        for up in (self.unet.upcat_4, self.unet.upcat_3, self.unet.upcat_2, self.unet.upcat_1):
            up.is_pad = False  # sides are always even here, and ONNX then needs no shapes at run time

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] % 32 != 0 or x.shape[3] % 32 != 0 or x.shape[4] % 32 != 0:
            raise ValueError(
                "LungUNet3D halves its input five times: every side must divide by 32, got "
                f"{x.shape[2]} x {x.shape[3]} x {x.shape[4]}: pad the volume with air."
            )
        return voxels(self.unet(blocks(x)))  # (B, out_channels, I, J, K)

    def train(self, mode: bool = True) -> "LungUNet3D":
        super().train(mode)
        if mode and self.frozen_statistics:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm3d):
                    module.eval()
        return self


def blocks(x: Tensor) -> Tensor:
    """(B, C, I, J, K) -> (B, 8 C, I/2, J/2, K/2): the voxels of a block of 2 x 2 x 2 as channels."""
    b, c, i, j, k = x.shape
    x = x.reshape(b, c, i // 2, 2, j // 2, 2, k // 2, 2)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, 8 * c, i // 2, j // 2, k // 2)


def voxels(x: Tensor) -> Tensor:
    """The way back from `blocks`: (B, 8 C, I, J, K) -> (B, C, 2 I, 2 J, 2 K)."""
    b, c, i, j, k = x.shape
    x = x.reshape(b, c // 8, 2, 2, 2, i, j, k)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // 8, 2 * i, 2 * j, 2 * k)
