"""`lungseg`: the parser and main(argv) -> exit code. What it does stands in the modules it calls."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from data_prep import __version__
from data_prep.errors import OutputError
from data_prep.terminal import EPILOG, INTERRUPTED, NOTHING, PARTLY, USAGE, add_command, complain, progress, tell
from lungseg_monai.errors import LungsegError, UsageError

# What these commands import of the extra `train`, which plain preparation does without (setup.cfg).
TRAIN_EXTRA = {"torch", "monai", "scipy", "matplotlib", "jinja2"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns 0 all done; 1 done, but something was refused (named in the result); 2 wrong usage; 3 nothing could be
    done; 130 interrupted (nothing half-written stays; run the same command again).
    """
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except UsageError as error:
        return complain("lungseg", error, USAGE)
    except (LungsegError, OutputError) as error:
        return complain("lungseg", error, NOTHING)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in TRAIN_EXTRA:
            raise
        return complain(
            "lungseg", f"{package} is not installed: pip install -c constraints.txt '.[train]' in the checkout", NOTHING
        )
    except KeyboardInterrupt:
        return complain("lungseg", "interrupted; run the same command again", INTERRUPTED)


def run_evaluate(arguments: argparse.Namespace) -> int:
    from lungseg_monai.evaluation.matching import parse_labels
    from lungseg_monai.evaluation.scores import evaluate
    from lungseg_monai.evaluation.tables import scores_folder, write_scores
    from lungseg_monai.evaluation.text import table

    scores = evaluate(
        arguments.predictions,
        arguments.reference,
        labels=parse_labels(arguments.label),
        empty=arguments.empty,
        progress=progress(arguments),
    )
    files = write_scores(scores, arguments.out or scores_folder(arguments.predictions))
    told = tell(arguments, "\n".join([table(scores), "", "Written:", *(f"  {file}" for file in files)]), scores)
    return PARTLY if scores["refused"] else told


def run_report(arguments: argparse.Namespace) -> int:
    from lungseg_monai.report.page import write_report

    report = write_report(arguments.run_folder, arguments.out, arguments.dataset)
    notes = [f"  left out: {note.what}" for note in report.notes]
    told = tell(
        arguments,
        "\n".join([str(report.path), *notes]),
        {"report": str(report.path), "missing": [vars(note) for note in report.notes]},
    )
    return PARTLY if report.damaged else told


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="lungseg", description="What comes after training: scores and reports.", epilog=EPILOG
    )
    top.add_argument("--version", action="version", version=f"lungseg {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    command = add_command(commands, "evaluate", "score saved masks against the original label files", run_evaluate)
    command.add_argument(
        "predictions", type=Path, metavar="PREDICTIONS", help="folder with predictions.json or masks, or one mask"
    )
    command.add_argument(
        "reference", type=Path, metavar="REFERENCE", help="prepared folder with dataset.json, a folder of masks, or one"
    )
    command.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=A+B",
        help="compare the prediction NAME with the union of the reference's A and B, e.g. "
        "lungs=lung_left+lung_right; may be repeated (default: what predictions.json says)",
    )
    command.add_argument(
        "--empty",
        choices=("one", "skip"),
        default="one",
        help="Dice and IoU of two empty masks: 1, or left out and counted (default one)",
    )
    command.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where scores.csv, scores_slices.csv and scores.json go (default: the run, else PREDICTIONS)",
    )

    command = add_command(commands, "report", "write one HTML file about a run", run_report)
    command.add_argument("run_folder", type=Path, metavar="RUN", help="folder with run.json, as training writes it")
    command.add_argument(
        "--dataset", type=Path, metavar="PREPARED", help="prepared folder for the pictures (default: the run's own)"
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="default: RUN/report.html")
    return top


if __name__ == "__main__":
    sys.exit(main())
