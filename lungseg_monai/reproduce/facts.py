"""On which data, with which numbers, by which command: what stands beside every table."""

import platform
import shlex
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from lungseg_monai.report.content import shown
from lungseg_monai.reproduce.clock import span
from lungseg_monai.reproduce.made import Reproduction

PACKAGES = ("lungseg-monai", "monai", "torch", "numpy")
FIRST = ("width", "spatial_size", "epochs", "patches_per_epoch", "seed")


def stamps(done: Reproduction) -> list[str]:
    """Sentences without which no figure may be read."""
    found = [done.cohort.phantom, done.cohort.warning]
    if done.waiting:
        found.append(f"not finished: {len(done.waiting)} of {len(done.made) + _unbegun(done)} models are still to come")
    return [one for one in found if one]


def facts(done: Reproduction) -> list[tuple[str, str]]:
    """(name, value) in the order in which a reader asks."""
    counts = done.counts
    patients = ", ".join(f"{counts[name].patients} {name}" for name in ("training", "validation", "test"))
    data = f"{done.cohort.folder.name}: patients {patients}"
    free = sum(not one.masks for one in done.cohort.section("test"))
    numbers = {name: done.numbers[name] for name in FIRST if name in done.numbers}
    told = [
        ("data", f"{data}; {free} of the test patients without tumour"),
        ("data hash", done.cohort.data_hash[:16]),
        ("setting", done.options.setting),
        *((name.replace("_", " "), _text(value)) for name, value in numbers.items()),
        ("windows in prediction", f"every {done.options.stride} slice{'s' * (done.options.stride > 1)}"),
        ("device", _device(done)),
        ("training in all", span(sum(one.training_s for one in done.made.values()))),
        ("prediction in all", span(sum(one.predicting_s for one in done.made.values()))),
        ("versions", ", ".join(f"{name} {value}" for name, value in versions().items())),
        ("written", time.strftime("%Y-%m-%d")),
        ("command", told_command(done.options.command)),
    ]
    return [(name, value) for name, value in told if value]


def other_numbers(done: Reproduction) -> list[tuple[str, str]]:
    """The numbers of training that `facts` leaves out and that all models share."""
    own = {name for one in done.made.values() for name in one.model.numbers}
    return [(name, _text(value)) for name, value in done.numbers.items() if name not in {*FIRST, *own}]


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def told_command(command: str) -> str:
    """A command without the folders of the machine that it ran on: of an absolute path the last part."""
    return shlex.join([shown(part) for part in shlex.split(command)])


def _device(done: Reproduction) -> str:
    threads = f", {done.options.threads} threads" if done.options.threads else ""
    used = {str(one.device) for one in done.made.values() if one.device}
    return f"{', '.join(sorted(used)) or done.options.device}{threads}"


def _unbegun(done: Reproduction) -> int:
    return len([name for name in done.waiting if name not in done.made])


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return " x ".join(_text(one) for one in value) if all(isinstance(o, int) for o in value) else str(list(value))
    return str(value)
