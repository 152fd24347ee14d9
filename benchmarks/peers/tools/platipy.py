"""platipy: CT and masks."""

import sys
from pathlib import Path

NAME, PACKAGE, MODULE = "platipy", "platipy", "platipy.dicom.io.rtstruct_to_nifti"
MAKES = ("image", "masks")
IMAGES, MASKS = "image.nii.gz", "Struct_*.nii.gz"


def commands(python: str, case: Path, out: Path) -> dict[str, list[str]]:
    return {"CT and masks, .nii.gz": [python, "-P", __file__, str(case), str(out)]}


def main(case: str, out: str) -> None:
    from platipy.dicom.io.rtstruct_to_nifti import convert_rtstruct

    convert_rtstruct(f"{case}/ct", f"{case}/rtstruct/rs.dcm", output_dir=out, output_img="image.nii.gz")


if __name__ == "__main__":
    main(*sys.argv[1:])
