"""`lungseg-prep qc`: a look at every prepared case."""

import argparse
from pathlib import Path
from typing import Any

from data_prep.terminal import add_command, progress, tell


def add(commands: Any) -> None:
    command = add_command(commands, "qc", "look at every prepared case: one HTML page, worst first", run)
    command.add_argument("folder", type=Path, metavar="OUT", help="what dicom2nifti wrote: a folder with dataset.json")
    command.add_argument(
        "--out", type=Path, metavar="FILE", help="the page (default OUT/qc.html); FILE.json is written beside it"
    )
    command.add_argument("--jobs", type=_count, metavar="N", help="cases at once (default: one a core, up to 4)")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def run(arguments: argparse.Namespace) -> int:
    from data_prep.errors import UsageError
    from data_prep.qc.run import qc

    if arguments.out is not None and (arguments.out.is_dir() or arguments.out.suffix.lower() not in (".html", ".htm")):
        raise UsageError(f"--out is {arguments.out}: wanted a file that ends in .html")
    result = qc(arguments.folder, page=arguments.out, jobs=arguments.jobs, progress=progress(arguments))
    told = tell(arguments, result.table(), result.content)
    return result.exit_code or told
