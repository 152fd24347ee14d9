"""`lungseg-prep cxr`: X-rays and their masks to PNG and dataset.json."""

import argparse
import os
from pathlib import Path
from typing import Any

from data_prep.commands.places import add_cache, out_of, place, source_of
from data_prep.errors import UsageError
from data_prep.terminal import PARTLY, add_command, complain, progress, tell

TIME_LIMIT_S = 300.0


def add(commands: Any) -> None:
    command = add_command(commands, "cxr", "prepare chest X-rays and their lung masks", run)
    command.add_argument(
        "source", type=place, metavar="IN", help="a folder, zip archive or file: PNG, JPEG, TIFF, DICOM"
    )
    command.add_argument("out", type=place, metavar="OUT", help="where <case>/image.png, masks and dataset.json go")
    command.add_argument(
        "--pairs",
        type=Path,
        metavar="FILE",
        help="CSV that says which mask belongs to which image: columns image, mask (or mask_left, mask_right), "
        "patient if known; or case, the images to take by name (default: by folders and names)",
    )
    command.add_argument(
        "--convention",
        choices=("visible", "anatomical"),
        help="how the masks were drawn: without the lung behind heart and diaphragm, or with it (default: not said)",
    )
    command.add_argument("--overwrite", action="store_true", help="prepare cases again that are there already")
    names = command.add_argument_group("names")
    names.add_argument(
        "--patient-pattern",
        metavar="REGEX",
        help="the patient in a picture's name, by its first group: '^([0-9]+)_' for 00000013_005.png",
    )
    names.add_argument(
        "--keep-ids",
        action="store_true",
        help="name cases by file or PatientID even if the data do not say that identity was removed",
    )
    names.add_argument(
        "--salt-file",
        type=Path,
        metavar="FILE",
        help="secret behind pseudonyms and hashes (default: one in your configuration folder)",
    )
    work = command.add_argument_group("many cases")
    work.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="cases at a time, each in a process of its own (default: one a processor); 0: all in this process",
    )
    work.add_argument(
        "--time-limit",
        type=float,
        default=TIME_LIMIT_S,
        metavar="S",
        help=f"seconds that one case may take (default {TIME_LIMIT_S:g})",
    )
    add_cache(command)


def run(arguments: argparse.Namespace) -> int:
    from data_prep.identity import load_or_create_salt
    from data_prep.radiographs import RadiographOptions, prepare
    from data_prep.report import printable

    if arguments.jobs is not None and arguments.jobs < 0:
        raise UsageError(f"--jobs {arguments.jobs}: wanted 1 or more, or 0 for no processes of their own")
    if not arguments.time_limit > 0:
        raise UsageError(f"--time-limit {arguments.time_limit:g}: wanted a number of seconds above 0")
    options = RadiographOptions(
        pairs=arguments.pairs,
        convention=arguments.convention,
        patient_pattern=arguments.patient_pattern,
        keep_ids=arguments.keep_ids,
        salt=load_or_create_salt(arguments.salt_file),
        overwrite=arguments.overwrite,
        jobs=_processors() if arguments.jobs is None else arguments.jobs,
        time_limit_s=arguments.time_limit,
    )
    source = source_of(arguments)
    with out_of(arguments) as out:
        result = prepare(source, out, options=options, progress=progress(arguments))
    told = tell(arguments, result.table(), result.dataset)
    if arguments.quiet:
        for one in result.refused:
            complain("lungseg-prep", printable(f"{one['what']} {one['where']} refused: {one['reason']}"), PARTLY)
    return result.exit_code or told


def _processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
