"""dcmrtstruct2nii: CT and masks."""

from pathlib import Path

NAME, PACKAGE, MODULE = "dcmrtstruct2nii", "dcmrtstruct2nii", "dcmrtstruct2nii"
NEEDS = ("pydicom<3",)  # calls pydicom.read_file, which version 3 dropped
MAKES = ("image", "masks")
IMAGES, MASKS = "image.nii.gz", "mask_*.nii.gz"


def commands(python: str, case: Path, out: Path) -> dict[str, list[str]]:
    program = str(Path(python).with_name("dcmrtstruct2nii"))
    convert = [program, "convert", "-r", str(case / "rtstruct" / "rs.dcm"), "-d", str(case / "ct"), "-o", str(out)]
    return {"CT and masks, .nii.gz": convert}
