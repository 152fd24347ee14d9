"""What both command lines share: exit codes, options of every command, and results and errors on the terminal."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from data_prep.progress import Progress, bar, silent

# All done; done, but something was refused or failed; wrong usage; nothing could be done; interrupted.
DONE, PARTLY, USAGE, NOTHING, INTERRUPTED = 0, 1, 2, 3, 130
EPILOG = "For research, not a medical device."


def add_command(
    commands: Any, name: str, what: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """A parser for the command `name` below `commands` (of add_subparsers), with the options that all commands have."""
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=what[0].upper() + what[1:] + ".", epilog=EPILOG
    )
    command.set_defaults(run=run)
    command.add_argument("--json", action="store_true", help="print the result as JSON")
    command.add_argument("--quiet", action="store_true", help="print errors only")
    return command


def progress(arguments: argparse.Namespace) -> Progress:
    """A bar for people, nothing for machines."""
    return silent if arguments.quiet or arguments.json else bar


def complain(program: str, message: object, code: int) -> int:
    """An error on stderr; returns `code`."""
    print(f"{program}: {message}", file=sys.stderr)  # noqa: T201
    return code


def tell(arguments: argparse.Namespace, text: str, data: dict[str, Any]) -> int:
    """Results on stdout, for people or with --json for machines; returns DONE, or PARTLY if that failed."""
    if arguments.json:
        # In plain ASCII: JSON's own escapes are right whatever the terminal's encoding.
        return say(json.dumps(data, indent=2))
    return DONE if arguments.quiet else say(text)


def say(text: str) -> int:
    """Print `text`; characters that stdout can't show are escaped.

    Returns PARTLY, with a line on stderr, when it could not be printed. A pipe that its reader closed is no failure.
    """
    if sys.stdout is None:  # closed before Python began
        return complain("results can't be printed", "the standard output is closed", PARTLY)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more when it exits
        if not isinstance(error, BrokenPipeError):
            return complain("results can't be printed", error.strerror, PARTLY)
    return DONE
