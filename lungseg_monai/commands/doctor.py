"""`lungseg doctor`: what this installation can do here, and what it lacks."""

import argparse
from typing import Any

from data_prep.terminal import PARTLY, add_command, complain, tell


def add(commands: Any) -> None:
    command = add_command(commands, "doctor", "say what is installed, works, and is missing on this machine", run)
    command.add_argument("--deep", action="store_true", help="import torch to see which devices it can use")
    command.add_argument(
        "--self-test", action="store_true", help="segment a made chest by each backend and compare the masks"
    )


def run(arguments: argparse.Namespace) -> int:
    from lungseg_monai.doctor import examine
    from lungseg_monai.doctor.text import table

    found = examine(deep=arguments.deep, test=arguments.self_test)
    told = tell(arguments, table(found), found)
    if arguments.quiet:
        for problem in found["problems"]:
            complain("lungseg", problem, PARTLY)
    return PARTLY if found["problems"] else told
