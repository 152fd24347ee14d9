"""The numbers of a run: from a named setting or a checkpoint, checked before work begins."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lungseg_monai.bundle_command import did_you_mean
from lungseg_monai.errors import ConfigError
from lungseg_monai.io import read_json
from lungseg_monai.training.checkpoints import read_checkpoint
from lungseg_monai.training.kinds import unmet

Numbers = dict[str, Any]
MAY_DIFFER_ON_RESUME = ("epochs",)


def choose_numbers(setting: str, settings: Mapping[str, Numbers], checkpoint: str | Path | None = None) -> Numbers:
    """The row of `settings` called `setting`, or with a `checkpoint` the numbers that it was trained with.

    Raises ConfigError for an unknown setting, and for another than the run of the `checkpoint` was trained with (the
    first of `settings` is what comes unasked); CheckpointError for a checkpoint that can't be read.
    """
    if setting not in settings:
        raise ConfigError(
            f"there is no setting {setting!r}; there are: {', '.join(settings)}.{did_you_mean(setting, settings)}"
        )
    numbers = dict(settings[setting])
    if checkpoint is not None:
        numbers.update(read_checkpoint(checkpoint)["numbers"])
        if setting != next(iter(settings)):
            _check_setting(setting, Path(checkpoint).parents[1] / "run.json")
    return numbers


def _check_setting(setting: str, record: Path) -> None:
    trained = read_json(record).get("setting") if record.is_file() else None
    if trained is not None and trained != setting:
        raise ConfigError(
            f"{record.parent} was trained with the setting {trained!r}, and its numbers are those of its checkpoint: "
            f"--setting {setting} would change nothing. Leave it out, or start another run"
        )


def check_numbers(numbers: Numbers, checkpoint: str | Path | None = None, divisible_by: int = 1) -> Numbers:
    """`numbers`, if each is of its kind and (but for the epochs) as in the `checkpoint` that is gone on from.

    `divisible_by` is what the network wants of both sides of spatial_size.
    Raises ConfigError, naming the number, what came and what was wanted; also when there is no epoch left to train.
    """
    for name, value in numbers.items():
        wanted = unmet(name, value)
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
