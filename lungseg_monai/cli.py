"""`lungseg`: the parser and main(argv) -> exit code. What each command does stands in `commands`."""

import argparse
import sys
from collections.abc import Sequence

from data_prep import __version__
from data_prep.errors import PrepError
from data_prep.errors import UsageError as PrepUsageError
from data_prep.terminal import EPILOG, INTERRUPTED, NOTHING, USAGE, complain
from lungseg_monai.commands import bundles, doctor, evaluate, report, reproduce, segment, train, tune
from lungseg_monai.errors import LungsegError, UsageError

COMMANDS = (segment, evaluate, report, bundles, train, tune, reproduce, doctor)
# What these commands import of the extra `train`, which plain preparation does without (setup.cfg).
TRAIN_EXTRA = {"torch", "monai", "matplotlib", "jinja2"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns 0 all done; 1 done, but something was refused (named in the result); 2 wrong usage; 3 nothing could be
    done; 130 interrupted (nothing half-written stays; run the same command again).
    """
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except (UsageError, PrepUsageError) as error:
        return complain("lungseg", error, USAGE)
    except (LungsegError, PrepError) as error:
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


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="lungseg",
        description="Lungs and lung tumours out of chest images; scores, reports, papers' tables.",
        epilog=EPILOG,
    )
    top.add_argument("--version", action="version", version=f"lungseg {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return top


if __name__ == "__main__":
    sys.exit(main())
