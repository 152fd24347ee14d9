"""One model of a plan, trained through its bundle in a process of its own: begun, resumed, or found finished."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from signal import SIGINT
from typing import Any

from lungseg_monai.bundle import bundle_path
from lungseg_monai.errors import DatasetError
from lungseg_monai.io import read_json
from lungseg_monai.reproduce.plan import Model

LOOK_EVERY_S = 0.5
PATIENCE_S = 40.0  # until an interrupted training has written down where it stopped
TOLD_LINES = 6
# What torch, OpenMP and the libraries below NumPy read once, when they start.
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Failed(Exception):  # noqa: N818 - no error of the package: the row is named in the tables and the others go on
    """Why one model can't be trained, used or scored."""


@dataclass(frozen=True)
class Job:
    """How a model is trained. numbers: all that decides the result, as run.json keeps them; data_hash: of the data."""

    bundle: str
    setting: str
    model: Model
    numbers: Mapping[str, Any]
    data_hash: str

    @property
    def key(self) -> str:
        """model-xxxxxxxx: the same for the same numbers on the same data alone."""
        told = [self.bundle, self.setting, dict(self.numbers), self.data_hash]
        return f"{self.model.name}-{sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]}"


def state(folder: Path) -> str:
    """ "done", "begun" (last.pt to go on from) or "new"."""
    if not (folder / "checkpoints" / "last.pt").is_file():
        return "new"
    try:
        facts = read_json(folder / "run.json")
        finished = facts["status"] == "done" or facts["epochs_done"] >= facts["numbers"]["epochs"]
    except (DatasetError, KeyError, TypeError):
        return "begun"
    return "done" if finished and (folder / "checkpoints" / "best.pt").is_file() else "begun"


def epochs_done(folder: Path) -> int:
    """Of a training that goes on; 0 of one that begins."""
    try:
        return int(read_json(folder / "run.json")["epochs_done"]) if state(folder) != "new" else 0
    except (DatasetError, KeyError, TypeError, ValueError):
        return 0


def command(job: Job, given: Mapping[str, Any], data: Path, folder: Path, device: str) -> list[str]:
    """Arguments of `python -m monai.bundle` that train `job` into `folder`, or go on there.

    given: what to say besides the setting, the rest of job.numbers being the setting's own.
    """
    configs = bundle_path(job.bundle) / "configs"
    arguments = ["run", "training", "--config_file", str(configs / "train.yaml")]
    arguments += ["--meta_file", str(configs / "metadata.json"), "--dataset_dir", str(data)]
    arguments += ["--output_dir", str(folder), "--setting", job.setting, "--device", device]
    for name, value in {**given, **job.model.numbers}.items():
        arguments += [f"--{name}", value if isinstance(value, str) else repr(value)]  # MONAI reads Python's literals
    return [*arguments, *(["--resume", "true"] if state(folder) == "begun" else [])]


def shown(arguments: list[str]) -> str:
    """The command as a person would type it."""
    return shlex.join(["python", "-m", "monai.bundle", *arguments])


def train(
    arguments: list[str], folder: Path, threads: int | None, told: Callable[[list[dict[str, str]]], None]
) -> None:
    """Train to the end; what it prints goes to training.log. `told` gets the rows of curves.csv when there are more.

    Raises Failed with the training's own error. An interruption is handed on; the next call goes on.
    """
    from lungseg_monai.training.epochs import read_curves

    seen = 0

    def look() -> None:
        nonlocal seen
        rows = read_curves(folder / "curves.csv")
        if len(rows) != seen:
            seen = len(rows)
            told(rows)

    code, words = run_bundle(arguments, folder / "training.log", threads, look)
    if state(folder) != "done":
        raise Failed(f"training ended with code {code}: {words}")


def run_bundle(arguments: list[str], log: Path, threads: int | None, look: Callable[[], None]) -> tuple[int, str]:
    """`python -m monai.bundle` in a process of its own; what it prints is added to `log`.

    `look` is called every LOOK_EVERY_S and once at the end. Returns the exit code and the last words. An interruption
    is handed on, once the process has ended.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **({name: str(threads) for name in THREAD_LIMITS} if threads else {})}
    with log.open("ab") as stream:
        stream.write(f"$ {shown(arguments)}\n".encode())
        stream.flush()
        begin = stream.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "lungseg_monai.reproduce.child", *arguments],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, env=environment,
            start_new_session=True,
        )  # fmt: skip
        try:
            while True:
                code = process.poll()
                look()
                if code is not None:
                    break
                time.sleep(LOOK_EVERY_S)
        except BaseException:
            _stop(process)
            raise
    return code, _last_words(log, begin)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C would, then by force."""
    process.send_signal(SIGINT)
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(log: Path, begin: int) -> str:
    """The error that the training told, else its last lines."""
    with log.open("rb") as stream:
        stream.seek(begin)
        lines = [line.strip() for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1] if errors else " / ".join(lines[-TOLD_LINES:]) or "it said nothing"
