"""The order and the parameters of pre-processing as data: a list of {name, parameters}, done one after the other."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures.clahe import clahe
from lungseg_monai.pictures.gaussian_blur import gaussian_blur
from lungseg_monai.pictures.grey import Picture, grey
from lungseg_monai.pictures.morphological_gradient import morphological_gradient
from lungseg_monai.pictures.normalise import normalise
from lungseg_monai.pictures.resize import resize

Step = Mapping[str, Any]
Steps = Sequence[Step]
STEPS: dict[str, Callable[..., Picture]] = {
    "grey": grey,
    "gaussian_blur": gaussian_blur,
    "morphological_gradient": morphological_gradient,
    "clahe": clahe,
    "normalise": normalise,
    "resize": resize,
}
AUGMENTATION = "augmentation"  # where in the order a training picture is changed at random; nothing in prediction
SETTINGS: dict[str, list[dict[str, Any]]] = {
    # The order of Process Flow, resizing last as in Algorithm 1. It gives no parameters: these are the usual ones.
    "paper": [
        {"name": "grey"},
        {"name": "gaussian_blur", "sigma": 1.1, "radius": 2},
        {"name": "morphological_gradient", "size": 3, "times": 2},
        {"name": "clahe", "clip_limit": 2.0, "tiles": [8, 8]},
        {"name": "normalise", "low": 0, "high": 100, "robust": False},
        {"name": "resize"},
    ],
    "recommended": [
        {"name": "grey"},
        {"name": "resize"},
        {"name": AUGMENTATION},
        {"name": "normalise", "low": 1, "high": 99, "robust": True},
    ],
}


def steps_of(steps: str | Steps) -> list[dict[str, Any]]:
    """The list itself, or that of a setting by name, complete: "grey" first, "resize" before "augmentation" or last.

    What the list names stays where it is. Steps with `enabled: false` are left out, but for these two, without which
    there is no input. Raises ConfigError for an unknown setting, step or parameter, for "grey", "resize" or
    "augmentation" given twice, for "grey" that is not first, and for resizing after augmentation.
    """
    if isinstance(steps, str):
        if steps not in SETTINGS:
            raise ConfigError(f"there is no pre-processing {steps!r}; there are: {', '.join(SETTINGS)}, or give a list")
        steps = SETTINGS[steps]
    found = []
    for step in steps:
        _check(step)
        if step.get("enabled", True):
            found.append({name: value for name, value in step.items() if name != "enabled"})
    names = [step["name"] for step in found]
    for once in ("grey", "resize", AUGMENTATION):
        if names.count(once) > 1:
            raise ConfigError(f"pre-processing names {once} {names.count(once)} times; wanted once")
    if "grey" not in names:
        found.insert(0, {"name": "grey"})
    if "resize" not in names:
        at = [step["name"] for step in found].index(AUGMENTATION) if AUGMENTATION in names else len(found)
        found.insert(at, {"name": "resize"})
    order = [step["name"] for step in found]
    if order[0] != "grey" or order.index("resize") > order.index(AUGMENTATION if AUGMENTATION in order else "resize"):
        raise ConfigError(
            f"pre-processing goes {', '.join(order)}; wanted grey first, and resize before augmentation: training "
            "pictures are held resized"
        )
    return found


def without(steps: str | Steps, *names: str) -> list[dict[str, Any]]:
    """`steps_of` without the steps of these names: a row of an ablation. Raises ConfigError for one not there."""
    there = steps_of(steps)
    can = {step["name"] for step in there} - {"grey", "resize"}
    wrong = sorted(set(names) - can)
    if wrong:
        raise ConfigError(
            f"can't leave out {', '.join(wrong)}; of these steps one can: {', '.join(sorted(can)) or 'none'}"
        )
    return [step for step in there if step["name"] not in names]


def parts(steps: str | Steps) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is done before "augmentation" and what after it; without it all is before."""
    all_ = steps_of(steps)
    names = [step["name"] for step in all_]
    at = names.index(AUGMENTATION) if AUGMENTATION in names else len(all_)
    return all_[:at], all_[at + 1 :]


def apply(picture: NDArray, steps: Steps, spatial_size: Sequence[int]) -> Picture:
    """`picture` (H, W), or with channels last, after exactly these steps: float32. "resize" goes to `spatial_size`."""
    for step in steps:
        parameters = {name: value for name, value in step.items() if name != "name"}
        if step["name"] == "resize":
            parameters["spatial_size"] = spatial_size
        if step["name"] != AUGMENTATION:
            picture = STEPS[step["name"]](picture, **parameters)
    return picture


def prepare(picture: NDArray, steps: str | Steps, spatial_size: Sequence[int]) -> Picture:
    """The stored values of a picture -> float32 `spatial_size`, as the network takes it in prediction."""
    return apply(picture, steps_of(steps), spatial_size)


def _check(step: Step) -> None:
    known = [*STEPS, AUGMENTATION]
    if not isinstance(step, Mapping) or step.get("name") not in known:
        raise ConfigError(f"{step!r} is no step of pre-processing; wanted {{name: ...}} with one of {', '.join(known)}")
    own = inspect.signature(STEPS[step["name"]]).parameters if step["name"] in STEPS else {}
    allowed = {"name", "enabled", *list(own)[1:]} - {"spatial_size"}
    unknown = sorted(set(step) - allowed)
    if unknown:
        raise ConfigError(f"the step {step['name']} has no {', '.join(unknown)}; it takes {', '.join(sorted(allowed))}")
