"""One run at a time in one output folder."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import OutputError

PATIENCE_S = 3.0  # the children of a run that was killed end a moment after it


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
            _wait_for(lambda: flock(descriptor, LOCK_EX | LOCK_NB))
        except BlockingIOError as error:
            raise OutputError(
                f"another lungseg or lungseg-prep is writing into {folder}: wait for it or choose another folder"
            ) from error
        except OSError:  # no locks on this file system
            pass
        yield
    finally:
        os.close(descriptor)


def _wait_for(lock: Callable[[], None]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return lock()
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
