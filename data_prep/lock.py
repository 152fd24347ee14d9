"""One run at a time in one output folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import OutputError


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of `folder`. The system lets go of it when the run ends, even if it is killed.

    The folder itself is locked, so no file is left in it. Raises OutputError where another run is at work.
    Where the system (Windows) or the file system can't lock folders, nobody is kept out.
    """
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another lungseg-prep is writing into {folder}: wait for it or choose another folder"
            ) from error
        except OSError:  # no locks on this file system
            pass
        yield
    finally:
        os.close(descriptor)
