"""What differs between papers of tumours in CT and of lungs in radiographs: the seam that the rest goes through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from lungseg_monai.reproduce.cohort import Cohort
    from lungseg_monai.reproduce.grid import Grid
    from lungseg_monai.reproduce.made import Made, Options, Reproduction
    from lungseg_monai.reproduce.plan import Plan, Row
    from lungseg_monai.reproduce.progress import Progress


@dataclass(frozen=True)
class Figure:
    """A picture of the page. file: PNG below OUT."""

    title: str
    explanation: str
    file: Path


class Kind(Protocol):
    """Which cases there are, what is made of a trained model, and how it stands in tables."""

    said: tuple[str, ...]
    """What the columns are, a sentence each."""

    def read(self, plan: "Plan", options: "Options", numbers: Mapping[str, Any]) -> "Cohort":
        """The cases of options.data. numbers: of the plan's bundle. Raises DatasetError where they can't be used."""

    def counts(self, cohort: "Cohort") -> dict[str, Any]:
        """Section -> a dataclass of whole numbers."""

    def to_predict(self, done: "Reproduction", run: Path) -> int:
        """How many test cases the finished training `run` has not predicted yet."""

    def measure(self, done: "Reproduction", made: "Made", rows: Sequence["Row"], progress: "Progress") -> None:
        """Predict and score: fills made.scores for each row's rules. Raises Failed and the package's errors."""

    def headline(self, made: "Made", rows: Sequence["Row"]) -> str:
        """The outcome in a few words."""

    def grids(self, done: "Reproduction") -> list["Grid"]:
        """All tables that were asked for."""

    def data_text(self, done: "Reproduction") -> str:
        """Which data, how many of what."""

    def more_facts(self, done: "Reproduction") -> list[tuple[str, str]]:
        """(name, value) besides those of all papers."""

    def figures(self, done: "Reproduction") -> list[Figure]:
        """Write pictures into OUT. What can't be drawn is left out."""
