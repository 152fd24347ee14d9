"""What the work on one model tells on its way: to the terminal, or to the process that started this one."""

import json
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from lungseg_monai.reproduce.clock import Clock
from lungseg_monai.reproduce.plan import Model

Say = Callable[[str], None]


class Progress(Protocol):
    """Told by whoever trains, predicts and scores one model."""

    def say(self, text: str) -> None:
        """One line."""

    def timed(self, text: str) -> None:
        """One line, the time left for all models behind it."""

    def epoch(self, seconds: float) -> None:
        """An epoch of the model is trained."""

    def case(self, seconds: float) -> None:
        """A case is predicted."""


class Line:
    """Progress as lines that begin with the model's place, counted by the clock of all models."""

    def __init__(self, model: Model, place: str, clock: Clock, say: Say) -> None:
        self.model, self.place, self.clock, self._say = model, place, clock, say

    def say(self, text: str) -> None:
        self._say(f"[{self.place}] {text}")

    def timed(self, text: str) -> None:
        self.say(f"{text}, {self.clock.left()}".rstrip(", "))

    def epoch(self, seconds: float) -> None:
        self.clock.epoch(self.model, seconds)

    def case(self, seconds: float) -> None:
        self.clock.patient(self.model, seconds)


class Relay:
    """Progress as lines of JSON, [method, argument], for a `Line` in another process: `retell` is the other end."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def send(self, *message: Any) -> None:
        self.stream.write(json.dumps(message) + "\n")
        self.stream.flush()

    def say(self, text: str) -> None:
        self.send("say", text)

    def timed(self, text: str) -> None:
        self.send("timed", text)

    def epoch(self, seconds: float) -> None:
        self.send("epoch", seconds)

    def case(self, seconds: float) -> None:
        self.send("case", seconds)


def retell(progress: Progress, method: str, argument: Any) -> None:
    """Call what a Relay was called with."""
    methods: dict[str, Callable[[Any], None]] = {
        "say": progress.say, "timed": progress.timed, "epoch": progress.epoch, "case": progress.case
    }  # fmt: skip
    methods[method](argument)
