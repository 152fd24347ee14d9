"""Results on stdout: a closed pipe, a full disk or a narrow encoding costs no work and no exit code."""

import os
import sys


def say(text: str) -> bool:
    """Print `text`; characters that stdout can't show are escaped.

    Returns False, with a line on stderr, when it could not be printed. A pipe that its reader closed is no failure.
    """
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more when it exits
        if isinstance(error, BrokenPipeError):
            return True
        sys.stderr.write(f"the results can't be printed: {error.strerror}\n")
        return False
    return True
