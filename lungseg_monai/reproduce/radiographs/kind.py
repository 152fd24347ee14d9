"""How radiographs are read, predicted, scored and laid out: the seam of `reproduce.kind`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lungseg_monai.reproduce.clock import span
from lungseg_monai.reproduce.cohort import Cohort, Patient
from lungseg_monai.reproduce.grid import Grid
from lungseg_monai.reproduce.kept import folder_of, keep_probabilities, missing
from lungseg_monai.reproduce.kind import Figure
from lungseg_monai.reproduce.made import Made, Options, Reproduction
from lungseg_monai.reproduce.plan import Plan, Row
from lungseg_monai.reproduce.progress import Progress
from lungseg_monai.reproduce.radiographs.cohort import Pictures, count, read_radiographs
from lungseg_monai.reproduce.radiographs.figures import draw_all
from lungseg_monai.reproduce.radiographs.layout import COLUMNS_SAID, grids
from lungseg_monai.reproduce.radiographs.predicting import make_ask, make_predict
from lungseg_monai.reproduce.radiographs.scoring import cxr_rules, score_damaged, score_row
from lungseg_monai.reproduce.training import Failed


@dataclass(frozen=True)
class Radiographs:
    """Lungs in radiographs: masks by CxrRules at the picture's own size. damaged: score damaged pictures too."""

    damaged: bool = False
    said = COLUMNS_SAID

    def read(self, plan: Plan, options: Options, numbers: Mapping[str, Any]) -> Cohort:
        return read_radiographs(options.data, plan.labels or numbers["labels"])

    def counts(self, cohort: Cohort) -> dict[str, Pictures]:
        return {name: count(cohort.section(name)) for name in ("training", "validation", "test")}

    def to_predict(self, done: Reproduction, run: Path) -> int:
        return len(missing(folder_of(run), done.cohort.section("test")))

    def measure(self, done: Reproduction, made: Made, rows: Sequence[Row], progress: Progress) -> None:
        folder, patients = folder_of(made.folder), done.cohort.section("test")
        waiting = len(missing(folder, patients))
        if waiting:
            progress.timed(f"{made.model.name}: predicts {waiting} radiographs")
        predict = partial(make_predict, made.folder, done.options.device)
        times = keep_probabilities(folder, patients, predict, made, progress)
        made.predicting_s = sum(times.get(patient.case_id, 0.0) for patient in patients)
        there = [patient for patient in patients if not missing(folder, [patient])]
        if not there:
            raise Failed("not one test radiograph could be predicted")
        for row in rows:
            self._score(done, made, row, folder, there)

    def _score(self, done: Reproduction, made: Made, row: Row, folder: Path, there: Sequence[Patient]) -> None:
        rules = cxr_rules(row.rules)
        scores, problems = score_row(made.folder, folder, there, rules)
        if self.damaged and scores:
            ask = partial(make_ask, made.folder, done.options.device)
            scores["damaged"], more = score_damaged(made.folder, folder, there, rules, ask)
            problems += more
        made.scores[row.rules] = scores
        made.problems += [one for one in problems if one not in made.problems]

    def headline(self, made: Made, rows: Sequence[Row]) -> str:
        scores = made.scores.get(rows[0].rules) or {}
        dice = (scores.get("dice") or {}).get("mean")
        shown = "not computed" if dice is None else f"{dice:.3f}"
        return f"done, Dice {shown} over the test radiographs, {span(made.training_s)} of training"

    def grids(self, done: Reproduction) -> list[Grid]:
        return grids(done)

    def data_text(self, done: Reproduction) -> str:
        found = ", ".join(f"{done.counts[name].radiographs} {name}" for name in ("training", "validation", "test"))
        return f"{done.cohort.folder.name}: radiographs {found}"

    def more_facts(self, done: Reproduction) -> list[tuple[str, str]]:
        return [("convention of the masks", done.cohort.convention)]

    def figures(self, done: Reproduction) -> list[Figure]:
        return draw_all(done)
