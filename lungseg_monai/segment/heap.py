"""What becomes of memory that arrays no longer need. Light: the command line imports it before anything large."""

import sys

# Of glibc's malloc.h, and the value of each: the rest of the world is left as it was.
ARENA_MAX, TRIM_THRESHOLD, MMAP_THRESHOLD = -8, -1, -3
LARGEST_KEPT = 2**28  # bytes; larger arrays are images of many slices, and go back to the system at once
KEPT = 2**29  # bytes at the heap's end


def keep_freed_memory() -> None:
    """Have this process use freed memory again for its next arrays, in all threads. On Linux with glibc; else nothing.

    By itself glibc gives arrays of some megabytes back to the system: each new one is fresh pages, which the kernel
    clears one by one, a sixth of all the time that a cohort takes. And each thread keeps what it freed to itself. To be
    called before threads are started.
    """
    if sys.platform != "linux":
        return
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for name, value in ((ARENA_MAX, 1), (MMAP_THRESHOLD, LARGEST_KEPT), (TRIM_THRESHOLD, KEPT)):
        mallopt(name, value)
