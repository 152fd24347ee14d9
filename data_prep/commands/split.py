"""`lungseg-prep split`: who trains and who tests."""

import argparse
from pathlib import Path
from typing import Any

from data_prep.commands.values import ratio
from data_prep.terminal import add_command, tell


def add(commands: Any) -> None:
    command = add_command(commands, "split", "decide by patient who trains and who tests", run)
    command.add_argument("dataset", type=Path, metavar="DATASET", help="dataset.json, or the folder that holds it")
    command.add_argument(
        "--ratio",
        type=ratio,
        default=(2.0, 1.0),
        metavar="TRAIN:TEST",
        help="patients that train to patients that test (default 2:1)",
    )
    command.add_argument(
        "--val",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the training patients that validates (default 0)",
    )
    command.add_argument(
        "--test-count", type=int, metavar="N", help="exactly so many patients test, in place of --ratio"
    )
    command.add_argument(
        "--lists",
        type=Path,
        metavar="FILE",
        help="who is in which list: JSON {training: [ids], validation, test} or CSV lines `id,list`; ids of cases or "
        "patients, as dataset.json has them; who is in none is left out",
    )
    command.add_argument("--folds", type=int, metavar="K", help="spread the training patients over K folds")
    command.add_argument("--seed", type=int, default=0, metavar="S", help="of the shuffle (default 0)")
    command.add_argument(
        "--within-patient",
        action="store_true",
        help="split one patient's slices in blocks; says nothing about other patients",
    )
    command.add_argument(
        "--gap-mm", type=float, default=10.0, metavar="MM", help="left out between such blocks (default 10)"
    )


def run(arguments: argparse.Namespace) -> int:
    from data_prep.split import SplitOptions, summary, write_split

    options = SplitOptions(
        ratio=arguments.ratio,
        validation=arguments.val,
        folds=arguments.folds,
        seed=arguments.seed,
        within_patient=arguments.within_patient,
        gap_mm=arguments.gap_mm,
        test_count=arguments.test_count,
    )
    datalist = write_split(arguments.dataset, options, arguments.lists)
    return tell(arguments, summary(datalist), datalist)
