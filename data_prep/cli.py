"""`lungseg-prep`: main(argv) -> exit code. Each command is a file of its own, data_prep/commands/<command>.py."""

import argparse
import os
import sys
from collections.abc import Sequence

from data_prep import __version__
from data_prep.commands import (
    cxr,
    dicom2nifti,
    nifti2rtstruct,
    nifti2seg,
    nnunet,
    npz,
    phantom,
    qc,
    rois,
    scan,
    split,
    verify,
)
from data_prep.errors import PrepError, UsageError
from data_prep.terminal import EPILOG, INTERRUPTED, NOTHING, USAGE, complain

COMMANDS = (scan, rois, dicom2nifti, npz, cxr, qc, verify, split, nnunet, nifti2rtstruct, nifti2seg, phantom)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns 0 all done; 1 done, but something was refused or failed; 2 wrong usage; 3 nothing could be done;
    130 interrupted (run the same command again to go on).
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no algebra here is worth the threads that numpy would start
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except UsageError as error:
        return complain("lungseg-prep", error, USAGE)
    except PrepError as error:
        return complain("lungseg-prep", error, NOTHING)
    except KeyboardInterrupt:
        return complain("lungseg-prep", "interrupted; run the same command again to go on", INTERRUPTED)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="lungseg-prep",
        description="Chest CT, and what was drawn on it, from DICOM to NIfTI and back.",
        epilog=EPILOG,
    )
    top.add_argument("--version", action="version", version=f"lungseg-prep {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return top


if __name__ == "__main__":
    sys.exit(main())
