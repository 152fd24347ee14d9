"""`lungseg-prep rois`: which ROI names there are, and what they map to."""

import argparse
from pathlib import Path
from typing import Any

from data_prep.commands.places import add_cache, place, source_of
from data_prep.terminal import add_command, progress, tell


def add(commands: Any) -> None:
    command = add_command(commands, "rois", "list all ROI names, how often they occur and what they map to", run)
    command.add_argument(
        "source", type=place, metavar="IN", help="a folder with RTSTRUCT files anywhere below it, one file, or a URL"
    )
    command.add_argument(
        "--roi-map",
        type=Path,
        metavar="FILE",
        help='your own labels: lines `pattern = label`, or JSON [{"pattern": ..., "label": ...}]',
    )
    add_cache(command)


def run(arguments: argparse.Namespace) -> int:
    from data_prep.roi_list import list_rois
    from data_prep.roi_names import RoiMap

    found = list_rois(source_of(arguments), RoiMap.load(arguments.roi_map), progress=progress(arguments))
    told = tell(arguments, found.table(), found.data())
    return found.exit_code or told
