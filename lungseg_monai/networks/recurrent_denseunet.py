"""Recurrent 3D-DenseUNet of Kamal et al., "Lung Cancer Tumor Region Segmentation Using Recurrent 3D-DenseUNet"."""

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn

from lungseg_monai.errors import ConfigError
from lungseg_monai.networks.blocks import initialise_glorot
from lungseg_monai.networks.conv_lstm import ConvLSTM2d

EPSILON, MOMENTUM = 1e-3, 0.01  # of batch normalisation: Keras' momentum of 0.99 is 0.01 in PyTorch's sense
# How a block of two convolutions a, b is linked: does b read the block's input too, and what goes on: (x, a, b)?
DENSE = {
    "none": (False, (False, False, True)),
    "inside": (True, (False, False, True)),
    "input": (True, (True, False, True)),
    "full": (True, (True, True, True)),
}
ARCHITECTURES = {"code": "input", "text": "inside"}  # and how each links its blocks


class RecurrentDenseUNet3D(nn.Module):
    """U-Net with 3D convolutions, pooling within slices, linked blocks, and ConvLSTM layers at its bottom.

    Input (B, in_channels, H, W, D), float, slices last, H and W divisible by 8, any D of 1 or more.
    Output (B, out_channels, H, W, D): logits, before the paper's sigmoid. Raises ValueError for other sizes,
    ConfigError for options that don't exist.

    architecture: "code" is what the authors ran; "text" is Table 1 as printed.
    dense: how a block's two convolutions are linked: "none"; "inside", the second reads the block's input too;
    "input", that, and the input goes on beside the second's output; "full", the first's output goes on as well.
    Default: "input" for code, "inside" for text. recurrent_layers: 0 puts a convolutional block at the bottom.

    Differs from the paper: docs/papers/kamal.md.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 32,
        dropout: float = 0.1,
        dense: str | None = None,
        recurrent_layers: int = 3,
        architecture: str = "code",
    ) -> None:
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise ConfigError(f"architecture {architecture!r} is not known; choose one of {', '.join(ARCHITECTURES)}")
        dense = ARCHITECTURES[architecture] if dense is None else dense
        if dense not in DENSE:
            raise ConfigError(f"dense {dense!r} is not known; choose one of {', '.join(DENSE)}")
        if width < 1 or recurrent_layers < 0:
            raise ConfigError(
                f"width must be 1 or more and recurrent_layers 0 or more, got {width}, {recurrent_layers}"
            )
        text = architecture == "text"
        widths = (width, 2 * width, 4 * width)
        self.pool = nn.MaxPool3d((1, 2, 2))
        self.dropout = nn.Dropout3d(0.0 if text else dropout)

        self.encoder, skips, channels = nn.ModuleList(), [], in_channels
        for features in widths:
            block = DenseBlock(channels, features, dense, dropout=dropout if text else 0.0)
            self.encoder.append(block)
            skips.append(features)
            channels = block.out_channels
        skips[-1] = channels  # the deepest skip is all that the block gives on

        if recurrent_layers:
            self.bottom: nn.Module = Recurrent(channels, 8 * width, recurrent_layers, norm=not text)
            channels = 8 * width
        else:
            self.bottom = Joined(block := DenseBlock(channels, 8 * width, dense))
            channels = block.out_channels

        self.decoder = nn.ModuleList()
        for features, skip in zip(widths[::-1], skips[::-1], strict=True):
            stage = text_stage if text else code_stage
            up, channels = stage(channels, features, skip, dense)
            self.decoder.append(up)
        self.out = nn.Conv3d(channels, out_channels, kernel_size=1)
        initialise_glorot(self)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 5 or x.shape[2] % 8 != 0 or x.shape[3] % 8 != 0 or x.shape[4] < 1:
            raise ValueError(
                "RecurrentDenseUNet3D wants (B, C, H, W, D), H and W divisible by 8 as it halves them three times, "
                f"D of 1 or more; got {' x '.join([str(n) for n in x.shape[2:]])}: resize or pad the slices, for "
                "example to a spatial_size of [256, 256]."
            )
        x = x.permute(0, 1, 4, 2, 3)  # (B, C, D, H, W)
        skips: list[Tensor] = []
        last: list[Tensor] = []
        for block in self.encoder:
            last = block(x)
            skips.append(last[-1])
            x = self.dropout(join([self.pool(part) for part in last]))  # (B, C, D, H/2, W/2), then /4, /8
        skips[-1] = join(last)
        x = self.bottom(x)  # (B, C, D, H/8, W/8)
        for n, stage in enumerate(self.decoder):
            x = stage(x, skips[2 - n])  # (B, C, D, H/4, W/4), then /2, /1
        return self.out(x).permute(0, 1, 3, 4, 2)  # (B, out_channels, H, W, D)


class DenseBlock(nn.Module):
    """Two times convolution, batch normalisation, ReLU, dropout, linked as `dense` says.

    Input (B, C, D, H, W); returns what goes on, to be concatenated: the parts are left apart because pooling them first
    costs a quarter of the copying. The last part is the second convolution's. out_channels: of all parts together.
    """

    def __init__(
        self,
        in_channels: int,
        features: int,
        dense: str,
        dropout: float = 0.0,
        kernel: tuple[int, int, int] = (3, 3, 3),
    ) -> None:
        super().__init__()
        self.linked, (self.with_input, self.with_first, _) = DENSE[dense]
        self.a = unit(in_channels, features, kernel, dropout)
        self.b = unit(features + in_channels * self.linked, features, kernel, dropout)
        self.out_channels = features + in_channels * self.with_input + features * self.with_first

    def forward(self, x: Tensor) -> list[Tensor]:
        a = self.a(x)
        b = self.b(torch.cat([x, a], dim=1) if self.linked else a)
        parts: list[Tensor] = []
        if self.with_input:
            parts.append(x)
        if self.with_first:
            parts.append(a)
        parts.append(b)
        return parts


def unit(in_channels: int, features: int, kernel: tuple[int, int, int], dropout: float) -> Convolution:
    """Convolution, batch normalisation, ReLU, dropout of whole channels."""
    return Convolution(
        3, in_channels, features, kernel_size=kernel, adn_ordering="NAD",
        norm=("batch", {"eps": EPSILON, "momentum": MOMENTUM}), act=("relu", {"inplace": True}),
        dropout=dropout, dropout_dim=3,
    )  # fmt: skip


class Joined(nn.Module):
    """A block whose parts are concatenated."""

    def __init__(self, block: DenseBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return join(self.block(x))


class Stage(nn.Module):
    """One level of a decoder: a block before or after the way up, and the skip."""

    def __init__(self, before: nn.Module, up: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.before, self.up, self.after = before, up, after

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.after(torch.cat([self.up(self.before(x)), skip], dim=1))


def code_stage(channels: int, features: int, skip: int, dense: str) -> tuple[Stage, int]:
    """Transposed convolution, skip, block; and the channels that come out."""
    up = nn.ConvTranspose3d(channels, features, kernel_size=(1, 2, 2), stride=(1, 2, 2))
    block = DenseBlock(features + skip, features, dense)
    return Stage(nn.Identity(), up, Joined(block)), block.out_channels


def text_stage(channels: int, features: int, skip: int, dense: str) -> tuple[Stage, int]:
    """Block of 3x3 kernels, upsampling that repeats pixels, skip; and the channels that come out."""
    block = DenseBlock(channels, features, dense, kernel=(1, 3, 3))
    up = nn.Upsample(scale_factor=(1.0, 2.0, 2.0), mode="nearest")
    return Stage(Joined(block), up, nn.Identity()), block.out_channels + skip


class Recurrent(nn.Module):
    """ConvLSTM layers over the slices, all steps, each with batch normalisation if `norm`. (B, C, D, H, W)."""

    def __init__(self, in_channels: int, features: int, layers: int, norm: bool) -> None:
        super().__init__()
        inputs = (in_channels, *[features] * (layers - 1))
        self.lstms = nn.ModuleList(ConvLSTM2d(channels, features) for channels in inputs)
        self.norms = nn.ModuleList(
            nn.BatchNorm3d(features, eps=EPSILON, momentum=MOMENTUM) if norm else nn.Identity() for _ in inputs
        )

    def forward(self, x: Tensor) -> Tensor:
        for lstm, norm in zip(self.lstms, self.norms):  # noqa: B905  # TorchScript knows no strict
            x = norm(lstm(x.permute(0, 1, 3, 4, 2)).permute(0, 1, 4, 2, 3))  # views: no copying
        return x


def join(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
