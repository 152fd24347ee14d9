"""What each number of a run must be: its kind by its name, as data."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lungseg_monai.training.schedule import SCHEDULES
from lungseg_monai.transforms.chains import SLICE_CHANGES

Kind = tuple[Callable[[Any], bool], str]  # is it so?, what is wanted


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def whole(least: int) -> Kind:
    return lambda v: is_number(v) and isinstance(v, int) and v >= least, f"a whole number from {least}"


def one_of(names: Iterable[str]) -> Kind:
    known = tuple(names)
    return lambda v: v in known, " or ".join(known)


def some_of(names: Iterable[str]) -> Kind:
    known = tuple(names)
    told = f"a list of names out of {', '.join(known)}"
    return lambda v: isinstance(v, list | tuple) and all(each in known for each in v), told


def or_null(kind: Kind, wanted: str | None = None) -> Kind:
    return lambda v: v is None or kind[0](v), wanted or f"{kind[1]}, or null"


def _pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _sides(value: Any) -> bool:
    return _pair(value) and all(isinstance(side, int) and side >= 1 for side in value)


def _window(value: Any) -> bool:
    return _pair(value) and all(isinstance(end, int | float) for end in value) and value[0] < value[1]


def _six(value: Any) -> bool:
    six = isinstance(value, list | tuple) and len(value) == 6
    return six and all(isinstance(size, int) and size >= 1 for size in value)


def _shares(value: Any) -> bool:
    return isinstance(value, Mapping) and all(is_number(each) and 0 <= each <= 1 for each in value.values())


COUNT, FROM_0 = whole(1), whole(0)
ABOVE_0: Kind = (lambda v: is_number(v) and v > 0, "a number above 0")
NOT_BELOW_0: Kind = (lambda v: is_number(v) and v >= 0, "a number from 0")
SHARE: Kind = (lambda v: is_number(v) and 0 <= v <= 1, "a number from 0 to 1")
END_SHARE: Kind = (lambda v: is_number(v) and 0 <= v < 0.5, "a number from 0, below 0.5")
YES_NO: Kind = (lambda v: isinstance(v, bool), "true or false")
MINUTES = or_null(ABOVE_0, "a number of minutes above 0, or null")
FOLD = or_null(NOT_BELOW_0, "the number of a fold, from 0, or null")

KINDS: dict[str, Kind] = {
    "fold": FOLD,
    **dict.fromkeys(
        ("epochs", "batch_size", "width", "n_filters", "scenes_per_epoch", "validation_scenes", "repeats"), COUNT
    ),
    **dict.fromkeys(("accumulate", "plateau", "slices", "stride"), COUNT),
    **dict.fromkeys(("seed", "num_workers", "keep_largest"), FROM_0),
    **dict.fromkeys(("learning_rate", "cache_gb", "clip_gradients", "air_weight", "border_weight"), ABOVE_0),
    "spacing_mm": ABOVE_0,
    **dict.fromkeys(("rate_decay", "l1", "l2", "least_mm3"), NOT_BELOW_0),
    "augmentations": some_of(SLICE_CHANGES),
    **dict.fromkeys(("alpha", "empty_slices", "warmup", "threshold", "norm_momentum"), SHARE),
    "dropout": or_null(SHARE),
    **dict.fromkeys(("frozen_share", "average_decay", "easiest", "harder_share", "weight_decay"), SHARE),
    "skip_ends": END_SHARE,
    "empty_patches": (lambda v: is_number(v) and 0 <= v < 1, "a number from 0, below 1"),
    "only_labelled": (lambda v: v is True or v == "run", "true or run"),
    **dict.fromkeys(("early_stop", "patches_per_epoch"), or_null(COUNT)),
    "minutes": MINUTES,
    "features": (_six, "six whole numbers from 1"),
    "spatial_size": (_sides, 'two whole numbers from 1, as "[128, 128]"'),
    "window_hu": (_window, 'two numbers, the lower first, as "[-1000, 400]"'),
    "schedule": one_of(SCHEDULES),
    "intensity": one_of(("window", "stretch")),
    "architecture": or_null(one_of(("code", "text"))),
    "best_by": one_of(("dice", "loss")),
    "optimizer_name": one_of(("adam", "sgd")),
    "convention": one_of(("visible", "anatomical")),
    **dict.fromkeys(("batch_normalization", "augment", "save_probabilities", "tensorboard", "amp", "resume"), YES_NO),
    "probabilities": (_shares, "a number from 0 to 1 for each kind of change, as \"{'flip': 0.5}\""),
}


def unmet(name: str, value: Any) -> str:
    """What the number should have been; empty if it is so, or of no known name."""
    fits, wanted = KINDS.get(name, (lambda v: True, ""))
    return "" if fits(value) else wanted
