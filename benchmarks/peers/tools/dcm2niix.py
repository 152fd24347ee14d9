"""dcm2niix: CT alone."""

import shutil
from pathlib import Path

NAME, PACKAGE, MODULE = "dcm2niix", "dcm2niix", "dcm2niix"
MAKES = ("image",)
IMAGES, MASKS = "*.nii.gz", ""


def commands(python: str, case: Path, out: Path) -> dict[str, list[str]]:
    return {
        "CT, .nii.gz (-z y -1)": _command(python, case, out, "-z", "y", "-1"),
        "CT, .nii (-z n)": _command(python, case, out, "-z", "n"),
    }


def _command(python: str, case: Path, out: Path, *options: str) -> list[str]:
    beside = Path(python).with_name("dcm2niix")
    program = str(beside) if beside.exists() else shutil.which("dcm2niix") or "dcm2niix"
    return [program, *options, "-f", "%s", "-o", str(out), str(case / "ct")]
