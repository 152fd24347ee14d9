"""A table as text, and how numbers are rounded in one."""

from dataclasses import dataclass, field

NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """group: what stands above several columns; key: for CSV."""

    group: str
    name: str
    key: str


@dataclass(frozen=True)
class Grid:
    """One table as text. cells: rows of one text a column. key: of its file and anchor."""

    key: str
    title: str
    columns: list[Column]
    cells: list[list[str]]
    notes: list[str] = field(default_factory=list)


def share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4f}"


def two_places(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def whole(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0f}"


def interval(value: list[float] | tuple[float, float] | None) -> str:
    return NOTHING if value is None else f"{value[0]:.3f} to {value[1]:.3f}"
