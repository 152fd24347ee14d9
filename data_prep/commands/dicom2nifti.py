"""`lungseg-prep dicom2nifti`: CT series and what was drawn on them to NIfTI."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.commands.places import add_cache, out_of, place, source_of
from data_prep.commands.values import number_and_name
from data_prep.errors import UsageError
from data_prep.terminal import PARTLY, add_command, complain, progress, tell

if TYPE_CHECKING:
    from data_prep.options import ConvertOptions

TIME_LIMIT_S = 1800.0
LEAST_MEMORY_GB = 0.25


def add(commands: Any) -> None:
    command = add_command(commands, "dicom2nifti", "convert CT series and what was drawn on them", run)
    command.add_argument("source", type=place, metavar="IN", help="a folder, zip archive, file or URL")
    command.add_argument("out", type=place, metavar="OUT", help="where <case>/image.nii.gz, masks and dataset.json go")
    command.add_argument("--overwrite", action="store_true", help="convert cases again that are there already")
    command.add_argument("--timings", action="store_true", help="say on stderr how long each stage took")
    add_choice(command)
    _add_masks(command.add_argument_group("masks"))
    _add_work(command.add_argument_group("many cases"))
    add_cache(command)


def add_choice(command: argparse.ArgumentParser) -> None:
    """The options that decide what can be converted and what it is called; `scan` has them too."""
    command.add_argument(
        "--select",
        action="append",
        default=[],
        metavar="RULE",
        help="convert series that fit, such as description~chest,thickness<=3 (keys: modality, description, kernel, "
        "thickness, slices, phase, acquisition, manufacturer, type, series); given twice, either rule will do",
    )
    _add_identity(command.add_argument_group("names"))
    _add_geometry(command.add_argument_group("slices that form no regular upright grid (refused by default)"))


def _add_identity(group: Any) -> None:
    group.add_argument("--roi-map", type=Path, metavar="FILE", help="spellings of ROI names that go before our table")
    group.add_argument(
        "--keep-ids",
        action="store_true",
        help="name cases by PatientID even if the data do not say that identity was removed",
    )
    group.add_argument(
        "--salt-file",
        type=Path,
        metavar="FILE",
        help="secret behind pseudonyms and hashes (default: one in your configuration folder)",
    )


def _add_geometry(group: Any) -> None:
    group.add_argument(
        "--gaps",
        choices=("refuse", "resample", "keep-uniform-part"),
        default="refuse",
        help="missing or uneven slices: resample image and masks to even ones, or keep the longest even part",
    )
    group.add_argument(
        "--step-mm", type=float, metavar="MM", help="slice distance for --gaps resample (default: the finest there is)"
    )
    group.add_argument(
        "--tilt",
        choices=("refuse", "shear", "resample"),
        default="refuse",
        help="tilted gantry: keep the voxels under a sheared affine, or resample to an upright volume",
    )


def _add_masks(group: Any) -> None:
    group.add_argument(
        "--coverage", action="store_true", help="write the share of each pixel inside, too: coverage/<roi>.nii.gz"
    )
    group.add_argument(
        "--interpolate-contours",
        action="store_true",
        help="fill slices that were skipped between drawn ones, by the shape of their neighbours",
    )
    group.add_argument(
        "--layout",
        choices=("prepared", "nnunet"),
        default="prepared",
        help="nnunet: nnUNet_raw/DatasetNNN_NAME besides",
    )
    group.add_argument(
        "--nnunet-dataset",
        type=number_and_name,
        metavar="NNN,NAME",
        help="its number and name (default 501,Lungs)",
    )
    group.add_argument(
        "--nnunet-labels",
        metavar="A,B",
        help="its labels 1, 2 ... (default lung_right,lung_left)",
    )


def _add_work(group: Any) -> None:
    group.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="cases at a time, each in a process of its own (default: one a processor); 0: all in this process",
    )
    group.add_argument(
        "--time-limit",
        type=float,
        default=TIME_LIMIT_S,
        metavar="S",
        help=f"seconds that one case may take (default {TIME_LIMIT_S:g})",
    )
    group.add_argument("--memory-gb", type=float, metavar="GB", help="memory that one case may take (Linux)")
    group.add_argument("--dask", metavar="ADDRESS", help="let a Dask cluster do it: tcp://host:8786 (extra `dask`)")


def run(arguments: argparse.Namespace) -> int:
    from data_prep.convert import convert
    from data_prep.report import printable

    options = _options(arguments)
    source = source_of(arguments)
    with out_of(arguments) as out:
        result = convert(source, out, options=options, progress=progress(arguments))
    if arguments.timings:
        print(result.stages.table(), file=sys.stderr)  # noqa: T201
    told = tell(arguments, result.table(), result.dataset)
    if arguments.quiet:
        for one in result.refused:
            complain("lungseg-prep", printable(f"{one['what']} {one['where']} refused: {one['reason']}"), PARTLY)
    return result.exit_code or told


def choice(arguments: argparse.Namespace) -> "ConvertOptions":
    """The options of `add_choice`."""
    from data_prep.identity import load_or_create_salt
    from data_prep.options import ConvertOptions, MaskOptions, StackOptions

    if arguments.step_mm is not None and not (arguments.gaps == "resample" and arguments.step_mm > 0):
        raise UsageError("--step-mm wants a number above 0, and --gaps resample beside it")
    return ConvertOptions(
        keep_ids=arguments.keep_ids,
        salt=load_or_create_salt(arguments.salt_file),
        select=tuple(arguments.select),
        stack=StackOptions(arguments.gaps, arguments.step_mm, arguments.tilt),
        masks=MaskOptions(roi_map=arguments.roi_map),
    )


def _options(arguments: argparse.Namespace) -> "ConvertOptions":
    from data_prep.options import MaskOptions, NnunetOptions

    if arguments.jobs is not None and arguments.jobs < 0:
        raise UsageError(f"--jobs {arguments.jobs}: wanted 1 or more, or 0 for no processes of their own")
    if not arguments.time_limit > 0:
        raise UsageError(f"--time-limit {arguments.time_limit:g}: wanted a number of seconds above 0")
    if arguments.memory_gb is not None and not arguments.memory_gb >= LEAST_MEMORY_GB:
        raise UsageError(f"--memory-gb {arguments.memory_gb:g}: no case can be made with less than {LEAST_MEMORY_GB:g}")
    if arguments.layout != "nnunet" and (arguments.nnunet_dataset or arguments.nnunet_labels):
        raise UsageError("--nnunet-dataset and --nnunet-labels want --layout nnunet beside them")
    number, name = arguments.nnunet_dataset or (501, "Lungs")
    labels = tuple(filter(None, (arguments.nnunet_labels or "lung_right,lung_left").split(",")))
    return replace(
        choice(arguments),
        overwrite=arguments.overwrite,
        masks=MaskOptions(arguments.coverage, arguments.interpolate_contours, arguments.roi_map),
        jobs=processors() if arguments.jobs is None else arguments.jobs,
        time_limit_s=arguments.time_limit,
        memory_gb=arguments.memory_gb,
        dask=arguments.dask,
        nnunet=NnunetOptions(number, name, labels) if arguments.layout == "nnunet" else None,
    )


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
