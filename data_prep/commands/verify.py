"""`lungseg-prep verify`: is all there, unchanged and right?"""

import argparse
from pathlib import Path
from typing import Any

from data_prep.terminal import add_command, progress, tell


def add(commands: Any) -> None:
    command = add_command(commands, "verify", "check prepared data against their dataset.json", run)
    command.add_argument("out", type=Path, metavar="OUT", help="the folder that holds dataset.json")
    command.add_argument("--jobs", type=int, default=1, metavar="N", help="cases looked at side by side (default 1)")


def run(arguments: argparse.Namespace) -> int:
    from data_prep.verify import verify

    result = verify(arguments.out, progress(arguments), arguments.jobs)
    told = tell(arguments, result.table(), result.as_json())
    return result.exit_code or told
