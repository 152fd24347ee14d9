"""`lungseg-prep scan`: what a folder holds, and what a conversion would do with it."""

import argparse
from typing import Any

from data_prep.commands import dicom2nifti
from data_prep.commands.places import add_cache, place, source_of
from data_prep.terminal import add_command, progress, tell


def add(commands: Any) -> None:
    command = add_command(commands, "scan", "list patients, series and what was drawn; convert nothing", run)
    command.add_argument("source", type=place, metavar="IN", help="a folder, zip archive, file or URL")
    dicom2nifti.add_choice(command)
    add_cache(command)


def run(arguments: argparse.Namespace) -> int:
    from data_prep.inventory import exit_code, summary, take_inventory

    options = dicom2nifti.choice(arguments)
    inventory = take_inventory(source_of(arguments), options=options, progress=progress(arguments))
    told = tell(arguments, summary(inventory), inventory)
    return exit_code(inventory) or told
