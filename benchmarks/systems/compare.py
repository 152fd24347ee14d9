"""All systems, one after another or side by side; what each scored, kept in OUT/systems.json."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.page import machine
from benchmarks.systems.plan import System
from benchmarks.systems.real import write_real
from benchmarks.systems.score import score
from benchmarks.systems.work import Images, Place, facts, make, predict, seconds_of
from lungseg_monai.io import read_json, sha256, write_json
from lungseg_monai.reproduce.clock import Clock
from lungseg_monai.reproduce.facts import versions
from lungseg_monai.reproduce.plan import Model
from lungseg_monai.reproduce.training import epochs_done, state

RESULTS = "systems.json"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Comparison:
    """test: case ids of the data's test list. real: the folder of real scans, or none. clock: of all systems."""

    place: Place
    test: Sequence[str]
    real: Path | None
    clock: Clock
    say: Say


def compare(systems: Sequence[System], place: Place, real: Path | None, jobs: int, say: Say) -> dict[str, Any]:
    """Results of these systems, and of others that an earlier call on the same test patients left in systems.json."""
    lists = read_json(place.data / "datalist.json")
    test = [str(entry["case_id"]) for entry in lists["test"]]
    waiting = [(_model(one), _epochs_left(one, place), len(test)) for one in systems]
    work = Comparison(place, test, real, Clock(waiting, jobs), say)
    path = place.out / RESULTS
    found: dict[str, Any] = {
        "schema_version": "1.0",
        "data": {"datalist_sha256": sha256(place.data / "datalist.json"), "test": test},
        "machine": machine(),
        "threads": place.threads,
        "jobs": jobs,
        "versions": versions(),
        "written": time.strftime("%Y-%m-%d"),
        "systems": {},
    }
    found["systems"] = _kept(path, found["data"])
    for name, result in _each(work, systems, jobs):
        found["systems"] = _kept(path, found["data"]) | {name: result}  # another call may have written meanwhile
        write_json(path, found)
    return found


def _kept(path: Path, data: Any) -> dict[str, Any]:
    """Results in systems.json, if they are of these test patients."""
    before = read_json(path) if path.is_file() else {}
    return before["systems"] if before.get("data") == data else {}


def _each(work: Comparison, systems: Sequence[System], jobs: int) -> Iterator[tuple[str, dict[str, Any]]]:
    if jobs <= 1:
        for system in systems:
            yield system.name, one(work, system)
        return
    with ThreadPoolExecutor(jobs) as pool:  # each waits for a process that trains or predicts
        for system, result in zip(systems, pool.map(lambda system: one(work, system), systems), strict=True):
            yield system.name, result


def one(work: Comparison, system: System) -> dict[str, Any]:
    """What a system scored, or {"failed": why}."""
    place, model = work.place, _model(system)
    result: dict[str, Any] = {"name": system.name, "bundle": system.bundle, "finds": system.finds}
    try:
        make(system, place, work.test, _teller(work, system))
        work.say(f"[{system.name}] predicting {len(work.test)} test patients, {work.clock.left()}".rstrip(", "))
        files = [place.data / case / "image.nii.gz" for case in work.test]
        result |= facts(system, place) | _predicted(
            system, Images(files, place.run(system) / "test"), place, place.data
        )
        for seconds in result["seconds"].values():
            work.clock.patient(model, seconds)
        result["given_minutes"] = system.minutes
    except Exception as error:  # noqa: BLE001 - one system costs no other, whatever is wrong with it
        work.say(f"[{system.name}] failed: {error}")
        return result | {"failed": str(error) or type(error).__name__}
    finally:
        work.clock.leave(model)
    if work.real and system.finds == "lungs":
        result["real"] = _on_real(work, work.real, system)
    work.say(f"[{system.name}] done {work.clock.left()}".rstrip())
    return result


def _predicted(system: System, images: Images, place: Place, reference: Path) -> dict[str, Any]:
    predict(system, images, place)
    rows = score(system, images.to, reference, [file.parent.name for file in images.files])
    return {"cases": rows, "seconds": seconds_of(system, images.to)}


def _on_real(work: Comparison, data: Path, system: System) -> dict[str, Any]:
    folder = work.place.out / "real"
    try:
        names = write_real(data, folder)
        images = Images([folder / name / "image.nii.gz" for name in names], work.place.run(system) / "real")
        return _predicted(system, images, work.place, folder)
    except Exception as error:  # noqa: BLE001 - the test patients' scores stay
        work.say(f"[{system.name}] real scans failed: {error}")
        return {"failed": str(error) or type(error).__name__}


def _teller(work: Comparison, system: System) -> Callable[[list[dict[str, str]]], None]:
    """Told the rows of curves.csv whenever there are more: a line an epoch."""
    seen = epochs_done(work.place.run(system))

    def told(rows: list[dict[str, str]]) -> None:
        nonlocal seen
        trained = [row for row in rows if row["split"] == "training"]
        for number, row in enumerate(trained[seen:], seen + 1):
            work.clock.epoch(_model(system), float(row["seconds"]))
            left = work.clock.left()
            work.say(f"[{system.name}] epoch {number} of {system.epochs}, Dice {row['dice']}, {left}".rstrip(", "))
        seen = max(seen, len(trained))

    return told


def _model(system: System) -> Model:
    """For the clock: as dear as the minutes that an epoch is given."""
    return Model(system.name, {}, (system.minutes or 5.0) / max(system.epochs, 1))


def _epochs_left(system: System, place: Place) -> int:
    run = place.run(system)
    return 0 if state(run) == "done" else max(system.epochs - epochs_done(run), 0)
