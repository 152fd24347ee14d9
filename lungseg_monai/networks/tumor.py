"""The tumour networks of Kamal et al. by name: the proposed one, Table 4's ablations and Table 3's rivals."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from lungseg_monai.errors import ConfigError
from lungseg_monai.networks.blocks import initialise_glorot, set_norm_momentum
from lungseg_monai.networks.lungnet import LungNet2D
from lungseg_monai.networks.lungnet3d import LungNet3D
from lungseg_monai.networks.recurrent_denseunet import RecurrentDenseUNet3D
from lungseg_monai.networks.slicewise import Slicewise
from lungseg_monai.networks.unet2d import GaoUNet


def unet2d(in_channels: int = 1, out_channels: int = 1, width: int = 32, dropout: float = 0.0) -> Slicewise:
    """The U-Net of Ronneberger et al. on each slice: twice `width` at its first level, so 64 where others have 32."""
    return Slicewise(GaoUNet(in_channels, out_channels, width=2 * width, dropout=dropout))


def lungnet2d(in_channels: int = 1, out_channels: int = 1, width: int = 32, dropout: float = 0.5) -> Slicewise:
    """2D-LungNet on each slice."""
    return Slicewise(LungNet2D(in_channels, out_channels, width=width, dropout=dropout))


TUMOR_NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "recurrent_3d_denseunet": RecurrentDenseUNet3D,
    "unet3d": partial(RecurrentDenseUNet3D, dense="none", recurrent_layers=0),
    "denseunet3d": partial(RecurrentDenseUNet3D, dense="full", recurrent_layers=0),
    "denseunet3d_recurrent": partial(RecurrentDenseUNet3D, dense="full"),
    "unet2d": unet2d,
    "lungnet2d": lungnet2d,
    "lungnet3d": LungNet3D,
}


def tumor_network(
    name: str = "recurrent_3d_denseunet",
    width: int = 32,
    dropout: float | None = None,
    norm_momentum: float | None = None,
    **options: Any,
) -> nn.Module:
    """A network of TUMOR_NETWORKS: (B, 1, H, W, D) float in 0..1 -> logits (B, 1, H, W, D), slices last.

    width: channels of the first level, 32 in the papers; all others follow. dropout: None for the network's own.
    norm_momentum: of batch normalisation, in PyTorch's sense; 0.1 (also None) suits short runs, 0.01 is the authors'
    (Keras 0.99). options: the network's further ones; None for its own, which need not know that option then.
    Weights start as Kamal et al. say, section 3.2, those of the rivals too.
    Raises ConfigError for a name or an option that does not exist.
    """
    if name not in TUMOR_NETWORKS:
        raise ConfigError(f"network {name!r} is not known; choose one of {', '.join(TUMOR_NETWORKS)}")
    told = {option: value for option, value in {"dropout": dropout, **options}.items() if value is not None}
    try:
        network = TUMOR_NETWORKS[name](width=width, **told)
    except TypeError as error:
        raise ConfigError(f"network {name} has no such option: {error}") from error
    initialise_glorot(network)
    set_norm_momentum(network, 0.1 if norm_momentum is None else norm_momentum)
    return network
