"""A 2D network on each slice of a volume."""

from torch import Tensor, nn


class Slicewise(nn.Module):
    """Gives every slice of a volume to `network_2d` by itself, all slices as one batch.

    Input (B, C, H, W, D), slices last. Output (B, C', H, W, D), where network_2d makes (N, C', H, W) of (N, C, H, W).
    Raises ValueError for an input of other dimensions, and what network_2d raises.
    """

    def __init__(self, network_2d: nn.Module) -> None:
        super().__init__()
        self.network_2d = network_2d

    def forward(self, x: Tensor) -> Tensor:
        return stack(self.network_2d(slices(x)), x.shape[0])


def slices(x: Tensor) -> Tensor:
    """(B, C, H, W, D) -> (B D, C, H, W)."""
    if x.dim() != 5:
        sizes = " x ".join([str(n) for n in x.shape[2:]])
        raise ValueError(f"a volume (B, C, H, W, D) was wanted, got {sizes} after batch and channel")
    b, c, h, w, d = x.shape
    return x.permute(0, 4, 1, 2, 3).reshape(b * d, c, h, w)


def stack(y: Tensor, batch: int) -> Tensor:
    """The way back: (B D, C, H, W) -> (B, C, H, W, D), a view."""
    n, c, h, w = y.shape
    return y.reshape(batch, n // batch, c, h, w).permute(0, 2, 3, 4, 1)
