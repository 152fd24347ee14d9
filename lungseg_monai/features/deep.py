"""What a network's encoder makes of a slice, as a row of numbers."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn


def deep_features(network: "nn.Module", image: NDArray) -> NDArray[np.float32]:
    """Mean, then maximum, over the slice of each of the encoder's deepest maps: 2 C values, 1024 for VggSegNet().

    network: one whose `encoder` takes (1, channels, rows, columns) and gives the deepest maps (1, C, h, w), alone or
    last of several: VggSegNet, ResNet50UNet. image: (rows, columns) or (channels, rows, columns), grey values as the
    network was trained on, crop or slice as it was; one channel is repeated where the encoder wants more. Runs in
    evaluation mode, on the network's device, and leaves the network as it was. Raises ConfigError for a network without
    such an encoder and for other arrays; ValueError for a size that the encoder can't halve so often.
    """
    import torch

    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, torch.nn.Module):
        raise ConfigError(f"{type(network).__name__} has no encoder: give a VggSegNet or a ResNet50UNet")
    array = np.asarray(image, np.float32)
    if array.ndim not in (2, 3):
        raise ConfigError(f"a slice of {array.shape}; wanted (rows, columns) or (channels, rows, columns)")
    first = next(encoder.parameters())
    if array.ndim == 2:
        array = np.repeat(array[None], first.shape[1], axis=0)  # the first convolution's weights are (out, in, 3, 3)
    modes = [(module, module.training) for module in encoder.modules()]
    encoder.eval()
    try:
        with torch.no_grad():
            maps = encoder(torch.from_numpy(array[None]).to(first.device, first.dtype))
    finally:
        for module, training in modes:
            module.training = training
    maps = maps if isinstance(maps, torch.Tensor) else maps[-1]
    pooled = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
    values: NDArray[np.float32] = pooled[0].float().cpu().numpy()
    return values
