"""A cohort of made patients, prepared and split, for trying a plan without any real data."""

from collections.abc import Callable
from pathlib import Path

from lungseg_monai.errors import UsageError

LEAST = 6  # patients: one to validate, one with and one without tumour to test


def make_phantom(folder: Path, patients: int, seed: int, say: Callable[[str], None]) -> Path:
    """Make, convert and split `patients` phantoms below `folder`; returns the prepared folder. What is there is kept.

    The same steps as `lungseg-prep phantom`, `dicom2nifti` and `split --ratio 2:1 --val 0.2`. Raises UsageError for
    fewer than LEAST, and data_prep's errors.
    """
    from data_prep.convert import convert
    from data_prep.options import ConvertOptions
    from data_prep.phantom import write_cohort
    from data_prep.split import SplitOptions, write_split

    if patients < LEAST:
        raise UsageError(f"--phantom {patients}: wanted {LEAST} or more, to train, validate and test on")
    dicom, prepared = folder / "dicom", folder / "prepared"
    say(f"makes {patients} phantom patients in {folder}")
    write_cohort(dicom, patients=patients, seed=seed)
    convert(dicom, prepared, options=ConvertOptions(keep_ids=True, jobs=0))
    write_split(prepared, SplitOptions(ratio=(2, 1), validation=0.2, seed=seed))
    return prepared
