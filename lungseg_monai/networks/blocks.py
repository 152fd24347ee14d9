"""What several networks share: how weights start, and batch normalisation's memory."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from lungseg_monai.errors import ConfigError
from lungseg_monai.networks.conv_lstm import Direction

RECURRENT = ("glorot", "orthogonal")


def initialise_glorot(network: nn.Module, recurrent: str = "glorot") -> None:
    """Start `network`, in place, as Kamal et al. say (section 3.2): uniform after Glorot and Bengio, biases 0.

    All convolutions, transposed ones and those of a ConvLSTM, whose forget gate has bias 1; batch normalisation starts
    at weight 1, bias 0. recurrent: "orthogonal" starts a ConvLSTM's state-to-state kernel as Keras does unasked.
    Raises ConfigError for another `recurrent`.
    """
    if recurrent not in RECURRENT:
        raise ConfigError(
            f"recurrent {recurrent!r} is no way to start a ConvLSTM: choose one of {', '.join(RECURRENT)}"
        )
    for module in network.modules():
        if isinstance(module, _ConvNd):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, _BatchNorm):
            module.reset_parameters()
    for module in network.modules():  # after their convolutions
        if isinstance(module, Direction):
            module.reset_bias()
            if recurrent == "orthogonal":
                nn.init.orthogonal_(module.state.weight)


def set_norm_momentum(network: nn.Module, momentum: float) -> None:
    """Set, in place, how much of its running mean and variance each batch normalisation takes from the newest batch.

    In PyTorch's sense: Keras' 0.99 is 0.01 here. Raises ConfigError outside 0 to 1.
    """
    if not 0.0 < momentum <= 1.0:
        raise ConfigError(f"norm_momentum must be above 0 and at most 1, got {momentum} (Keras' 0.99 is 0.01)")
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = momentum
