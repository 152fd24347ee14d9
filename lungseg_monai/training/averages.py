"""Between the gradient and the weights: clipping, an average of the weights over the steps, frozen statistics."""

from logging import getLogger
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

log = getLogger(__name__)


class AverageWeights(AveragedModel):
    """A copy of `network` whose weights and buffers are an exponential average over the steps; an ignite handler too.

    After n steps the average so far keeps the share min(decay, (1 + n) / (10 + n)), so that the first steps are
    soon forgotten. `part` is the network within, with the state dict that checkpoints of the network have.
    """

    def __init__(self, network: nn.Module, decay: float = 0.999) -> None:
        def average(mean: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
            keep = min(decay, (1 + int(count)) / (10 + int(count)))
            return torch.lerp(mean, now, 1 - keep) if mean.is_floating_point() else now

        super().__init__(network, avg_fn=average, use_buffers=True)
        self.source = [network]  # in a list: not a part of this module

    @property
    def part(self) -> nn.Module:
        return self.module

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self.update)

    def update(self, engine: Engine | None = None) -> None:
        with torch.no_grad():
            self.update_parameters(self.source[0])


class ClipGradients:
    """Scales the gradient of a step down to the norm `largest`; a step whose gradient is not finite is left out."""

    def __init__(self, network: nn.Module, largest: float) -> None:
        self.network, self.largest = network, largest

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        if engine.amp and engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)  # the scaler leaves out steps that are not finite by itself
            nn.utils.clip_grad_norm_(self.network.parameters(), self.largest)
            return
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.largest)
        if not torch.isfinite(norm):
            log.warning("The gradient of step %d is not finite: left out", engine.state.iteration)
            engine.optimizer.zero_grad(set_to_none=True)


class FreezeStatistics:
    """Lets batch normalisation's means and variances be from where the share `share` of the `epochs` is left."""

    def __init__(self, network: Any, epochs: int, share: float) -> None:
        self.network, self.epochs, self.share = network, epochs, share

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        self.network.frozen_statistics = engine.state.epoch > round((1 - self.share) * self.epochs)
