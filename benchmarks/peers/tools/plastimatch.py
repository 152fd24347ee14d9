"""plastimatch convert: CT, or the masks alone; each is a run of its own."""

from pathlib import Path

NAME, PACKAGE, PROGRAM = "plastimatch", None, "plastimatch"
INSTALL = "apt-get install plastimatch"
MAKES = ("image", "masks")
IMAGES, MASKS = "image.nii.gz", "masks/*"


def commands(python: str, case: Path, out: Path) -> dict[str, list[str]]:
    return {
        "masks, .nrrd (--xor-contours)": [*_masks(case), "--output-prefix", str(out / "masks")],
        "CT, .nii": ["plastimatch", "convert", "--input", str(case / "ct"), "--output-img", str(out / "image.nii")],
    }


def judged(python: str, case: Path, out: Path) -> list[str]:
    return [*_masks(case), "--output-prefix", str(out / "masks"), "--output-img", str(out / "image.nii.gz")]


def _masks(case: Path) -> list[str]:
    """Given the series as the grid, as its manual advises; without --xor-contours it fills holes."""
    struct, series = str(case / "rtstruct" / "rs.dcm"), str(case / "ct")
    options = ["--xor-contours", "--prefix-format", "nrrd"]
    return ["plastimatch", "convert", "--input", struct, "--referenced-ct", series, *options]
