"""A paper's tables as data: what is trained, how masks are made of it, and what the paper prints beside it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from lungseg_monai.reproduce.kind import Kind


class Rules(Protocol):
    """How masks are made of probabilities: a frozen dataclass, as TumorRules or CxrRules."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""

    def __hash__(self) -> int:
        """Equal rules are one."""


@dataclass(frozen=True)
class Model:
    """One training. numbers: keys of the bundle's train.yaml. cost: of a step, relative to the plan's dearest model;
    for the time left alone. bundle: in place of the plan's."""

    name: str
    numbers: Mapping[str, Any]
    cost: float = 1.0
    bundle: str = ""


@dataclass(frozen=True)
class Row:
    """One line of a table. rules: None where they are chosen on the validation patients.

    paper: what the paper prints, as far as it does; of tumours mean, median, false_positive_slices,
    false_negative_slices, of radiographs dice, iou, mse.
    """

    title: str
    model: Model
    rules: Rules | None
    paper: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """One table of scores. number: the paper's, or a word where it has none. notes: what a reader must know to compare,
    a sentence each. more: Dice columns that only this table has, as tumours.layout.MORE names them."""

    number: int | str
    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    more: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Of its file and anchor."""
        return f"table{self.number}" if isinstance(self.number, int) else self.number

    @property
    def heading(self) -> str:
        return f"Table {self.number}: {self.title}" if isinstance(self.number, int) else self.title


@dataclass(frozen=True)
class CohortTable:
    """The table that counts patients and slices. paper: section -> (patients, with tumour, without); `train` of a
    paper holds its validation patients."""

    number: int
    title: str
    paper: Mapping[str, tuple[int, int, int]]


@dataclass(frozen=True)
class Plan:
    """A paper. bundle: of models that name none. labels: target -> labels of dataset.json that it unites; none where
    the bundle's number `labels` says that. rules: how its masks are made, from which those of other rows differ; those
    chosen on validation patients are sought around them."""

    name: str
    title: str
    kind: Kind
    bundle: str
    rules: Rules
    tables: tuple[Table, ...]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cohort: CohortTable | None = None

    @property
    def numbers(self) -> list[int | str]:
        """Of all tables."""
        return [*([self.cohort.number] if self.cohort else []), *(table.number for table in self.tables)]

    @property
    def bundles(self) -> list[str]:
        """Of all models, the plan's own first."""
        return list(dict.fromkeys([self.bundle, *(self.bundle_of(model) for model in models_of(self.tables))]))

    def bundle_of(self, model: Model) -> str:
        return model.bundle or self.bundle

    def chosen(self, numbers: Iterable[int | str] | None) -> list[Table]:
        """The tables of scores with these numbers; None: all."""
        wanted = set(self.numbers if numbers is None else numbers)
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
