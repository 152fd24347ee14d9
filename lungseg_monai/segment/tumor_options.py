"""What a user, a bundle and a checkpoint can say about finding tumours. Light: the command line imports it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from lungseg_monai.errors import UsageError

WITHIN = ("lungs",)
RULE_NAMES = ("threshold", "kernel", "radius", "radius_mm", "grid", "within_mm", "least_mm3", "skip_ends")
TRAINED = ("slices", "spatial_size", "window_hu", "intensity", "width")  # what a checkpoint knows, and its bundle says
FARTHEST_MM = 500.0


@dataclass(frozen=True)
class TumorOptions:
    """slices, spatial_size (H, W), window_hu, intensity: what the network was trained on; its sides divide by divisor.

    width: channels of its first level. stride: of the windows along z; 1 as in the paper, `slices` is fastest and
    worst. batch_size: windows at once; None: by their size and the width, window_batches.windows_at_once.
    memory_gb: what finding a tumour may take beyond what the process holds; None: as its own limit says, if any.
    precision: "float32", or "bf16" where the processor computes in it, else float32 with a note.
    within: "lungs" finds the lungs first and looks only in the box round them, margin_mm wider on each side.
    lungs_model: the bundle that finds them.
    rules_name: of tuned.CHOICES. allow_phantom_weights: use weights trained on phantoms alone on patients.
    uncertainty: ask the network again with the changes of changes.py, which the tumour does not depend on.
    Raises UsageError for values that make no sense.
    """

    slices: int = 8
    spatial_size: Sequence[int] = (256, 256)
    window_hu: Sequence[float] = (-1000.0, 400.0)
    intensity: str = "window"
    width: int = 32
    divisor: int = 8
    stride: int = 1
    batch_size: int | None = None
    memory_gb: float | None = None
    precision: str = "bf16"
    within: str | None = None
    margin_mm: float = 20.0
    lungs_model: str = "ct_lungs"
    rules_name: str = "tuned"
    allow_phantom_weights: bool = False
    uncertainty: bool = False

    def __post_init__(self) -> None:
        for name in ("slices", "divisor", "stride", "batch_size", "width"):
            optional = name == "batch_size" and self.batch_size is None
            if not optional and not _whole(getattr(self, name)):
                raise UsageError(f"{name} must be a whole number, 1 or more, got {getattr(self, name)!r}")
        if self.stride > self.slices:
            raise UsageError(f"stride {self.stride} would leave out slices between windows of {self.slices}")
        if len(self.spatial_size) != 2 or not all(_whole(side) for side in self.spatial_size):
            raise UsageError(f"spatial_size must be two whole numbers, got {self.spatial_size!r}")
        if len(self.window_hu) != 2 or not self.window_hu[0] < self.window_hu[1]:
            raise UsageError(f"window_hu must be two numbers, the lower one first, got {self.window_hu!r}")
        if self.memory_gb is not None and not (_number(self.memory_gb) and self.memory_gb > 0):
            raise UsageError(f"memory_gb must be a number above 0, got {self.memory_gb!r}")
        if self.within not in (None, *WITHIN):
            raise UsageError(f"within {self.within!r} is not known; choose one of {', '.join(WITHIN)}")
        if not _number(self.margin_mm) or not 0 <= self.margin_mm <= FARTHEST_MM:
            raise UsageError(f"margin_mm must be a number between 0 and {FARTHEST_MM:g}, got {self.margin_mm!r}")


def divisor_of(network_name: object) -> int:
    """What the in-plane sides must divide by, of a network of networks.tumor.TUMOR_NETWORKS."""
    return 16 if network_name == "unet2d" else 8


def split_options(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of TumorOptions, and changes of rules. Raises UsageError for what is neither."""
    names = [one.name for one in fields(TumorOptions)]
    unknown = sorted(set(given) - set(names) - set(RULE_NAMES))
    if unknown:
        raise UsageError(
            f"a tumour model has no option {', '.join(unknown)}; there are: {', '.join(names)}, and of "
            f"the rules {', '.join(RULE_NAMES)}"
        )
    changes = {name: value for name, value in given.items() if name in RULE_NAMES}
    return {name: value for name, value in given.items() if name not in RULE_NAMES}, changes


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
