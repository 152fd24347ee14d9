"""What this machine has, found out without importing torch."""

import os
import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # of /proc/cpuinfo: x86, x86, 64-bit Arm
CPU_ONLY = "+cpu"  # at the end of the version of PyTorch's small wheels


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


def has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies in bfloat16, which halves a network's time; False where Linux does not say so.

    Elsewhere, and without such instructions, bfloat16 is emulated: slower than float32.
    """
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    told = (line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features")))
    return any(BF16_FLAGS & set(flags) for flags in told)
