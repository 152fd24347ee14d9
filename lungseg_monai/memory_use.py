"""What memory this process takes, and knowing an error that says there was too little. No torch."""

import sys
import threading
from pathlib import Path
from types import TracebackType

STATM, STATUS = Path("/proc/self/statm"), Path("/proc/self/status")
EVERY_S = 0.002
SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc", "failed to allocate")


def resident_bytes() -> int | None:
    """What this process holds now; where the system does not say (macOS) the most it ever held; None on Windows."""
    try:
        import resource

        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    except ImportError:
        return None
    except (OSError, ValueError, IndexError):
        return highest_bytes()


def highest_bytes() -> int | None:
    """The most that this process ever held; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def room_bytes() -> int | None:
    """What this process may still take by its own limit (`--memory-gb`, `ulimit -d`); None where it has none.

    Linux only: elsewhere such a limit is not set.
    """
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
        held = int(STATM.read_text().split()[5]) * resource.getpagesize()
    except (ImportError, OSError, ValueError, IndexError):
        return None
    return None if limit == resource.RLIM_INFINITY else max(limit - held, 0)


class PeakMemory:
    """`with PeakMemory() as seen: ...`, then seen.peak_bytes: the most that the process held in it, None if unknown.

    Looks every 2 ms, so short peaks below the highest ever may be missed; a new highest is never.
    """

    def __init__(self) -> None:
        self.peak_bytes = resident_bytes()
        self._highest = highest_bytes() or 0
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        if self.peak_bytes is not None:
            self._watcher.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        if self.peak_bytes is None:
            return
        self._watcher.join()
        highest = highest_bytes() or 0
        if highest > self._highest:
            self.peak_bytes = max(self.peak_bytes, highest)

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            self.peak_bytes = max(self.peak_bytes or 0, resident_bytes() or 0)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether `error`, or what it was raised from, says that the machine or a GPU has no memory left."""
    while error is not None:
        if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in SIGNS):
            return True
        error = error.__cause__
    return False
