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
FIRST = ("width", "n_filters", "spatial_size", "epochs", "patches_per_epoch", "seed")


def stamps(done: Reproduction) -> list[str]:
    """Sentences without which no figure may be read."""
    found = [done.cohort.phantom, done.cohort.warning]
    if done.waiting:
        found.append(f"not finished: {len(done.waiting)} of {len(done.made) + _unbegun(done)} models are still to come")
    return [one for one in found if one]


def facts(done: Reproduction) -> list[tuple[str, str]]:
    """(name, value) in the order in which a reader asks."""
    numbers = {name: _of_all(done, name) for name in FIRST if name in done.numbers}
    told = [
        ("data", done.plan.kind.data_text(done)),
        ("data hash", done.cohort.data_hash[:16]),
        ("setting", done.options.setting),
        *((name.replace("_", " "), value) for name, value in numbers.items()),
        *done.plan.kind.more_facts(done),
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
    shared = {name for name in done.numbers if all(done.numbers[name] == of.get(name) for of in _used(done))}
    return [(name, _text(done.numbers[name])) for name in done.numbers if name in shared - {*FIRST, *own}]


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
    threads = f", {done.options.threads} thread{'s' * (done.options.threads > 1)}" if done.options.threads else ""
    beside = f", {done.options.jobs} models side by side" if done.options.jobs > 1 else ""
    used = {str(one.device) for one in done.made.values() if one.device}
    return f"{', '.join(sorted(used)) or done.options.device}{threads}{beside}"


def _used(done: Reproduction) -> list[Mapping[str, Any]]:
    """The numbers of each bundle that has a model in the tables."""
    models = [row.model for table in done.tables for row in table.rows]
    bundles = dict.fromkeys(done.plan.bundle_of(model) for model in models)
    return [done.by_bundle[name] for name in bundles or [done.plan.bundle]]


def _of_all(done: Reproduction, name: str) -> str:
    """A number; where bundles differ in it, all values in the order of the tables."""
    return ", ".join(dict.fromkeys(_text(of[name]) for of in _used(done) if name in of))


def _unbegun(done: Reproduction) -> int:
    return len([name for name in done.waiting if name not in done.made])


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return " x ".join(_text(one) for one in value) if all(isinstance(o, int) for o in value) else str(list(value))
    return str(value)
