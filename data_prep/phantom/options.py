"""What a user can ask of the phantom. Light: the command line imports it."""

import math
from dataclasses import dataclass

from data_prep.errors import UsageError

SIZES = ("small", "full")
SPACING_RANGE_MM = (0.3, 20.0)


@dataclass(frozen=True)
class PhantomOptions:
    """How the phantom is scanned; the anatomy depends on seed and patient number alone.

    size: "small" (128 x 128 pixels of 2.6 to 3.4 mm, slices of 5 to 6 mm) or "full" (512 x 512 of 0.8 to 1 mm,
    slices of 1.5 to 3 mm). spacing_mm: (x, y, z) along columns, rows and slices instead of the size's own; the field
    of view stays, so the matrix changes. oblique_deg: turns the image planes about the patient's x, y and z axes, in
    this order. missing_slices: this many inner slices are left out. noise_hu: standard deviation of the noise.
    Raises UsageError for values that make no scan.
    """

    size: str = "small"
    spacing_mm: tuple[float, float, float] | None = None
    oblique_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    missing_slices: int = 0
    noise_hu: float = 18.0

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise UsageError(f"phantom size {self.size!r} is not known; choose one of {', '.join(SIZES)}")
        if self.spacing_mm is not None:
            object.__setattr__(self, "spacing_mm", _three("spacing_mm", self.spacing_mm))
            low, high = SPACING_RANGE_MM
            if not all(low <= step <= high for step in self.spacing_mm):
                raise UsageError(f"spacing_mm must lie between {low} and {high} mm, got {list(self.spacing_mm)}")
        object.__setattr__(self, "oblique_deg", _three("oblique_deg", self.oblique_deg))
        if self.missing_slices < 0:
            raise UsageError(f"missing_slices must be 0 or more, got {self.missing_slices}")
        if not (math.isfinite(self.noise_hu) and 0 <= self.noise_hu <= 500):
            raise UsageError(f"noise_hu must lie between 0 and 500 HU, got {self.noise_hu}")


def _three(name: str, values: object) -> tuple[float, float, float]:
    try:
        x, y, z = (float(value) for value in values)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise UsageError(f"{name} must hold three numbers, for x, y and z, got {values!r}") from None
    if not all(map(math.isfinite, (x, y, z))):
        raise UsageError(f"{name} must hold three finite numbers, for x, y and z, got {values!r}")
    return x, y, z


DEFAULTS = PhantomOptions()
