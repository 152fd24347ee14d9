"""LungUNet3D for use alone, in torch without MONAI, whose import takes twice as long as torch's.

Tested equal to lungseg_monai.networks.LungUNet3D, which is what is trained and whose weights these are.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = (1, 2, 3, 4)
SLOPE = 0.1  # of the leaky ReLU
NORM_EPSILON = 1e-5  # torch's own
COUNTED = ".num_batches_tracked"


class PlainLungUNet:
    """(B, 1, I, J, K) float, every side divisible by 32 -> logits (B, C, I, J, K).

    state: the state dict of a LungUNet3D of whatever width. Raises KeyError where a weight is missing, ValueError where
    there is one that the network does not have.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        left = {name: one for name, one in state.items() if not name.endswith(COUNTED)}
        doubles = ["conv_0", *(f"down_{n}.convs" for n in LEVELS), *(f"upcat_{n}.convs" for n in LEVELS)]
        self._weights = {f"{part}.{n}": _folded(left, f"unet.{part}.conv_{n}") for part in doubles for n in (0, 1)}
        single = {"final": "final_conv", **{f"up_{n}": f"upcat_{n}.upsample.deconv" for n in LEVELS}}
        for name, part in single.items():
            weight, bias = (left.pop(f"unet.{part}.{kind}").float() for kind in ("weight", "bias"))
            self._weights[name] = weight, bias
        if left:
            raise ValueError(f"weights of another network: {', '.join(sorted(left)[:3])}")
        self.to("cpu")

    def to(self, device: str) -> "PlainLungUNet":
        """Itself, with its weights on `device`."""
        for name, (weight, bias) in self._weights.items():
            self._weights[name] = weight.to(device, memory_format=torch.channels_last_3d), bias.to(device)
        return self

    def __call__(self, x: Tensor) -> Tensor:
        x = self._double("conv_0", _blocks(x))
        held = [x]
        for level in LEVELS:
            x = self._double(f"down_{level}.convs", functional.max_pool3d(x, 2))
            held.append(x)
        for level in reversed(LEVELS):
            weight, bias = self._weights[f"up_{level}"]
            up = functional.conv_transpose3d(x, weight, bias, stride=2)
            x = self._double(f"upcat_{level}.convs", torch.cat([held[level - 1], up], 1))
        return _voxels(functional.conv3d(x, *self._weights["final"]))

    def _double(self, part: str, x: Tensor) -> Tensor:
        for n in (0, 1):
            weight, bias = self._weights[f"{part}.{n}"]
            x = functional.leaky_relu_(functional.conv3d(x, weight, bias, padding=1), SLOPE)
        return x


def _folded(left: dict[str, Tensor], part: str) -> tuple[Tensor, Tensor]:
    """Weights and biases of a convolution that does what it and the batch norm after it did; taken from `left`."""
    weight, bias = (left.pop(f"{part}.conv.{kind}").double() for kind in ("weight", "bias"))
    scale, shift = (left.pop(f"{part}.adn.N.{kind}").double() for kind in ("weight", "bias"))
    mean, variance = (left.pop(f"{part}.adn.N.running_{kind}").double() for kind in ("mean", "var"))
    scale = scale / torch.sqrt(variance + NORM_EPSILON)
    return (weight * scale[:, None, None, None, None]).float(), ((bias - mean) * scale + shift).float()


def _blocks(x: Tensor) -> Tensor:
    """(B, C, I, J, K) -> (B, 8 C, I/2, J/2, K/2): the voxels of a block of 2 x 2 x 2 as channels."""
    b, c, i, j, k = x.shape
    x = x.reshape(b, c, i // 2, 2, j // 2, 2, k // 2, 2).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return x.reshape(b, 8 * c, i // 2, j // 2, k // 2).contiguous(memory_format=torch.channels_last_3d)


def _voxels(x: Tensor) -> Tensor:
    """The way back from `_blocks`."""
    b, c, i, j, k = x.shape
    x = x.reshape(b, c // 8, 2, 2, 2, i, j, k).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(b, c // 8, 2 * i, 2 * j, 2 * k)
