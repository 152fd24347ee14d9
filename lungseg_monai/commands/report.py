"""`lungseg report`: one HTML file about a run."""

import argparse
from pathlib import Path
from typing import Any

from data_prep.terminal import PARTLY, add_command, tell


def add(commands: Any) -> None:
    command = add_command(commands, "report", "write one HTML file about a run", run)
    command.add_argument("run_folder", type=Path, metavar="RUN", help="folder with run.json, as training writes it")
    command.add_argument(
        "--dataset", type=Path, metavar="PREPARED", help="prepared folder for the pictures (default: the run's own)"
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="default: RUN/report.html")


def run(arguments: argparse.Namespace) -> int:
    from lungseg_monai.report.page import write_report

    report = write_report(arguments.run_folder, arguments.out, arguments.dataset)
    notes = [f"  left out: {note.what}" for note in report.notes]
    told = tell(
        arguments,
        "\n".join([str(report.path), *notes]),
        {"report": str(report.path), "missing": [vars(note) for note in report.notes]},
    )
    return PARTLY if report.damaged else told
