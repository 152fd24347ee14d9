"""SimpleITK: CT alone, by its ImageSeriesReader as in its documentation."""

import sys
from pathlib import Path

NAME, PACKAGE, MODULE = "SimpleITK", "SimpleITK", "SimpleITK"
MAKES = ("image",)
IMAGES, MASKS = "image.nii*", ""


def commands(python: str, case: Path, out: Path) -> dict[str, list[str]]:
    return {
        f"CT, {ending}": [python, "-P", __file__, str(case / "ct"), str(out / f"image{ending}")]
        for ending in (".nii.gz", ".nii")
    }


def main(folder: str, path: str) -> None:
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    SimpleITK.WriteImage(reader.Execute(), path)


if __name__ == "__main__":
    main(*sys.argv[1:])
