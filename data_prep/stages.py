"""How long the stages of one conversion took."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stages:
    """seconds: by stage, in the order in which they were first entered."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def add(self, seconds: Mapping[str, float]) -> None:
        for name, spent in seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def table(self) -> str:
        """One line a stage, for people."""
        width = max(map(len, self.seconds), default=0)
        return "\n".join(f"{name.ljust(width)}  {spent:8.3f} s" for name, spent in self.seconds.items())
