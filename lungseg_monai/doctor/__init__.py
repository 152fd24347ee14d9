"""What this installation can do on this machine, and what it lacks: what `lungseg doctor` says."""

from pathlib import Path
from typing import Any

from lungseg_monai.cores_and_memory import memory
from lungseg_monai.doctor import machine, models, packages
from lungseg_monai.doctor.selftest import self_test

SCHEMA = "1.0"
LITTLE_MEMORY, LITTLE_DISK = 3 * 2**29, 2**30  # bytes; what a large case takes, and what a few cases' files do


def examine(*, deep: bool = False, test: bool = False) -> dict[str, Any]:
    """Look at everything; seconds are needed only for deep and test. Nothing is raised for what is found.

    deep: let torch say which devices it can use. test: segment a made chest by every backend and compare. Returns what
    `--json` prints (docs/how-to/doctor.md); `problems` are what must be mended, `warnings` what may be. It names no
    users or hosts, and a home folder is written ~.
    """
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "versions": packages.versions(),
        "optional": packages.optional(),
        "system": machine.system(),
        "cpu": machine.cpu(),
        "memory": memory(),
        "disk": machine.disks(),
        "devices": machine.devices(deep),
        "backends": models.backends(),
        "bundles": models.bundles(),
    }
    found["self_test"] = self_test(found["backends"], found["bundles"]) if test else None
    found["problems"] = [*packages.problems(), *models.problems(found), *_failed(found["self_test"])]
    found["warnings"] = _warnings(found)
    told: dict[str, Any] = without_home(found, Path.home())
    return told


def without_home(found: Any, home: Path) -> Any:
    """The same with ~ for the home folder in every text, which keeps user names out of reports that are shared."""
    if isinstance(found, str):
        return found.replace(str(home), "~") if len(str(home)) > 1 else found
    if isinstance(found, dict):
        return {key: without_home(value, home) for key, value in found.items()}
    return [without_home(one, home) for one in found] if isinstance(found, list) else found


def _failed(tests: list[dict[str, Any]] | None) -> list[str]:
    return [
        f"self-test, {one['bundle']} by {one['backend']}: {one['problem']}" for one in tests or [] if one["problem"]
    ]


def _warnings(found: dict[str, Any]) -> list[str]:
    free = found["memory"]["free_bytes"]
    said = [f"{free / 2**30:.1f} GiB of memory are free: large scans may not fit"] * (
        free is not None and free < LITTLE_MEMORY
    )
    for one in found["disk"]:
        if one["free_bytes"] is not None and one["free_bytes"] < LITTLE_DISK:
            said.append(f"{one['free_bytes'] / 2**30:.1f} GiB are free on the disk of the {one['what']}")
    return said + [one["note"] for one in found["devices"] if one["note"]]
