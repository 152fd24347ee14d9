"""`lungseg evaluate`: score saved masks."""

import argparse
from pathlib import Path
from typing import Any

from data_prep.terminal import PARTLY, add_command, progress, tell


def add(commands: Any) -> None:
    command = add_command(commands, "evaluate", "score saved masks against the original label files", run)
    command.add_argument(
        "predictions",
        type=Path,
        metavar="PREDICTIONS",
        help="folder with segment.json, predictions.json or masks, or one mask",
    )
    command.add_argument(
        "reference",
        type=Path,
        metavar="REFERENCE",
        help="prepared folder with dataset.json, a folder of masks or with segment.json, or one mask",
    )
    command.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=A+B",
        help="compare the prediction NAME with the union of the reference's A and B, e.g. "
        "lungs=lung_left+lung_right; may be repeated (default: what predictions.json says)",
    )
    for option, whose in (("--values", "PREDICTIONS"), ("--reference-values", "REFERENCE")):
        command.add_argument(
            option,
            metavar="V=NAME,...",
            help=f"what the values of files of several labels in {whose} are, e.g. 1=lung_right,2=lung_left (default: "
            "what case.json of a segmentation or the header of a .seg.nrrd says)",
        )
    command.add_argument(
        "--empty",
        choices=("one", "skip"),
        default="one",
        help="Dice and IoU of two empty masks: 1, or left out and counted (default one)",
    )
    command.add_argument(
        "--tumor",
        action="store_true",
        help="also what tumours are scored by: slice Dice in three conventions, lesions found and falsely found, "
        "false-positive and false-negative slices, each with a 95 %% interval where there is one",
    )
    command.add_argument(
        "--tolerance-mm",
        type=float,
        metavar="MM",
        help="also surface Dice: the share of both surfaces that lies no farther than MM from the other "
        "(default with --tumor: 3)",
    )
    command.add_argument(
        "--absent",
        choices=("refuse", "empty"),
        default="refuse",
        help="a case of a prepared folder in which nobody drew the label: not scored, or scored as one that holds "
        "none, such as a patient without tumour (default refuse)",
    )
    for option, whose in (("--convention", "PREDICTIONS"), ("--reference-convention", "REFERENCE")):
        command.add_argument(
            option,
            choices=("visible", "anatomical"),
            help=f"of X-rays: which convention the masks in {whose} follow (default: what their files say)",
        )
    command.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where scores.csv, scores_slices.csv, scores.json and, with --tumor, scores_tumors.csv go "
        "(default: the run, else PREDICTIONS)",
    )


def run(arguments: argparse.Namespace) -> int:
    from lungseg_monai.evaluation.matching import parse_labels
    from lungseg_monai.evaluation.picture_scoring import Conventions
    from lungseg_monai.evaluation.scores import Extras, evaluate
    from lungseg_monai.evaluation.segmentation import parse_values
    from lungseg_monai.evaluation.tables import scores_folder, write_scores
    from lungseg_monai.evaluation.text import table

    scores = evaluate(
        arguments.predictions,
        arguments.reference,
        labels=parse_labels(arguments.label),
        empty=arguments.empty,
        progress=progress(arguments),
        values=parse_values(arguments.values, "--values"),
        reference_values=parse_values(arguments.reference_values, "--reference-values"),
        extras=Extras(arguments.tumor, arguments.tolerance_mm, arguments.absent),
        conventions=Conventions(arguments.convention, arguments.reference_convention),
    )
    files = write_scores(scores, arguments.out or scores_folder(arguments.predictions))
    told = tell(arguments, "\n".join([table(scores), "", "Written:", *(f"  {file}" for file in files)]), scores)
    return PARTLY if scores["refused"] else told
