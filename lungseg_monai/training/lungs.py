"""What a training on whole volumes with two lungs measures: Dice of each lung, false lungs, the wait for data."""

import time
from logging import getLogger

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from torch import Tensor

from lungseg_monai.training.processes import sum_over_processes

RIGHT, LEFT = 1, 2
COLUMNS = ("dice_right", "dice_left", "false_ml", "waiting")  # of curves.csv, beside those of every run
log = getLogger(__name__)


class LungScores:
    """Puts the epoch's scores into engine.state.metrics, from logits (B, 3, ...) and the label (B, 1 or 2, ...).

    dice_right, dice_left: the mean of the volumes' Dice, over the volumes that have that lung. dice: the mean of the
    two. false_ml: what is found of a lung that is not there, mean of the volumes without it. accuracy: of all voxels.
    """

    def __init__(self, spacing_mm: float, every: int = 1) -> None:
        self.every = every
        self.voxel_ml = spacing_mm**3 / 1000
        self.totals = torch.zeros(8, dtype=torch.float64)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self.add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        self.totals = torch.zeros(8, dtype=torch.float64)

    def add(self, engine: Engine) -> None:
        if engine.state.iteration % self.every:
            return
        output = engine.state.output
        for logits, label in zip(output["pred"].detach(), output["label"], strict=True):  # type: ignore[index]
            self.totals += self.counted(logits.argmax(dim=0), label[0].long())

    def counted(self, found: Tensor, wanted: Tensor) -> Tensor:
        """[Dice right, volumes with it, Dice left, volumes with it, false ml, absent lungs, right voxels, voxels]."""
        pairs = torch.bincount((3 * wanted + found).flatten(), minlength=9).reshape(3, 3).double().cpu()
        counts = torch.zeros(8, dtype=torch.float64)
        for place, lung in ((0, RIGHT), (2, LEFT)):
            there, got = pairs[lung].sum(), pairs[:, lung].sum()
            if there:
                counts[place], counts[place + 1] = 2 * pairs[lung, lung] / (there + got), 1
            else:
                counts[4] += got * self.voxel_ml
                counts[5] += 1
        counts[6], counts[7] = pairs.trace(), pairs.sum()
        return counts

    def finish(self, engine: Engine) -> None:
        device: torch.device = engine.state.device  # type: ignore[attr-defined]
        right, rights, left, lefts, false, absent, correct, voxels = sum_over_processes(self.totals.tolist(), device)
        scores = {
            "dice_right": right / rights if rights else float("nan"),
            "dice_left": left / lefts if lefts else float("nan"),
            "false_ml": false / absent if absent else 0.0,
            "accuracy": correct / max(voxels, 1),
        }
        engine.state.metrics.update(scores, dice=(scores["dice_right"] + scores["dice_left"]) / 2)


class DataWait:
    """Puts the share of the epoch's time that was spent waiting for data into engine.state.metrics["waiting"]."""

    def __init__(self) -> None:
        self.began = self.asked = time.perf_counter()
        self.waited = 0.0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self.ask)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self.get)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        self.began, self.waited = time.perf_counter(), 0.0

    def ask(self, engine: Engine) -> None:
        self.asked = time.perf_counter()

    def get(self, engine: Engine) -> None:
        self.waited += time.perf_counter() - self.asked

    def finish(self, engine: Engine) -> None:
        engine.state.metrics["waiting"] = self.waited / max(time.perf_counter() - self.began, 1e-9)
