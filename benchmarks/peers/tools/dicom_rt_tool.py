"""DicomRTTool: CT and masks of all ROIs, by its write_to_folder."""

import sys
from pathlib import Path

NAME, PACKAGE, MODULE = "DicomRTTool", "DicomRTTool", "DicomRTTool.ReaderWriter"
MAKES = ("image", "masks")
IMAGES, MASKS = "*/*/*/image.nii.gz", "*/*/*/masks/*.nii.gz"


def commands(python: str, case: Path, out: Path) -> dict[str, list[str]]:
    return {"CT and masks, .nii.gz": [python, "-P", __file__, str(case), str(out)]}


def main(case: str, out: str) -> None:
    from DicomRTTool.ReaderWriter import DicomReaderWriter

    reader = DicomReaderWriter(description="all", verbose=False)
    reader.walk_through_folders(case)
    reader.write_to_folder(out, rois=reader.return_rois(print_rois=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
