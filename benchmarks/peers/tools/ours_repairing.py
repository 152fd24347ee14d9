"""lungseg-prep dicom2nifti, asked to resample what it refuses by default; judged only."""

from pathlib import Path

NAME, PACKAGE, MODULE = "lungseg-prep, resampling", "lungseg-monai", "data_prep"
OPTIONS = ("--gaps", "resample", "--tilt", "resample")
HELP = ("-m", "data_prep.cli", "dicom2nifti", "--help")  # OPTIONS must be in it
MAKES = ("image", "masks")
IMAGES, MASKS = "*/image.nii.gz", "*/masks/*.nii.gz"


def commands(python: str, case: Path, out: Path) -> dict[str, list[str]]:
    return {}


def judged(python: str, case: Path, out: Path) -> list[str]:
    return [python, "-m", "data_prep.cli", "dicom2nifti", str(case), str(out), *OPTIONS]
