"""One system: trained, or found trained; the test patients and the real scans predicted."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.systems.plan import System
from lungseg_monai.bundle import bundle_path
from lungseg_monai.io import read_json
from lungseg_monai.reproduce.plan import Model
from lungseg_monai.reproduce.training import THREAD_LIMITS, Failed, Job, command, state, train

DEVICE = "cpu"


@dataclass(frozen=True)
class Place:
    """data: with the test patients, on which the lungs are learnt; nodule_data: on which the nodules are."""

    data: Path
    nodule_data: Path
    out: Path
    threads: int = 1

    def training_data(self, system: System) -> Path:
        return self.nodule_data if system.finds == "nodules" else self.data

    def run(self, system: System) -> Path:
        return self.out / system.name


@dataclass(frozen=True)
class Images:
    """What is predicted, `<case>/image.nii.gz` each, and the folder where the masks go."""

    files: Sequence[Path]
    to: Path


def make(system: System, place: Place, test: Sequence[str], told: Callable[[list[dict[str, str]]], None]) -> None:
    """Train the system to the end; a finished run stays as it is.

    Raises Failed, also where a run has seen one of the `test` patients.
    """
    run = place.run(system)
    if system.shipped:
        return
    if state(run) != "done":
        train(training(system, place), run, place.threads, told)
    cases = read_json(run / "run.json")["cases"]
    seen = sorted(set(test) & {*cases["training"], *cases["validation"]})
    if seen:
        raise Failed(f"it was trained with {seen[0]}, a test patient: train it on others")


def training(system: System, place: Place) -> list[str]:
    """Arguments of `python -m monai.bundle`."""
    job = Job(system.bundle, system.setting, Model(system.name, system.numbers), {}, "")
    return command(job, {}, place.training_data(system), place.run(system), DEVICE)


def predict(system: System, images: Images, place: Place) -> None:
    """Masks of `images` into images.to; what an earlier call predicted with the same weights stays. Raises Failed."""
    arguments = _segment(system, images, place) if system.segment is not None else _inference(system, images, place)
    images.to.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **{name: str(place.threads) for name in THREAD_LIMITS}}
    module = "lungseg_monai.cli" if system.segment is not None else "lungseg_monai.reproduce.child"
    journal = images.to / ("segment.json" if system.segment is not None else "predictions/predictions.json")
    before = journal.stat().st_mtime_ns if journal.is_file() else None
    log = images.to / "predict.log"
    with log.open("wb") as stream:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, env=environment, check=False,
        )  # fmt: skip
    if not journal.is_file() or journal.stat().st_mtime_ns == before:  # it did not come as far as that
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise Failed(f"prediction ended with code {done.returncode}: {' / '.join(lines[-3:]) or 'it said nothing'}")


def _segment(system: System, images: Images, place: Place) -> list[str]:
    model = ["--model", system.bundle, *(system.segment or ())]
    where = ["--out", str(images.to), "--threads", str(place.threads), "--device", DEVICE]
    return ["segment", *map(str, images.files), *where, *model]


def _inference(system: System, images: Images, place: Place) -> list[str]:
    configs = bundle_path(system.bundle) / "configs"
    best = place.run(system) / "checkpoints" / "best.pt"
    weights = [] if system.shipped else ["--checkpoint", str(best)]
    options = [word for name, value in system.predict.items() for word in (f"--{name}", str(value))]
    return [
        "run", "--config_file", str(configs / "inference.yaml"), "--meta_file", str(configs / "metadata.json"),
        "--images", repr([str(file) for file in images.files]), "--output_dir", str(images.to),
        *weights, "--device", DEVICE, *options,
    ]  # fmt: skip


def seconds_of(system: System, folder: Path) -> dict[str, float]:
    """case -> seconds from the image's file to the mask's, of the call that predicted it."""
    if system.segment is not None:
        cases = read_json(folder / "segment.json")["cases"]
        return {name: float(case["seconds"]) for name, case in cases.items() if case["status"] == "done"}
    cases = read_json(folder / "predictions" / "predictions.json")["cases"]
    return {case["case_id"]: float(case["seconds"]) for case in cases}


def facts(system: System, place: Place) -> dict[str, Any]:
    """numbers, parameters, and of a run minutes of training (its epochs, validation included) and the best epoch."""
    from lungseg_monai.bundle_facts import bundle_facts
    from lungseg_monai.bundle_parameters import count_parameters
    from lungseg_monai.training.epochs import read_curves

    run = place.run(system)
    if system.shipped:
        bundles = [system.bundle, *([system.after] if system.after else [])]
        numbers = {name: ((bundle_facts(name)["weights"] or {}).get("numbers") or {}) for name in bundles}
        counted = sum(count_parameters(name, used) for name, used in numbers.items())
        return {"numbers": numbers[system.bundle], "parameters": counted, "minutes": None}
    record = read_json(run / "run.json")
    rows = [row for row in read_curves(run / "curves.csv") if row["split"] == "training"]
    return {
        "numbers": record["numbers"],
        "setting": record["setting"],
        "parameters": count_parameters(system.bundle, record["numbers"]),
        "minutes": sum(float(row["seconds"]) for row in rows) / 60,
        "epochs": len(rows),
        "best": record.get("best", {}),
        "trained_on": {name: len(ids) for name, ids in record["cases"].items()},
    }
