"""The contrast of each slice stretched to 8 bits, as the pictures that Kamal et al.'s public code trains on."""

import torch
from torch import Tensor


def stretch_slices(image: Tensor) -> Tensor:
    """(1, I, J, K) -> float32 of that shape: in each slice the lowest value becomes 0, the highest 255, in whole steps.

    A slice of one value becomes 0.
    """
    low, high = image.amin(dim=(1, 2), keepdim=True), image.amax(dim=(1, 2), keepdim=True)
    stretched = (image - low) / (high - low).clamp(min=torch.finfo(torch.float32).tiny) * 255
    return stretched.round()


def eight_bits_to_one(image: Tensor) -> Tensor:
    """0 ... 255, rounded to whole steps (a resized 8-bit picture is one of 8 bits again), as 0 ... 1."""
    return image.round() / 255
