"""L1 and L2 regularisation: a penalty on the weights of a network while it is trained."""

from typing import Any

import torch
from ignite.engine import Engine
from torch import nn
from torch.optim import Optimizer


class WeightPenalty:
    """Ignite handler: trains as if l1 * sum |w| + l2 * sum w^2 stood in the loss.

    w are the weights of convolutions and linear layers, not their biases nor anything of normalisation. The gradient of
    the penalty is added once a step of the optimiser, whatever the step was made of (accumulated batches, mixed
    precision, several processes); the loss that is told and compared stays that of the data alone.
    """

    def __init__(self, network: nn.Module, optimizer: Optimizer, l1: float = 0.0, l2: float = 0.0) -> None:
        self.weights, self.optimizer, self.l1, self.l2 = penalised(network), optimizer, l1, l2

    def attach(self, engine: Engine) -> None:
        if self.l1 or self.l2:
            self.optimizer.register_step_pre_hook(self)

    def __call__(self, optimizer: Optimizer, *unused: Any) -> None:
        with torch.no_grad():
            for weight in self.weights:
                if weight.grad is not None:  # a step that is left out, or a frozen layer
                    weight.grad.add_(weight.sign(), alpha=self.l1).add_(weight, alpha=2 * self.l2)


def penalised(network: nn.Module) -> list[nn.Parameter]:
    """The weights of all convolutions (transposed ones too) and linear layers of `network`, each once."""
    layers = (nn.modules.conv._ConvNd, nn.Linear)
    weights: dict[int, Any] = {id(part.weight): part.weight for part in network.modules() if isinstance(part, layers)}
    return list(weights.values())
