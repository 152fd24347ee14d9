"""What is asked of a reproduction, and what there is of it so far: plain data that the tables are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lungseg_monai.reproduce.cohort import Cohort
from lungseg_monai.reproduce.kind import Figure
from lungseg_monai.reproduce.plan import Model, Plan, Rules, Table


@dataclass(frozen=True)
class Options:
    """given: numbers of train.yaml that replace those of the setting. machine: keys of train.yaml that change no
    result (cache_gb). tables: their numbers, None for all. stride: of the windows in prediction. undrawn: see
    read_cohort. jobs: models worked on side by side. command: as it was typed, for the page."""

    data: Path
    out: Path
    tables: tuple[int | str, ...] | None = None
    setting: str = "recommended"
    given: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    stride: int = 1
    device: str = "auto"
    threads: int | None = None
    undrawn: str = "auto"
    jobs: int = 1
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
    scores: dict[Rules | None, dict[str, Any]] = field(default_factory=dict)
    tuned: tuple[Rules, float] | None = None
    problems: list[str] = field(default_factory=list)


@dataclass
class Reproduction:
    """All that the tables say. by_bundle: the numbers of each bundle's setting, with those given. counts: section ->
    the cases, as the plan's kind counts them. made: by the model's name. figures: drawn when all models are done."""

    plan: Plan
    options: Options
    by_bundle: Mapping[str, Mapping[str, Any]]
    cohort: Cohort
    counts: dict[str, Any]
    tables: list[Table]
    made: dict[str, Made] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    @property
    def numbers(self) -> Mapping[str, Any]:
        """Of the plan's own bundle."""
        return self.by_bundle[self.plan.bundle]

    def numbers_of(self, model: Model) -> dict[str, Any]:
        """All with which `model` is trained."""
        return {**self.by_bundle[self.plan.bundle_of(model)], **model.numbers}

    def given_to(self, model: Model) -> dict[str, Any]:
        """Of the numbers that were given, those that the model's bundle has."""
        known = self.by_bundle[self.plan.bundle_of(model)]
        return {name: value for name, value in self.options.given.items() if name in known}

    @property
    def problems(self) -> list[str]:
        left = [f"{entry['case_id']} ({entry['section']}): {entry['reason']}" for entry in self.cohort.left_out]
        return left + [f"{name}: {problem}" for name, one in self.made.items() for problem in one.problems]

    @property
    def scored(self) -> bool:
        """Whether there is anything to show."""
        return not self.tables or any(one.scores for one in self.made.values())


def why_empty(done: Reproduction, table: Table) -> list[str]:
    """Why lines of this table are empty."""
    notes = []
    for name in dict.fromkeys(row.model.name for row in table.rows):
        made = done.made.get(name)
        if made is None or (name in done.waiting and not made.scores):
            notes.append(f"{name}: not trained yet; run the same command again.")
        elif not made.scores:
            notes.append(f"{name} failed: {'; '.join(made.problems)}")
    return notes
