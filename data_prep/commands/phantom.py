"""`lungseg-prep phantom`: made chests with known truth."""

import argparse
from pathlib import Path
from typing import Any

from data_prep.commands.values import triple
from data_prep.terminal import add_command, progress, tell


def add(commands: Any) -> None:
    command = add_command(commands, "phantom", "write made chests with known truth as DICOM CT and RTSTRUCT", run)
    command.add_argument("out", type=Path, metavar="OUT", help="where <patient>/ct and <patient>/rtstruct go")
    command.add_argument("--patients", type=int, default=6, metavar="N", help="how many (default 6)")
    command.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same bytes (default 0)")
    command.add_argument("--size", choices=("small", "full"), default="small", help="of the images (default small)")
    command.add_argument("--spacing-mm", type=triple, metavar="X,Y,Z", help="voxel spacing instead of the size's own")
    command.add_argument(
        "--oblique-deg",
        type=triple,
        default=(0.0, 0.0, 0.0),
        metavar="X,Y,Z",
        help="turn the image planes about the patient's axes (default 0,0,0)",
    )
    command.add_argument("--missing-slices", type=int, default=0, metavar="N", help="leave out N slices (default 0)")


def run(arguments: argparse.Namespace) -> int:
    from data_prep.phantom import PhantomOptions, write_cohort

    options = PhantomOptions(
        size=arguments.size,
        spacing_mm=arguments.spacing_mm,
        oblique_deg=arguments.oblique_deg,
        missing_slices=arguments.missing_slices,
    )
    folders = write_cohort(
        arguments.out, patients=arguments.patients, seed=arguments.seed, options=options, progress=progress(arguments)
    )
    return tell(arguments, "\n".join(map(str, folders)), {"folders": [str(folder) for folder in folders]})
