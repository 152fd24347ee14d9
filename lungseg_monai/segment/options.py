"""What a user can ask of the lungs. Light: the command line imports it."""

import math
from dataclasses import dataclass

from lungseg_monai.errors import UsageError

VESSELS = ("in", "out")
# What the numbers may be: nonsense is refused, everything else is the user's choice.
RANGES: dict[str, tuple[float, float]] = {
    "border_mm": (0.0, 20.0),
    "min_lung_ml": (0.0, 2000.0),
    "min_pocket_ml": (0.0, 100.0),
    "max_hole_ml": (0.0, 1000.0),
}
THRESHOLD_RANGE_HU = (-900.0, -100.0)


@dataclass(frozen=True)
class LungOptions:
    """What counts as lung, and how its border is drawn.

    vessels: "in" counts vessels and airways inside the lung as lung; "out" cuts out what is denser than the border's
    threshold, nodules and consolidation too. airways: True leaves trachea and main bronchi in where the network drew
    them. refine: draw the border by HU at the image's own resolution, within border_mm of the network's border.
    threshold_hu: below it a voxel at the border is lung; None for half-way between this lung and its wall.
    min_lung_ml: a smaller lung is taken for a mistake. min_pocket_ml: smaller separate pieces are dropped.
    max_hole_ml: larger holes stay open, 16 ml is a ball of 31 mm: a nodule is filled, a mass is not.
    Raises UsageError for values that make no sense.
    """

    vessels: str = "in"
    airways: bool = False
    refine: bool = True
    border_mm: float = 3.5
    threshold_hu: float | None = None
    min_lung_ml: float = 15.0
    min_pocket_ml: float = 0.3
    max_hole_ml: float = 16.0

    def __post_init__(self) -> None:
        if self.vessels not in VESSELS:
            raise UsageError(f"vessels {self.vessels!r} is not known; choose one of {', '.join(VESSELS)}")
        for name in ("airways", "refine"):
            if not isinstance(getattr(self, name), bool):
                raise UsageError(f"{name} must be true or false, got {getattr(self, name)!r}")
        for name, limits in RANGES.items():
            _check(name, getattr(self, name), limits)
        if self.threshold_hu is not None:
            _check("threshold_hu", self.threshold_hu, THRESHOLD_RANGE_HU)


def _check(name: str, value: object, limits: tuple[float, float]) -> None:
    low, high = limits
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high:  # type: ignore[operator]
        raise UsageError(f"{name} must be a number between {low:g} and {high:g}, got {value!r}")


DEFAULTS = LungOptions()
