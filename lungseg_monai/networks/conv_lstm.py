"""Convolutional LSTM over the slices of a volume (Shi et al. 2015), as Keras' ConvLSTM2D computes it."""

import torch
from torch import Tensor, nn

from lungseg_monai.errors import ConfigError

GATES = ("hard_sigmoid", "sigmoid")


class ConvLSTM2d(nn.Module):
    """Reads the slices one after the other; each pixel keeps a state that its neighbours' states flow into.

    Input (B, in_channels, H, W, D), float. Output (B, C, H, W, D), or (B, C, H, W) with `last_only`, where C is
    hidden_channels, twice that with `bidirectional`: first the direction of rising slice index, then the other, whose
    last step is slice 0.

    With * a convolution of kernel_size with zeros around, and the state h, c at zero before the first slice:
        i, f, o = gate(W * x + U * h + b)     g = tanh(W * x + U * h + b)
        c = f c + i g                         h = o tanh(c)
    `gates`: hard_sigmoid is clip(0.2 x + 0.5, 0, 1), Keras' when the paper was written (Keras 3 has another).

    Differs from Shi et al.: no peephole connections, as in Keras.
    Raises ConfigError for channels below 1, an even kernel, or other gates.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        kernel_size: int = 3,
        gates: str = "hard_sigmoid",
        bidirectional: bool = False,
        last_only: bool = False,
    ) -> None:
        super().__init__()
        if in_channels < 1 or hidden_channels < 1 or kernel_size < 1 or kernel_size % 2 == 0:
            raise ConfigError(
                "ConvLSTM2d needs channels of 1 or more and an odd kernel, got "
                f"{in_channels} and {hidden_channels} channels, kernel {kernel_size}"
            )
        if gates not in GATES:
            raise ConfigError(f"gates {gates!r} are not known to ConvLSTM2d; choose one of {', '.join(GATES)}")
        self.last_only = last_only
        ways = (False, True) if bidirectional else (False,)
        self.directions = nn.ModuleList(
            Direction(in_channels, hidden_channels, kernel_size, gates == "hard_sigmoid", backward, last_only)
            for backward in ways
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 1, 4, 2, 3)  # (B, in_channels, D, H, W)
        read = [direction(x) for direction in self.directions]
        y = torch.cat(read, dim=1) if len(read) > 1 else read[0]
        return y.squeeze(2) if self.last_only else y.permute(0, 1, 3, 4, 2)


class Direction(nn.Module):
    """The walk in one direction, with its weights: W and b in `input`, U in `state`, gates in Keras' order i, f, g, o.

    Input (B, C, D, H, W). Output (B, hidden_channels, D, H, W), slices in the input's order whatever the direction;
    with `last_only` (B, hidden_channels, 1, H, W) of the slice read last.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int, kernel_size: int, hard: bool, backward: bool, last_only: bool
    ) -> None:
        super().__init__()
        gates, around = 4 * hidden_channels, kernel_size // 2
        self.hard, self.backward, self.last_only = hard, backward, last_only
        kernel, padding = (1, kernel_size, kernel_size), (0, around, around)
        self.input = nn.Conv3d(in_channels, gates, kernel, padding=padding)
        self.state = nn.Conv3d(hidden_channels, gates, kernel, padding=padding, bias=False)
        self.reset_bias()

    def reset_bias(self) -> None:
        """Biases 0, the forget gate's 1, as Keras starts them."""
        bias = self.input.bias
        if bias is not None:
            nn.init.zeros_(bias)
            nn.init.ones_(bias.chunk(4)[1])

    def forward(self, x: Tensor) -> Tensor:
        slices = self.input(x).split(
            1, dim=2
        )  # W * x + b of all slices at once; D times (B, 4 hidden_channels, 1, H, W)
        if self.backward:
            slices = slices[::-1]
        h, c = self.step(slices[0], torch.zeros_like(slices[0].chunk(4, dim=1)[0]))
        states = [h]
        for wx in slices[1:]:
            h, c = self.step(wx + self.state(h), c)
            states.append(h)
        if self.last_only:
            return h
        return torch.cat(states[::-1] if self.backward else states, dim=2)

    def step(self, gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The next h and c, all (B, hidden_channels, 1, H, W), of W * x + U * h + b and c."""
        i, f, g, o = gates.chunk(4, dim=1)
        c = self.gate(f) * c + self.gate(i) * torch.tanh(g)
        return self.gate(o) * torch.tanh(c), c

    def gate(self, x: Tensor) -> Tensor:
        return torch.clamp(0.2 * x + 0.5, 0.0, 1.0) if self.hard else torch.sigmoid(x)
