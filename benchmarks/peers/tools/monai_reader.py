"""MONAI: CT alone, LoadImage by PydicomReader, saved by SaveImage."""

import sys
from pathlib import Path

NAME, PACKAGE, MODULE = "MONAI PydicomReader", "monai", "monai"
NEEDS = ("pydicom", "nibabel")
MAKES = ("image",)
IMAGES, MASKS = "*.nii.gz", ""


def commands(python: str, case: Path, out: Path) -> dict[str, list[str]]:
    return {"CT, .nii.gz": [python, "-P", __file__, str(case / "ct"), str(out)]}


def main(folder: str, out: str) -> None:
    from monai.transforms import LoadImage, SaveImage

    image = LoadImage(reader="PydicomReader", image_only=True, ensure_channel_first=True)(folder)
    SaveImage(output_dir=out, output_dtype="int16", separate_folder=False, resample=False, print_log=False)(image)


if __name__ == "__main__":
    main(*sys.argv[1:])
