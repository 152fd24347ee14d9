"""The learning rate of Kamal et al., section 3.2: halved when validation Dice has not risen in three epochs."""

from logging import getLogger
from typing import Any

from ignite.engine import Engine, Events
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lungseg_monai.training.checkpoints import KeepCheckpoints, epoch_score
from lungseg_monai.training.processes import is_main
from lungseg_monai.training.schedule import learning_rates

log = getLogger(__name__)


class PlateauRates(ReduceLROnPlateau):
    """Halves the rate after `epochs` epochs in a row without a higher score; its state survives a resume.

    `decay` is that of Keras' optimisers, as the authors' code sets it: after n batches the rate is divided by
    1 + decay * n. It is no weight decay.
    """

    def __init__(self, optimizer: Optimizer, epochs: int = 3, factor: float = 0.5, decay: float = 0.0) -> None:
        # PyTorch changes the rate once more than `patience` epochs were bad, Keras (and the paper) after so many.
        super().__init__(
            optimizer, mode="max", factor=factor, patience=epochs - 1, threshold=0.0, threshold_mode="abs", eps=0.0
        )
        self.decay = decay
        self.batches = 0

    def after_batch(self) -> None:
        before = 1 + self.decay * self.batches
        self.batches += 1
        if self.decay:
            for group in self.optimizer.param_groups:
                group["lr"] *= before / (1 + self.decay * self.batches)


def tumor_rates(
    optimizer: Optimizer, schedule: str, total_steps: int, warmup: float = 0.0, plateau: int = 3, decay: float = 0.0
) -> Any:
    """`plateau`: PlateauRates, with the numbers `plateau` and `decay`; `constant` or `cosine`: as in schedule.py.

    Raises ValueError for another name.
    """
    if schedule == "plateau":
        return PlateauRates(optimizer, epochs=plateau, decay=decay)
    return learning_rates(optimizer, schedule, total_steps, warmup)


class StepRates:
    """Ignite handler: lets `rates` (tumor_rates) go on, after each batch or (PlateauRates) each epoch's validation.

    Without a `validator` the training loss is judged. To be attached after the validation.
    """

    def __init__(self, rates: Any, validator: Engine | None = None) -> None:
        self.rates, self.validator = rates, validator

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.batch)
        if isinstance(self.rates, PlateauRates):
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch)

    def batch(self, engine: Engine) -> None:
        if isinstance(self.rates, PlateauRates):
            self.rates.after_batch()
        else:
            self.rates.step()

    def epoch(self, engine: Engine) -> None:
        before = self.rates.optimizer.param_groups[0]["lr"]
        self.rates.step(epoch_score(engine, self.validator))
        after = self.rates.optimizer.param_groups[0]["lr"]
        if after < before and is_main():
            log.info("No better epoch for a while: the learning rate goes from %.3g to %.3g", before, after)


class StopWithoutGain:
    """Ignite handler: ends the training when the best of `checkpoints` is `epochs` epochs ago; None: never.

    It keeps no count of its own, so that a resume needs none. To be attached after `checkpoints`.
    """

    def __init__(self, checkpoints: KeepCheckpoints, epochs: int | None) -> None:
        self.checkpoints, self.epochs = checkpoints, epochs

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        best = self.checkpoints.best["epoch"]
        if self.epochs is not None and best is not None and engine.state.epoch - best >= self.epochs:
            if is_main():
                log.info("No better epoch since epoch %d: the training ends here", best)
            engine.terminate()
