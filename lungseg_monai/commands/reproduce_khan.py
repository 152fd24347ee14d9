"""`lungseg reproduce khan`: classifiers of nodules, which train no network."""

import argparse
import sys
from pathlib import Path
from typing import Any

from data_prep.terminal import add_command, tell
from lungseg_monai.errors import UsageError

SECTIONS = ("training", "validation", "test")


def add(papers: Any) -> None:
    """Add the paper to those of `lungseg reproduce`."""
    command = add_command(papers, "khan", "nodule against no nodule by features of regions: accuracy", run)
    command.add_argument("--data", type=Path, required=True, metavar="PREPARED", help="prepared folder, with lungs")
    command.add_argument(
        "--run", dest="trained", type=Path, metavar="RUN",
        help="of ct_nodule_vgg_segnet, whose encoder gives the deep features and whose predictions, if it has any, the "
        "false positives (default: the weights that come with the bundle)",
    )  # fmt: skip
    command.add_argument("--out", type=Path, required=True, metavar="OUT", help="where tables and picture go")
    command.add_argument(
        "--sections", nargs="+", choices=SECTIONS, default=("validation", "test"), metavar="S",
        help="of the split (default: validation test: the network has learnt the others by heart)",
    )  # fmt: skip
    command.add_argument(
        "--regions", choices=("reference", "predicted"), default="reference", help="where nodules are taken from"
    )
    command.add_argument("--folds", type=int, default=10, metavar="K", help="by patient (default 10)")
    command.add_argument("--seed", type=int, default=0, metavar="S", help="default 0")


def run(arguments: argparse.Namespace) -> int:
    if arguments.seed < 0:
        raise UsageError(f"--seed is {arguments.seed}; wanted a whole number from 0")
    from lungseg_monai.reproduce.nodules.khan import Asked, as_dict, classify
    from lungseg_monai.reproduce.nodules.page import markdown, write

    def say(text: str) -> None:
        if not arguments.quiet:
            print(text, file=sys.stderr, flush=True)  # noqa: T201

    asked = Asked(
        arguments.data, arguments.trained, tuple(arguments.sections), arguments.regions == "predicted",
        arguments.folds, arguments.seed,
    )  # fmt: skip
    done = classify(asked, say)
    written = "\n".join(["Written:", *(f"  {path}" for path in write(done, arguments.out))])
    return tell(arguments, f"{markdown(done)}\n{written}", as_dict(done))
