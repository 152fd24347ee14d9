"""What is measured and told once an epoch: ignite handlers for MONAI's engines."""

import csv
import io
import time
from collections.abc import Callable, Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents

from lungseg_monai.io import atomic_file, write_json
from lungseg_monai.training.processes import is_main, sum_over_processes

COLUMNS = ("epoch", "split", "loss", "accuracy", "dice", "learning_rate", "seconds")
log = getLogger(__name__)


class EpochLoss:
    """Puts the epoch's mean loss, each batch weighed by its size, into engine.state.metrics["loss"].

    A trainer has computed the loss; an evaluator needs the `loss_function`, applied to the logits.
    """

    def __init__(self, loss_function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None) -> None:
        self.loss_function = loss_function
        self.total, self.count = 0.0, 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        when = IterationEvents.FORWARD_COMPLETED if self.loss_function else IterationEvents.LOSS_COMPLETED
        engine.add_event_handler(when, self.add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        self.total, self.count = 0.0, 0

    def add(self, engine: Engine) -> None:
        output: Any = engine.state.output
        loss = self.loss_function(output["pred"], output["label"]) if self.loss_function else output["loss"]
        size = len(output["label"])
        self.total += float(loss.detach()) * size
        self.count += size

    def finish(self, engine: Engine) -> None:
        device: torch.device = engine.state.device  # type: ignore[attr-defined]
        total, count = sum_over_processes([self.total, self.count], device)
        engine.state.metrics["loss"] = total / max(count, 1)


class SeedEpoch:
    """Seeds torch from (seed, epoch), so that dropout after a resume is what it would have been."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        torch.manual_seed(self.seed + 1_000_003 * engine.state.epoch)


class Curves:
    """Writes curves.csv after each epoch: a row for training and, with a `validator`, one for validation.

    After a resume the rows of the epochs before are kept and those of a lost epoch replaced. `more` names metrics that
    get a column besides COLUMNS; one that an engine does not have stays empty.
    """

    def __init__(self, path: str | Path, validator: Engine | None = None, more: Sequence[str] = ()) -> None:
        self.path = Path(path)
        self.validator = validator
        self.more = tuple(more)
        self.started = time.perf_counter()
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        if not self.rows and engine.state.epoch > 1:
            self.rows = [row for row in read_curves(self.path) if int(row["epoch"]) < engine.state.epoch]
        self.started = time.perf_counter()
        self.learning_rate = learning_rate(engine)

    def finish(self, engine: Engine) -> None:
        seconds = time.perf_counter() - self.started
        self._add(engine.state.epoch, "training", engine.state.metrics, seconds)
        if self.validator is not None and has_validated(engine, self.validator):
            self._add(engine.state.epoch, "validation", self.validator.state.metrics, None)
        if is_main():
            write_curves(self.path, self.rows, (*COLUMNS, *self.more))

    def _add(self, epoch: int, split: str, metrics: Mapping[str, Any], seconds: float | None) -> None:
        row = {name: f"{metrics[name]:.6g}" for name in ("loss", "accuracy", "dice")}
        row |= {name: f"{metrics[name]:.6g}" if name in metrics else "" for name in self.more}
        row |= {"learning_rate": f"{self.learning_rate:.6g}", "seconds": "" if seconds is None else f"{seconds:.3f}"}
        self.rows.append({"epoch": epoch, "split": split, **row})


def has_validated(trainer: Engine, validator: Engine) -> bool:
    """Whether the trainer's epoch is the one that was validated last; with val_interval 2 every other is not."""
    return bool(validator.state.epoch == trainer.state.epoch)


class EpochLine:
    """For StatsHandler's epoch_print_logger: one line an epoch, with the time left."""

    def __init__(self, validator: Engine | None = None) -> None:
        self.validator = validator
        self.began: tuple[int, float] | None = None

    def __call__(self, engine: Engine) -> None:
        state: Any = engine.state
        spent = state.times.get(Events.EPOCH_COMPLETED.name) or 0.0
        now = time.perf_counter()
        if self.began is None:
            self.began = state.epoch - 1, now - spent
        pace = (now - self.began[1]) / (state.epoch - self.began[0])
        left = pace * (state.max_epochs - state.epoch)
        parts = [f"epoch {state.epoch}/{state.max_epochs}", _told(state.metrics)]
        if self.validator is not None and has_validated(engine, self.validator):
            parts.append(f"validation {_told(self.validator.state.metrics)}")
        parts.append(f"{pace:.1f} s an epoch, {duration(left)} left")
        if is_main():
            log.info(" | ".join(parts))


def same(handler: Any) -> Any:
    """`handler` itself: MONAI's check_properties wants every entry of train#handlers to be a dict with a _target_."""
    return handler


class MetricsLine:
    """For StatsHandler's epoch_print_logger: the metrics of one evaluation under a title."""

    def __init__(self, title: str) -> None:
        self.title = title

    def __call__(self, engine: Engine) -> None:
        log.info("%s: %s", self.title, _told(engine.state.metrics))


class MetricsFile:
    """Writes the metrics of one evaluation as a JSON object."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        write_json(self.path, {name: float(value) for name, value in engine.state.metrics.items()})


def read_curves(path: Path) -> list[dict[str, Any]]:
    """The rows of curves.csv; none if there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write_curves(path: Path, rows: list[dict[str, Any]], columns: Sequence[str] = COLUMNS) -> None:
    """Write curves.csv atomically. Raises data_prep's OutputError."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    with atomic_file(path) as stream:
        stream.write(text.getvalue().encode())


def learning_rate(engine: Any) -> float:
    return float(engine.optimizer.param_groups[0]["lr"])


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _told(metrics: Mapping[str, Any]) -> str:
    told = f"loss {metrics['loss']:.4f}, accuracy {metrics['accuracy']:.4f}, dice {metrics['dice']:.4f}"
    if "dice_right" in metrics:
        told += (
            f" (right {metrics['dice_right']:.4f}, left {metrics['dice_left']:.4f}, false {metrics['false_ml']:.1f} ml)"
        )
    if "waiting" in metrics:
        told += f", {100 * metrics['waiting']:.0f} % waiting for data"
    if "dice_slices_with_label" in metrics:
        told += f" (a slice: {metrics['dice_slices_with_label']:.4f} with label, {metrics['dice_slices_all']:.4f} all)"
    return told
