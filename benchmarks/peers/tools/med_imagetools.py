"""med-imagetools: CT and masks, `imgtools autopipeline`."""

from pathlib import Path

NAME, PACKAGE, MODULE = "med-imagetools", "med-imagetools", "imgtools"
MAKES = ("image", "masks")
IMAGES, MASKS = "*/CT_*/*.nii.gz", "*/RTSTRUCT_*/*.nii.gz"


def commands(python: str, case: Path, out: Path) -> dict[str, list[str]]:
    return {"CT and masks, .nii.gz": many(python, case, out, 1)}


def many(python: str, folder: Path, out: Path, jobs: int) -> list[str]:
    program = str(Path(python).with_name("imgtools"))
    # By default the index is written beside the input.
    index = ["--crawl-directory", str(out / "index")]
    return [program, "autopipeline", str(folder), str(out), "-m", "CT,RTSTRUCT", "-j", str(jobs), *index]
