"""A paper's tables as data: what is trained, how masks are made of it, and what the paper prints beside it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lungseg_monai.postprocessing import TumorRules


@dataclass(frozen=True)
class Model:
    """One training. numbers: keys of the bundle's train.yaml. cost: of a step, relative to the plan's dearest model;
    for the time left alone."""

    name: str
    numbers: Mapping[str, Any]
    cost: float = 1.0


@dataclass(frozen=True)
class Row:
    """One line of a table. rules: None where they are chosen on the validation patients.

    paper: what the paper prints: mean, median, false_positive_slices, false_negative_slices, as far as it does.
    """

    title: str
    model: Model
    rules: TumorRules | None
    paper: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """One table of scores. notes: what a reader must know to compare, a sentence each. more: Dice columns that only
    this table has, as layout.MORE names them."""

    number: int
    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class CohortTable:
    """The table that counts patients and slices. paper: section -> (patients, with tumour, without); `train` of a
    paper holds its validation patients."""

    number: int
    title: str
    paper: Mapping[str, tuple[int, int, int]]


@dataclass(frozen=True)
class Plan:
    """A paper. labels: target -> labels of dataset.json that it unites. rules: how its masks are made, from which
    those of other rows differ; those chosen on validation patients are sought around them."""

    name: str
    title: str
    bundle: str
    labels: Mapping[str, tuple[str, ...]]
    rules: TumorRules
    cohort: CohortTable
    tables: tuple[Table, ...]

    @property
    def numbers(self) -> list[int]:
        """Of all tables."""
        return [self.cohort.number, *(table.number for table in self.tables)]

    def chosen(self, numbers: Iterable[int]) -> list[Table]:
        """The tables of scores with these numbers."""
        wanted = set(numbers)
        return [table for table in self.tables if table.number in wanted]


def models_of(tables: Iterable[Table]) -> list[Model]:
    """The trainings that tables need, each once: first those of most lines, then in the order in which they come."""
    models = [row.model for table in tables for row in table.rows]
    names = [model.name for model in models]
    return sorted({model.name: model for model in models}.values(), key=lambda model: -names.count(model.name))


def rows_of(tables: Iterable[Table], model: Model) -> list[Row]:
    """The lines that need `model`, those with equal rules once."""
    rows = [row for table in tables for row in table.rows if row.model.name == model.name]
    return list({row.rules: row for row in reversed(rows)}.values())[::-1]
