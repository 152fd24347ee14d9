"""What is asked of a reproduction, and what there is of it so far: plain data that the tables are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lungseg_monai.postprocessing import TumorRules
from lungseg_monai.reproduce.cohort import Cohort, Count
from lungseg_monai.reproduce.plan import Model, Plan, Table


@dataclass(frozen=True)
class Options:
    """given: numbers of train.yaml that replace those of the setting. machine: keys of train.yaml that change no
    result (cache_gb). tables: their numbers. stride: of the windows in prediction. undrawn: see read_cohort.
    command: as it was typed, for the page."""

    data: Path
    out: Path
    tables: tuple[int, ...]
    setting: str = "recommended"
    given: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    stride: int = 1
    device: str = "auto"
    threads: int | None = None
    undrawn: str = "auto"
    command: str = ""


@dataclass
class Made:
    """What there is of one model. scores: the summary by each row's rules; None stands for the chosen ones, `tuned`."""

    model: Model
    folder: Path
    command: str
    training_s: float = 0.0
    predicting_s: float = 0.0
    best: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 0
    device: str = ""
    versions: Mapping[str, Any] = field(default_factory=dict)
    scores: dict[TumorRules | None, dict[str, Any]] = field(default_factory=dict)
    tuned: tuple[TumorRules, float] | None = None
    problems: list[str] = field(default_factory=list)


@dataclass
class Reproduction:
    """All that the tables say. counts: section -> patients and slices. made: by the model's name."""

    plan: Plan
    options: Options
    numbers: Mapping[str, Any]
    cohort: Cohort
    counts: dict[str, Count]
    tables: list[Table]
    made: dict[str, Made] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        left = [f"{entry['case_id']} ({entry['section']}): {entry['reason']}" for entry in self.cohort.left_out]
        return left + [f"{name}: {problem}" for name, one in self.made.items() for problem in one.problems]

    @property
    def scored(self) -> bool:
        """Whether there is anything to show."""
        return not self.tables or any(one.scores for one in self.made.values())
