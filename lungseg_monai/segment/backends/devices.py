"""What this machine has, found out without importing torch."""

import os
import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

CPU_ONLY = "+cpu"  # at the end of the version of PyTorch's small wheels


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def has_cuda() -> bool:
    """Whether an NVIDIA GPU and a torch that may be able to use it are there; torch itself has the last word."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or find_spec("torch") is None:
        return False
    try:
        if version("torch").endswith(CPU_ONLY):
            return False
    except PackageNotFoundError:
        return False
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None
