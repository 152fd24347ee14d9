"""A long training in pieces: stop in good order after so many minutes or on a signal, and the run's record."""

import platform
import signal
import threading
import time
from collections.abc import Mapping
from importlib.metadata import version
from logging import getLogger
from pathlib import Path
from types import FrameType
from typing import Any

from ignite.engine import Engine, Events

from lungseg_monai.io import read_json
from lungseg_monai.training.checkpoints import KeepCheckpoints
from lungseg_monai.training.processes import from_main, is_main
from lungseg_monai.training.runs import PACKAGES, RunRecord

log = getLogger(__name__)


class StopAfter:
    """Ends the training at the end of the first epoch that ends `minutes` after it began; None: never."""

    def __init__(self, minutes: float | None) -> None:
        self.minutes = minutes
        self.began = time.monotonic()

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def start(self, engine: Engine) -> None:
        self.began = time.monotonic()

    def __call__(self, engine: Engine) -> None:
        over = self.minutes is not None and time.monotonic() - self.began >= 60 * self.minutes
        if from_main(over):  # several processes stop together
            engine.terminate()


class SceneRecord(RunRecord):
    """run.json of a training on made scenes. `facts` as in RunRecord; `scenes` says which scenes are used."""

    def __init__(
        self, folder: str | Path, facts: Mapping[str, Any], scenes: Mapping[str, Any], checkpoints: KeepCheckpoints
    ) -> None:
        self.path = Path(folder) / "run.json"
        self.checkpoints = checkpoints
        self.content: dict[str, Any] = {
            "schema_version": "1.0",
            **facts,
            "dataset_dir": None,
            "status": "running",
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "epochs_done": 0,
            "best": {},
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            "scenes": dict(scenes),
            "scenes_seen": 0,
            "seconds": 0.0,
            "left_out": [],
        }
        self.before_s, self.began = 0.0, time.monotonic()

    def begin(self, resume: bool) -> None:
        """Write run.json for the first time, or go on with the one that is there."""
        self.began = time.monotonic()
        if resume:
            before = read_json(self.path)
            kept = ("setting", "started", "epochs_done", "best", "scenes_seen", "seconds", "pretrained")
            self.content.update({name: before[name] for name in kept if name in before})
            self.before_s = float(before.get("seconds", 0.0))
        self._write()
        if is_main():
            log.info("Run folder %s, setting %s", self.path.parent, self.content["setting"])

    def update(self, engine: Engine, status: str = "running") -> None:
        done = self.epochs_done(engine, status)
        ended = getattr(engine.state, "without_gain", False) or done >= (engine.state.max_epochs or 0)
        if status == "done" and not ended:
            status = "paused"
        per_epoch = int(self.content["scenes"].get("per_epoch", 0))
        seconds = round(self.before_s + time.monotonic() - self.began, 1)
        self.content.update(
            status=status, epochs_done=done, best=self.checkpoints.state_dict(), scenes_seen=done * per_epoch,
            seconds=seconds,
        )  # fmt: skip
        self._write()

    def finish(self) -> None:
        """Say where everything is, and how to go on with a run that is not at its end."""
        super().finish()
        if is_main() and self.content["status"] == "paused":
            total = self.content["numbers"]["epochs"]
            log.info(
                "Paused after epoch %d of %d: go on with --resume true --output_dir %s",
                self.content["epochs_done"], total, self.path.parent,
            )  # fmt: skip


def stop_on_sigterm() -> None:
    """From now on SIGTERM ends the training as Ctrl-C does: told, recorded, with the last epoch's checkpoint whole."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
