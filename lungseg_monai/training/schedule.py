"""How the learning rate changes."""

from functools import partial
from math import cos, pi

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lungseg_monai.errors import ConfigError

SCHEDULES = ("constant", "cosine", "plateau")


def warmup_cosine(step: int, total_steps: int, warmup: float) -> float:
    """Factor on the learning rate: up in a line over the share `warmup` of all steps, then down a half cosine to 0."""
    rising = warmup * total_steps
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + cos(pi * min(1.0, (step - rising) / max(1.0, total_steps - rising))))


def constant(step: int) -> float:
    """The factor 1."""
    return 1.0


def learning_rates(optimizer: Optimizer, schedule: str, total_steps: int, warmup: float) -> LambdaLR:
    """`constant`, or `cosine` (warmup_cosine), stepped once a batch.

    A resume with more epochs goes on with the schedule of the new length. Raises ConfigError for `plateau`, which
    follows the validation and not the steps (plateau.py), ValueError for another name.
    """
    if schedule == "plateau":
        raise ConfigError("this bundle has no schedule plateau: give --schedule constant or cosine")
    if schedule == "constant":
        return LambdaLR(optimizer, constant)
    if schedule == "cosine":
        return LambdaLR(optimizer, partial(warmup_cosine, total_steps=total_steps, warmup=warmup))
    raise ValueError(f"schedule must be constant or cosine, got {schedule!r}")
