"""`lungseg-prep npz`: Gao's data set, DICOM folders and an NPZ of masks a case, to NIfTI and a split."""

import argparse
from dataclasses import replace
from typing import Any

from data_prep.commands.dicom2nifti import TIME_LIMIT_S, add_choice, choice, processors
from data_prep.commands.places import add_cache, out_of, place, source_of
from data_prep.commands.values import ratio
from data_prep.errors import UsageError
from data_prep.terminal import PARTLY, add_command, complain, progress, tell


def add(commands: Any) -> None:
    command = add_command(commands, "npz", "convert and split CT series with an NPZ of lung masks a case", run)
    command.add_argument(
        "source",
        type=place,
        metavar="DATASET",
        help="a folder such as Dataset/Images/Case_000/*.dcm and Dataset/Segmentations/Case_000*.npz, or its URL",
    )
    command.add_argument("out", type=place, metavar="PREPARED", help="where images, masks and the split go")
    command.add_argument("--overwrite", action="store_true", help="convert cases again that are there already")
    command.add_argument(
        "--jobs", type=int, metavar="N", help="cases at a time (default: one a processor); 0: all in this process"
    )
    _add_split(command.add_argument_group("who trains and who tests (default 2:1, as in the paper, by patient)"))
    add_choice(command)
    add_cache(command)


def _add_split(group: Any) -> None:
    group.add_argument("--ratio", type=ratio, metavar="TRAIN:TEST", help="patients that train to patients that test")
    group.add_argument("--val", type=float, metavar="SHARE", help="share of the training patients that validates")
    group.add_argument("--seed", type=int, metavar="S", help="of the shuffle (default 0)")


def run(arguments: argparse.Namespace) -> int:
    from data_prep.npz_dataset import prepare_npz
    from data_prep.report import printable
    from data_prep.split import SplitOptions

    if arguments.jobs is not None and arguments.jobs < 0:
        raise UsageError(f"--jobs {arguments.jobs}: wanted 1 or more, or 0 for no processes of their own")
    jobs = processors() if arguments.jobs is None else arguments.jobs
    options = replace(choice(arguments), overwrite=arguments.overwrite, jobs=jobs, time_limit_s=TIME_LIMIT_S)
    asked = {"ratio": arguments.ratio, "validation": arguments.val, "seed": arguments.seed}
    given = {name: value for name, value in asked.items() if value is not None}
    source = source_of(arguments)
    with out_of(arguments) as out:
        result = prepare_npz(source, out, options, SplitOptions(**given) if given else None, progress(arguments))
    told = tell(arguments, result.table(), result.as_dict())
    if arguments.quiet:
        refused = [f"{one['what']} {one['where']} refused: {one['reason']}" for one in result.converted.refused]
        for line in [*refused, *result.problems]:
            complain("lungseg-prep", printable(line), PARTLY)
    return result.exit_code or told
