"""plastimatch convert: CT, or the masks alone; each is a run of its own."""

import shlex
from pathlib import Path

NAME, PACKAGE, PROGRAM = "plastimatch", None, "plastimatch"
INSTALL = "apt-get install plastimatch"
MAKES = ("image", "masks")
IMAGES, MASKS = "image.nii", "masks/*"


def commands(python: str, case: Path, out: Path) -> dict[str, list[str]]:
    return {
        "masks, .nrrd (--xor-contours)": [*_masks(case), "--output-prefix", str(out / "masks")],
        "CT, .nii": ["plastimatch", "convert", "--input", str(case / "ct"), "--output-img", str(out / "image.nii")],
    }


def judged(python: str, case: Path, out: Path) -> list[str]:
    """Both runs, the second one even if the first one fails; the exit code is the worse."""
    masks = shlex.join([*_masks(case), "--output-prefix", str(out / "masks")])
    image = shlex.join(["plastimatch", "convert", "--input", str(case / "ct"), "--output-img", str(out / "image.nii")])
    return ["sh", "-c", f"{masks}; code=$?; {image} && exit $code"]


def _masks(case: Path) -> list[str]:
    """Given the series as the grid, as its manual advises; without --xor-contours it fills holes."""
    struct, series = str(case / "rtstruct" / "rs.dcm"), str(case / "ct")
    options = ["--xor-contours", "--prefix-format", "nrrd"]
    return ["plastimatch", "convert", "--input", struct, "--referenced-ct", series, *options]
