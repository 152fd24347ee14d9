"""lungseg-prep dicom2nifti, as it comes."""

from pathlib import Path

NAME, PACKAGE, MODULE = "lungseg-prep", "lungseg-monai", "data_prep"
MAKES = ("image", "masks")
IMAGES, MASKS = "*/image.nii.gz", "*/masks/*.nii.gz"


def commands(python: str, case: Path, out: Path) -> dict[str, list[str]]:
    return {"CT and masks, .nii.gz": [python, "-m", "data_prep.cli", "dicom2nifti", str(case), str(out), "--quiet"]}


def judged(python: str, case: Path, out: Path) -> list[str]:
    return [python, "-m", "data_prep.cli", "dicom2nifti", str(case), str(out)]


def many(python: str, folder: Path, out: Path, jobs: int) -> list[str]:
    convert = [python, "-m", "data_prep.cli", "dicom2nifti", str(folder), str(out)]
    return [*convert, "--quiet", "--jobs", str(jobs)]
