"""`lungseg report`: one HTML page about a run of training, or about a segmentation."""

import argparse
from pathlib import Path
from typing import Any

from data_prep.terminal import PARTLY, add_command, tell
from lungseg_monai.errors import UsageError


def add(commands: Any) -> None:
    command = add_command(commands, "report", "write one HTML page about a run or a segmentation", run)
    command.add_argument(
        "run_folder",
        type=Path,
        metavar="FOLDER",
        help="with run.json, as training writes it, or with segment.json, as lungseg segment writes it",
    )
    command.add_argument(
        "--dataset",
        type=Path,
        metavar="PREPARED",
        help="of a run: prepared folder for the pictures (default: the run's own)",
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="default: FOLDER/report.html")


def run(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.run_folder
    if (folder / "segment.json").is_file() and not (folder / "run.json").is_file():
        return _of_segmentation(arguments)
    return _of_run(arguments)


def _of_segmentation(arguments: argparse.Namespace) -> int:
    from lungseg_monai.report.segmentation import write_report

    if arguments.dataset is not None:
        raise UsageError(f"--dataset belongs to a run of training, and {arguments.run_folder} is a segmentation")
    path = write_report(arguments.run_folder, arguments.out)
    return tell(arguments, str(path), {"report": str(path), "missing": []})


def _of_run(arguments: argparse.Namespace) -> int:
    from lungseg_monai.report.page import write_report

    report = write_report(arguments.run_folder, arguments.out, arguments.dataset)
    notes = [f"  left out: {note.what}" for note in report.notes]
    told = tell(
        arguments,
        "\n".join([str(report.path), *notes]),
        {"report": str(report.path), "missing": [vars(note) for note in report.notes]},
    )
    return PARTLY if report.damaged else told
