"""What users may ask of a conversion, each with its safe default."""

from dataclasses import dataclass, field
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

    roi_map: a table of spellings that goes before the shipped one. npz_lungs: NPZ archives hold the mask of both lungs,
    whatever its key, and images are CT and no pictures (data_prep.npz_lungs).
    """

    coverage: bool = False
    interpolate: bool = False
    roi_map: Path | None = None
    npz_lungs: bool = False


@dataclass(frozen=True)
class NnunetOptions:
    """The nnU-Net data set that is written besides: DatasetNNN_<name>, with these labels as 1, 2, 3 ..."""

    number: int = 501
    name: str = "Lungs"
    labels: tuple[str, ...] = ("lung_right", "lung_left")


@dataclass(frozen=True)
class ConvertOptions:
    """keep_ids: name cases by PatientID even where identity was not removed. overwrite: convert finished cases again.

    salt: the secret behind pseudonyms and hashes; None takes the user's own (identity.load_or_create_salt).
    select: rules of which series to convert, any of which must fit (data_prep.select). jobs: cases at a time, each in
    a process of its own; 0 does all in this process. time_limit_s, memory_gb: what one case may take, with jobs > 0.
    dask: address of a Dask scheduler that does the work instead. nnunet: write an nnU-Net data set besides.
    """

    keep_ids: bool = False
    salt: bytes | None = None
    overwrite: bool = False
    select: tuple[str, ...] = ()
    stack: StackOptions = field(default_factory=StackOptions)
    masks: MaskOptions = field(default_factory=MaskOptions)
    jobs: int = 0
    time_limit_s: float | None = None
    memory_gb: float | None = None
    dask: str | None = None
    nnunet: NnunetOptions | None = None


DEFAULTS = ConvertOptions()
