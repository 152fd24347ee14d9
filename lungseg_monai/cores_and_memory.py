"""Cores and memory that this process may use. Light: asked before NumPy is imported."""

import os
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
UNBOUNDED = 2**60  # version 1 writes a huge number where there is no limit


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def memory(meminfo: Path = Path("/proc/meminfo"), cgroups: Path = CGROUPS) -> dict[str, int | None]:
    """total_bytes, limit_bytes (of the container or control group), free_bytes: what can be had now; None: unknown."""
    told: dict[str, int] = {}
    with suppress(OSError, ValueError):
        for line in meminfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                told[name] = int(value.split()[0]) * 1024
    free, limit = told.get("MemAvailable"), None
    for most, used in _limits(cgroups):
        limit = min(most, limit or most)
        free = max(0, min(most - used, free if free is not None else most))
    return {"total_bytes": told.get("MemTotal"), "limit_bytes": limit, "free_bytes": free}


def _limits(cgroups: Path) -> list[tuple[int, int]]:
    """(limit, used) of each control group around this process that has a limit."""
    own = ""
    with suppress(OSError):
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        own = next((line.split(":", 2)[2].strip("/") for line in lines if line.startswith("0::")), "")
    inner = cgroups / own
    folders = dict.fromkeys([one for one in (inner, *inner.parents) if one.is_relative_to(cgroups)] + [cgroups])
    names = [(folder / "memory.max", folder / "memory.current") for folder in folders]
    names.append((cgroups / "memory/memory.limit_in_bytes", cgroups / "memory/memory.usage_in_bytes"))
    found = []
    for most, used in names:
        with suppress(OSError, ValueError):  # "max" where there is none
            pair = int(most.read_text()), int(used.read_text())
            if pair[0] < UNBOUNDED:
                found.append(pair)
    return found
