"""From lung probabilities of a radiograph to a mask: thresholds, noise, the two largest pieces, holes, left and right.

Source: the chest X-ray paper's Process Flow: a global and a local threshold, "combined using a union operation".
Differs from the paper: nothing in the order. It names neither method nor numbers of the thresholds: Otsu and the mean
of a block are guesses. Noise removal, pieces and holes are not its own; they are off in `paper`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures.left_lung import complete_left_lung, complete_lungs
from lungseg_monai.pictures.measures import flags_of
from lungseg_monai.pictures.pieces import closed, filled, largest, largest_together, opened
from lungseg_monai.pictures.resize import resize
from lungseg_monai.pictures.sides import Labels, tell_sides
from lungseg_monai.pictures.thresholds import Mask, local_threshold, otsu, united
from lungseg_monai.segment.result import Flag

CONVENTIONS = ("visible", "anatomical")
ANATOMICAL = "both"  # what `complete` brings visible lungs to that convention
COMPLETE: dict[str, Callable[[Labels], Labels]] = {
    "none": lambda labels: labels,
    "left": complete_left_lung,
    "both": complete_lungs,
}
OTSU = "otsu"


@dataclass(frozen=True)
class CxrRules:
    """What is done to a probability map (H, W), in this order; each can be switched off.

    global_threshold: lung lies above it; "otsu" draws it from the map; None: off. local_block: the side of the square
    whose mean is a pixel's local threshold, in share of the width; 0: off. local_offset: the local threshold is lower
    by it. local_floor: probabilities up to it are lung by no local threshold (without it the noise of the empty
    background is). opening, closing: radius of a disk in share of the width, 0: off. pieces: how many of the largest
    stay, 0: all. least_share: those of less than this share of the largest go. holes: fill them. sides: tell left from
    right; off, all lung is label 1. complete: none, left (the lung behind the heart) or both (and the strips beside the
    spine; pictures/left_lung.py), for models that draw what is visible where what is anatomical is asked for; needs
    sides.
    Raises ConfigError for what can't be.
    """

    global_threshold: float | str | None = 0.5
    local_block: float = 0.0
    local_offset: float = 0.0
    local_floor: float = 0.0
    opening: float = 0.006
    closing: float = 0.0
    pieces: int = 2
    least_share: float = 0.1
    holes: bool = True
    sides: bool = True
    complete: str = "none"

    def __post_init__(self) -> None:
        if isinstance(self.global_threshold, str):
            if self.global_threshold != OTSU:
                raise ConfigError(f"global_threshold is {self.global_threshold!r}; wanted a number, {OTSU!r} or None")
        elif self.global_threshold is not None:
            _number("global_threshold", self.global_threshold, 0.0, 1.0)
        for name in ("local_block", "local_floor", "least_share"):
            _number(name, getattr(self, name), 0.0, 1.0)
        for name in ("opening", "closing"):
            _number(name, getattr(self, name), 0.0, 0.25)
        _number("local_offset", self.local_offset, -1.0, 1.0)
        _number("pieces", self.pieces, 0, 1000, kind=int)
        for name in ("holes", "sides"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; wanted true or false")
        if self.global_threshold is None and not self.local_block:
            raise ConfigError("neither a global nor a local threshold: nothing could be lung. Give one of them.")
        if self.complete not in COMPLETE:
            raise ConfigError(f"complete is {self.complete!r}; wanted one of {', '.join(COMPLETE)}")
        if self.complete != "none" and not self.sides:
            raise ConfigError("complete needs sides: which lung is which must be known")

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `cxr_rules_from` is the way back."""
        return asdict(self)


@dataclass(frozen=True)
class LungMask:
    """labels: (H, W) uint8, 1 right and 2 left lung of the patient (or 1 for both). flags: why to look at it."""

    labels: Labels
    flags: tuple[Flag, ...]


def cxr_rules_from(values: str | Mapping[str, Any]) -> CxrRules:
    """Rules of a setting by name, or of the content of a JSON or YAML file; what that leaves out is as in CxrRules.

    Raises ConfigError for an unknown setting or rule.
    """
    if isinstance(values, str):
        if values not in RULES:
            raise ConfigError(f"there are no rules {values!r}; there are: {', '.join(RULES)}")
        return RULES[values]
    known = {one.name for one in fields(CxrRules)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(
            f"rules of radiographs: {', '.join(unknown)} not known; wanted some of {', '.join(sorted(known))}"
        )
    return CxrRules(**values)


def lung_mask(probability: NDArray[np.floating], rules: CxrRules, flipped: bool | None = None) -> Labels:
    """uint8 (H, W): 1 the patient's right lung, 2 the left one, of probability (H, W), by all rules on this grid.

    flipped: whether the picture hangs mirrored; None: not known. Raises ConfigError where the map can't be one.
    """
    return decide(probability, rules, flipped).labels


def lung_mask_on_image(
    probability: NDArray[np.floating], shape_hw: tuple[int, int], rules: CxrRules, flipped: bool | None = None
) -> LungMask:
    """As `decide`, of probability on the network's grid brought to the picture's own size (bilinear) first."""
    _check(probability)
    return decide(resize(probability, shape_hw), rules, flipped)


def decide(probability: NDArray[np.floating], rules: CxrRules, flipped: bool | None = None) -> LungMask:
    """`lung_mask` with its flags (pictures/sides.py, pictures/measures.py)."""
    _check(probability)
    mask = clean(thresholded(probability, rules), rules)
    if not rules.sides:
        whole = largest_together(mask, rules.pieces, rules.least_share)
        labels = (filled(whole) if rules.holes else whole).astype(np.uint8)
        return LungMask(labels, tuple(flag for flag in flags_of(labels) if flag.code != "one_lung"))
    pieces = largest(mask, rules.pieces, rules.least_share)
    if rules.holes:
        pieces = [filled(piece) for piece in pieces]
    if not pieces:
        empty = np.zeros(probability.shape, np.uint8)
        return LungMask(empty, flags_of(empty))
    told = tell_sides(pieces, flipped)
    labels = COMPLETE[rules.complete](told.labels)
    return LungMask(labels, (*flags_of(labels), *told.flags))


def thresholded(probability: NDArray[np.floating], rules: CxrRules) -> Mask:
    """The union of what the global and what the local threshold take for lung: bool (H, W)."""
    level = otsu(probability) if isinstance(rules.global_threshold, str) else rules.global_threshold
    local = None
    if rules.local_block:
        block = 2 * round(rules.local_block * probability.shape[1] / 2) + 1
        local = local_threshold(probability, block, rules.local_offset)
    return united(probability, level, local, rules.local_floor)


def clean(mask: Mask, rules: CxrRules) -> Mask:
    """mask without noise: opened, then closed, by disks of a share of its width."""
    width = mask.shape[1]
    return closed(opened(mask, round(rules.opening * width)), round(rules.closing * width))


def _check(probability: NDArray[np.floating]) -> None:
    if probability.ndim != 2 or 0 in probability.shape:
        raise ConfigError(f"probabilities of shape {probability.shape}; wanted those of one picture: (rows, columns)")
    low, high = float(probability.min()), float(probability.max())
    if not (low >= -1e-6 and high <= 1 + 1e-6):  # not so for NaN either
        raise ConfigError(f"probabilities from {low:.4g} to {high:.4g}; wanted 0 to 1: give the map after the sigmoid")


def _number(name: str, value: Any, low: float, high: float, kind: type = float) -> None:
    fits = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
    if not fits or not low <= value <= high:
        wanted = "a whole number" if kind is int else "a number"
        raise ConfigError(f"{name} is {value!r}; wanted {wanted} from {low:g} to {high:g}")


RULES = {  # by the names of settings
    "recommended": CxrRules(),
    "paper": CxrRules(
        global_threshold=OTSU, local_block=0.1, opening=0.0, pieces=0, least_share=0.0, holes=False, sides=False
    ),
}
