"""The numbers of a run: from a named setting or a checkpoint, checked before work begins."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lungseg_monai.bundle_command import did_you_mean
from lungseg_monai.errors import ConfigError
from lungseg_monai.training.checkpoints import read_checkpoint
from lungseg_monai.training.schedule import SCHEDULES

Numbers = dict[str, Any]
MAY_DIFFER_ON_RESUME = ("epochs",)
SHARES = ("frozen_share", "average_decay", "easiest", "harder_share", "weight_decay")


def choose_numbers(setting: str, settings: Mapping[str, Numbers], checkpoint: str | Path | None = None) -> Numbers:
    """The row of `settings` called `setting`, or with a `checkpoint` the numbers that it was trained with.

    Raises ConfigError for an unknown setting, CheckpointError for a checkpoint that can't be read.
    """
    if setting not in settings:
        raise ConfigError(
            f"there is no setting {setting!r}; there are: {', '.join(settings)}.{did_you_mean(setting, settings)}"
        )
    numbers = dict(settings[setting])
    if checkpoint is not None:
        numbers.update(read_checkpoint(checkpoint)["numbers"])
    return numbers


def check_numbers(numbers: Numbers, checkpoint: str | Path | None = None, divisible_by: int = 1) -> Numbers:
    """`numbers`, if each is of its kind and (but for the epochs) as in the `checkpoint` that is gone on from.

    `divisible_by` is what the network wants of both sides of spatial_size.
    Raises ConfigError, naming the number, what came and what was wanted; also when there is no epoch left to train.
    """
    for name, value in numbers.items():
        wanted = _unmet(name, value)
        if name == "spatial_size" and not wanted and any(side % divisible_by for side in value):
            wanted = f"divisible by {divisible_by} for this network"
        if wanted:
            raise ConfigError(f"{name} must be {wanted}, got {value!r}: give it as --{name} VALUE")
    if checkpoint is not None:
        _check_resume(numbers, read_checkpoint(checkpoint))
    return numbers


def _check_resume(numbers: Numbers, checkpoint: Mapping[str, Any]) -> None:
    before = checkpoint["numbers"]
    changed = [
        name for name in before if name not in MAY_DIFFER_ON_RESUME and numbers.get(name, before[name]) != before[name]
    ]
    if changed:
        was = ", ".join(f"{name} {before[name]!r} (now {numbers[name]!r})" for name in changed)
        raise ConfigError(
            f"the run to resume was trained with {was}. Resume without these options, "
            "or start another run from its weights with --pretrained CHECKPOINT."
        )
    done = epochs_done(checkpoint)
    if numbers.get("epochs", done + 1) <= done:
        raise ConfigError(
            f"the run to resume already has {done} epochs and {numbers['epochs']} were asked for: "
            f"ask for more, as --resume --epochs {done + 10}"
        )


def epochs_done(checkpoint: Mapping[str, Any]) -> int:
    """Of last.pt, whose `trainer` counts steps; 0 where there is none."""
    trainer = checkpoint.get("trainer") or {}
    return int(trainer["iteration"]) // int(trainer["epoch_length"]) if trainer else 0


def _unmet(name: str, value: Any) -> str:
    """What the number should have been; empty if it is so."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name == "fold":
        return "" if value is None or (number and value >= 0) else "the number of a fold, from 0, or null"
    if name in ("epochs", "batch_size", "width", "scenes_per_epoch", "validation_scenes", "repeats"):
        return "" if number and isinstance(value, int) and value >= 1 else "a whole number from 1"
    if name in ("seed", "num_workers", "keep_largest"):
        return "" if number and isinstance(value, int) and value >= 0 else "a whole number from 0"
    if name in ("learning_rate", "cache_gb", "clip_gradients", "air_weight", "border_weight", "spacing_mm"):
        return "" if number and value > 0 else "a number above 0"
    if name in ("alpha", "dropout", "empty_slices", "warmup", "threshold", *SHARES):
        return "" if number and 0 <= value <= 1 else "a number from 0 to 1"
    if name == "minutes":
        return "" if value is None or (number and value > 0) else "a number of minutes above 0, or null"
    if name == "features":
        six = isinstance(value, list | tuple) and len(value) == 6
        return "" if six and all(isinstance(size, int) and size >= 1 for size in value) else "six whole numbers from 1"
    pair = isinstance(value, list | tuple) and len(value) == 2
    if name == "spatial_size":
        sides = pair and all(isinstance(side, int) and side >= 1 for side in value)
        return "" if sides else 'two whole numbers from 1, as "[128, 128]"'
    if name == "window_hu":
        window = pair and all(isinstance(end, int | float) for end in value) and value[0] < value[1]
        return "" if window else 'two numbers, the lower first, as "[-1000, 400]"'
    if name == "schedule":
        return "" if value in SCHEDULES else " or ".join(SCHEDULES)
    if name == "augment":
        return "" if isinstance(value, bool) else "true or false"
    return ""
