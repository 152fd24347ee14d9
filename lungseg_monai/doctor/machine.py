"""Cores, memory, disks and GPUs of this machine, as much of them as this process may use."""

import os
import platform
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from lungseg_monai.cores_and_memory import cores
from lungseg_monai.segment.backends.devices import has_cuda

PATIENCE_S = 10.0
THREAD_SETTINGS = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


def system() -> dict[str, str]:
    return {"system": platform.system(), "release": platform.release(), "machine": platform.machine()}


def cpu() -> dict[str, Any]:
    """usable_cores: those this process may use, and as many threads does a network take by default."""
    settings = {name: os.environ[name] for name in THREAD_SETTINGS if name in os.environ}
    return {"cores": os.cpu_count(), "usable_cores": cores(), "settings": settings}


def disks() -> list[dict[str, Any]]:
    """what, free_bytes, writable: of where files go by default. Their paths are left out: they may say names."""
    places = {"current folder": Path.cwd, "temporary folder": lambda: Path(tempfile.gettempdir())}
    found = []
    for what, where in places.items():
        free, writable = None, False
        with suppress(OSError):
            place = where()
            free, writable = shutil.disk_usage(place).free, os.access(place, os.W_OK)
        found.append({"what": what, "free_bytes": free, "writable": writable})
    return found


def devices(deep: bool = False) -> list[dict[str, Any]]:
    """kind, name, usable (None: only --deep can tell), note: the CPU, and GPUs that are there."""
    found = [{"kind": "cpu", "name": platform.machine(), "usable": True, "note": None}]
    seen = _nvidia()
    if deep:
        return found + _by_torch(seen)
    for name in seen:
        note = None
        if not has_cuda():
            note = (
                f"{name} is not used: a torch built for CUDA is needed (pytorch.org), or CUDA_VISIBLE_DEVICES hides it"
            )
        found.append({"kind": "cuda", "name": name, "usable": None if note is None else False, "note": note})
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        found.append({"kind": "mps", "name": "Apple GPU", "usable": None, "note": None})
    return found


def _nvidia() -> list[str]:
    """Names of the NVIDIA GPUs that the driver, or at least the system, knows."""
    with suppress(OSError, subprocess.SubprocessError):
        asked = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        return [line.strip() for line in done.stdout.splitlines() if line.strip()]
    there = [one for one in sorted(Path("/dev").glob("nvidia[0-9]*")) if one.name.removeprefix("nvidia").isdigit()]
    return ["NVIDIA GPU (nvidia-smi does not answer)"] * len(there)


def _by_torch(seen: list[str]) -> list[dict[str, Any]]:
    try:
        import torch
    except Exception as error:  # noqa: BLE001  # a broken installation fails in many ways, and that is the finding
        note = f"torch can't be imported ({type(error).__name__}): no GPU is used"
        return [{"kind": "cuda", "name": name, "usable": False, "note": note} for name in seen]
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = [
        {"kind": "cuda", "name": torch.cuda.get_device_name(n), "usable": True, "note": None} for n in range(count)
    ]
    if seen and not count:
        note = f"torch {torch.__version__} can't use it: install the build for its driver (pytorch.org)"
        found += [{"kind": "cuda", "name": name, "usable": False, "note": f"{name}: {note}"} for name in seen]
    if torch.backends.mps.is_available():
        found.append({"kind": "mps", "name": "Apple GPU", "usable": True, "note": None})
    return found
