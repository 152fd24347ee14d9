"""`lungseg-prep nnunet`: prepared data in nnU-Net's raw-data format."""

import argparse
from pathlib import Path
from typing import Any

from data_prep.terminal import add_command, progress, tell


def add(commands: Any) -> None:
    command = add_command(commands, "nnunet", "write prepared data in nnU-Net's raw-data format", run)
    command.add_argument("prepared", type=Path, metavar="PREPARED", help="the folder that holds dataset.json")
    command.add_argument(
        "--labels",
        required=True,
        metavar="A,B,...",
        help="labels in the order of their values; lungs=lung_left+lung_right unites",
    )
    command.add_argument("--number", type=int, required=True, metavar="NNN", help="of the data set, 1 to 999")
    command.add_argument("--name", required=True, metavar="NAME", help="of the data set")
    command.add_argument("--out", type=Path, metavar="OUT", help="where nnUNet_raw goes (default PREPARED)")


def run(arguments: argparse.Namespace) -> int:
    from data_prep.nnunet import write_nnunet

    labels = [label.strip() for label in arguments.labels.split(",") if label.strip()]
    result = write_nnunet(
        arguments.prepared,
        arguments.name,
        arguments.number,
        labels,
        out=arguments.out,
        progress=progress(arguments),
    )
    told = tell(arguments, result.table(), {"folder": str(result.folder), **result.ledger})
    return result.exit_code or told
