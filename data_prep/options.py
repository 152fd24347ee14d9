"""What users may ask of a conversion, each with its safe default."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class StackOptions:
    """What to do with slices that form no regular upright grid; by default they are refused by name.

    gaps: uneven or missing slices. `resample` to step_mm (None: the finest distance there is), image and masks alike,
    or `keep-uniform-part`: the longest even run of slices. tilt: a tilted gantry. `shear` keeps the voxels as they are
    and says so in a sheared affine, `resample` makes an upright volume.
    """

    gaps: Literal["refuse", "resample", "keep-uniform-part"] = "refuse"
    step_mm: float | None = None
    tilt: Literal["refuse", "shear", "resample"] = "refuse"


@dataclass(frozen=True)
class MaskOptions:
    """coverage: write the share of each pixel inside, too. interpolate: fill slices skipped between drawn ones.

    roi_map: a table of spellings that goes before the shipped one.
    """

    coverage: bool = False
    interpolate: bool = False
    roi_map: Path | None = None
