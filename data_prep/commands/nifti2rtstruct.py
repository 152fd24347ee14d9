"""`lungseg-prep nifti2rtstruct`: masks to contours for a planning system."""

import argparse
from typing import Any

from data_prep.commands.export_arguments import add_export_arguments, out_file, shared_options, told
from data_prep.terminal import add_command


def add(commands: Any) -> None:
    command = add_command(commands, "nifti2rtstruct", "write NIfTI masks as an RTSTRUCT on their DICOM series", run)
    add_export_arguments(command, "rtstruct.dcm")
    command.add_argument(
        "--contour-style",
        choices=("edge", "centre"),
        default="edge",
        help="along voxel edges (default), or inside of them for receivers that round points to voxels",
    )
    command.add_argument(
        "--holes",
        choices=("separate", "keyhole"),
        default="separate",
        help="as contours of their own (default), or cut into the contour around them for receivers without XOR",
    )
    command.add_argument(
        "--simplify-mm",
        type=float,
        default=0.0,
        metavar="MM",
        help="leave out points that lie no further than MM from the contour (default 0: none is lost)",
    )
    command.add_argument(
        "--allow-loss", action="store_true", help="write contours that do not give the same voxels back, and say so"
    )
    command.add_argument(
        "--label", default="lungseg", metavar="TEXT", help="StructureSetLabel, at most 16 characters (default lungseg)"
    )


def run(arguments: argparse.Namespace) -> int:
    from data_prep.export import RtstructOptions, find_masks, read_masks, read_reference, write_rtstruct

    shared, labels = shared_options(arguments)
    options = RtstructOptions(
        **shared,
        contour_style=arguments.contour_style,
        holes=arguments.holes,
        simplify_mm=arguments.simplify_mm,
        allow_loss=arguments.allow_loss,
        label=arguments.label,
    )
    masks = read_masks(find_masks(arguments.masks), labels)
    series = read_reference(arguments.series_folder, arguments.series)
    return told(arguments, write_rtstruct(masks, series, out_file(arguments.out, "rtstruct.dcm"), options))
