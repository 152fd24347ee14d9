"""How the learning rate changes."""

from functools import partial
from logging import getLogger
from math import cos, pi
from typing import Any

from ignite.engine import Engine, Events
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lungseg_monai.training.checkpoints import epoch_score
from lungseg_monai.training.plateau import PlateauRates
from lungseg_monai.training.processes import is_main

SCHEDULES = ("constant", "cosine", "plateau")
log = getLogger(__name__)


def warmup_cosine(step: int, total_steps: int, warmup: float) -> float:
    """Factor on the learning rate: up in a line over the share `warmup` of all steps, then down a half cosine to 0."""
    rising = warmup * total_steps
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + cos(pi * min(1.0, (step - rising) / max(1.0, total_steps - rising))))


def constant(step: int) -> float:
    """The factor 1."""
    return 1.0


def learning_rates(
    optimizer: Optimizer, schedule: str, total_steps: int, warmup: float = 0.0, plateau: int = 3, decay: float = 0.0
) -> LambdaLR | PlateauRates:
    """What StepRates lets go on.

    `constant`, or `cosine` (warmup_cosine), stepped once a batch; a resume with more epochs goes on with the schedule
    of the new length. `plateau`: PlateauRates, halved after so many epochs without a higher score. Raises ValueError
    for another name.
    """
    if schedule == "plateau":
        return PlateauRates(optimizer, epochs=plateau, decay=decay)
    if schedule == "constant":
        return LambdaLR(optimizer, constant)
    if schedule == "cosine":
        return LambdaLR(optimizer, partial(warmup_cosine, total_steps=total_steps, warmup=warmup))
    raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}")


class StepRates:
    """Ignite handler: lets `rates` (learning_rates) go on, after each batch or (PlateauRates) each epoch's validation.

    An epoch is judged as best.pt is: by the `validator`'s metric `by`, dice or loss, without one by the training loss.
    To be attached after the validation.
    """

    def __init__(self, rates: Any, validator: Engine | None = None, by: str = "dice") -> None:
        self.rates, self.validator, self.by = rates, validator, by

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
        score = epoch_score(engine, self.validator, self.by)
        if score is None:
            return
        self.rates.step(score)
        after = self.rates.optimizer.param_groups[0]["lr"]
        if after < before and is_main():
            log.info("No better epoch for a while: the learning rate goes from %.3g to %.3g", before, after)
