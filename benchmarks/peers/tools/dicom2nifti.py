"""dicom2nifti: CT alone."""

from pathlib import Path

NAME, PACKAGE, MODULE = "dicom2nifti", "dicom2nifti", "dicom2nifti"
MAKES = ("image",)
IMAGES, MASKS = "*.nii.gz", ""


def commands(python: str, case: Path, out: Path) -> dict[str, list[str]]:
    return {"CT, .nii.gz": [str(Path(python).with_name("dicom2nifti")), str(case / "ct"), str(out)]}
