"""`lungseg-prep dicom2nifti`: CT series and what was drawn on them to NIfTI."""

import argparse
from pathlib import Path
from typing import Any

from data_prep.terminal import add_command, progress, tell


def add(commands: Any) -> None:
    command = add_command(commands, "dicom2nifti", "convert CT series and their RTSTRUCT contours", run)
    command.add_argument(
        "source", type=Path, metavar="IN", help="a folder with DICOM files anywhere below it, or one file"
    )
    command.add_argument("out", type=Path, metavar="OUT", help="where <case>/image.nii.gz, masks and dataset.json go")
    command.add_argument(
        "--keep-ids",
        action="store_true",
        help="name cases by PatientID even if the data do not say that identity was removed",
    )
    command.add_argument(
        "--salt-file",
        type=Path,
        metavar="FILE",
        help="secret behind pseudonyms and hashes (default: one in your configuration folder)",
    )
    command.add_argument("--overwrite", action="store_true", help="convert cases again that are there already")


def run(arguments: argparse.Namespace) -> int:
    from data_prep.convert import ConvertOptions, convert
    from data_prep.identity import load_or_create_salt

    options = ConvertOptions(
        keep_ids=arguments.keep_ids, salt=load_or_create_salt(arguments.salt_file), overwrite=arguments.overwrite
    )
    result = convert(arguments.source, arguments.out, options=options, progress=progress(arguments))
    told = tell(arguments, result.table(), result.dataset)
    return result.exit_code or told
