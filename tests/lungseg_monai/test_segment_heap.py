"""Freed memory is used again instead of being asked for anew."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, threading
from lungseg_monai.segment.heap import keep_freed_memory

def touch():
    for _ in range(4):
        bytearray(b"x" * 2**24)

if {kept}:
    keep_freed_memory()
bytearray(b"x" * 2**24)
thread = threading.Thread(target=touch)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*, kept: bool) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS.format(kept=kept)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc alone")
def test_freed_memory_is_used_again_in_all_threads() -> None:
    assert faults(kept=True) < faults(kept=False) / 4
