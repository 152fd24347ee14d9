"""`lungseg-prep nifti2seg`: masks to a DICOM SEG for a viewer or an archive."""

import argparse
from typing import Any

from data_prep.commands.export_arguments import add_export_arguments, out_file, shared_options, told
from data_prep.terminal import add_command


def add(commands: Any) -> None:
    command = add_command(commands, "nifti2seg", "write NIfTI masks as a DICOM SEG on their DICOM series", run)
    add_export_arguments(command, "seg.dcm")


def run(arguments: argparse.Namespace) -> int:
    from data_prep.export import ExportOptions, find_masks, read_masks, read_reference, write_seg

    shared, labels = shared_options(arguments)
    masks = read_masks(find_masks(arguments.masks), labels)
    series = read_reference(arguments.series_folder, arguments.series)
    return told(arguments, write_seg(masks, series, out_file(arguments.out, "seg.dcm"), ExportOptions(**shared)))
