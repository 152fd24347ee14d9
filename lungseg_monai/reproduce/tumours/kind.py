"""How tumours are read, predicted, scored and laid out: the seam of `reproduce.kind`."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lungseg_monai.postprocessing import TumorRules
from lungseg_monai.reproduce.clock import span
from lungseg_monai.reproduce.cohort import Cohort, Count, Patient, count_slices, read_cohort
from lungseg_monai.reproduce.grid import Grid
from lungseg_monai.reproduce.kept import folder_of, keep_probabilities, missing
from lungseg_monai.reproduce.kind import Figure
from lungseg_monai.reproduce.made import Made, Options, Reproduction
from lungseg_monai.reproduce.plan import Plan, Row
from lungseg_monai.reproduce.progress import Progress
from lungseg_monai.reproduce.training import Failed
from lungseg_monai.reproduce.tumours.layout import COLUMNS_SAID, grids
from lungseg_monai.reproduce.tumours.predicting import make_predict
from lungseg_monai.reproduce.tumours.scoring import score_row, tumor_rules
from lungseg_monai.reproduce.tumours.tuning import choose_rules


class Tumours:
    """Tumours in CT: probabilities of whole volumes, masks by TumorRules, some chosen on the validation patients."""

    said = COLUMNS_SAID

    def read(self, plan: Plan, options: Options, numbers: Mapping[str, Any]) -> Cohort:
        return read_cohort(options.data, plan.labels, options.undrawn)

    def counts(self, cohort: Cohort) -> dict[str, Count]:
        return {name: count_slices(cohort.section(name)) for name in ("training", "validation", "test")}

    def to_predict(self, done: Reproduction, run: Path) -> int:
        return len(missing(probabilities_of(done, run), done.cohort.section("test")))

    def measure(self, done: Reproduction, made: Made, rows: Sequence[Row], progress: Progress) -> None:
        folder = probabilities_of(done, made.folder)
        chosen = ["validation"] if any(row.rules is None for row in rows) else []
        patients = done.cohort.section("test", *chosen)
        waiting = len(missing(folder, patients))
        if waiting:
            progress.timed(f"{made.model.name}: predicts {waiting} patients")
        predict = partial(make_predict, made.folder, done.options.stride, done.options.device)
        times = keep_probabilities(folder, patients, predict, made, progress)
        made.predicting_s = sum(times.get(patient.case_id, 0.0) for patient in done.cohort.section("test"))
        there = [patient for patient in done.cohort.section("test") if not missing(folder, [patient])]
        if not there:
            raise Failed("not one test patient could be predicted")
        for row in rows:
            _score(done, made, row, folder, there)

    def headline(self, made: Made, rows: Sequence[Row]) -> str:
        scores = made.scores.get(rows[0].rules) or {}
        dice = (scores.get("volume_dice") or {}).get("mean")
        shown_dice = "not computed" if dice is None else f"{dice:.3f}"
        return f"done, volume Dice {shown_dice} over the test patients with tumour, {span(made.training_s)} of training"

    def grids(self, done: Reproduction) -> list[Grid]:
        return grids(done)

    def data_text(self, done: Reproduction) -> str:
        patients = ", ".join(f"{done.counts[name].patients} {name}" for name in ("training", "validation", "test"))
        free = sum(not one.masks for one in done.cohort.section("test"))
        return f"{done.cohort.folder.name}: patients {patients}; {free} of the test patients without tumour"

    def more_facts(self, done: Reproduction) -> list[tuple[str, str]]:
        stride = done.options.stride
        return [("windows in prediction", f"every {stride} slice{'s' * (stride > 1)}")]

    def figures(self, done: Reproduction) -> list[Figure]:
        return []


def probabilities_of(done: Reproduction, run: Path) -> Path:
    return folder_of(run, f"stride{done.options.stride}")


def _score(done: Reproduction, made: Made, row: Row, folder: Path, there: Sequence[Patient]) -> None:
    rules = row.rules if row.rules is not None else _chosen(done, made, folder)
    if rules is None:
        return
    made.scores[row.rules], problems = score_row(made.folder, folder, there, tumor_rules(rules))
    made.problems += [one for one in problems if one not in made.problems]


def _chosen(done: Reproduction, made: Made, folder: Path) -> TumorRules | None:
    """Rules by the validation patients; None, with a word why, where none of them has a tumour."""
    there = [patient for patient in done.cohort.section("validation") if not missing(folder, [patient])]
    weights = made.folder / "checkpoints" / "best.pt"
    found = choose_rules(folder, there, tumor_rules(done.plan.rules), weights, done.options.stride)
    made.tuned = found
    if found is None:
        made.problems.append("no validation patient with tumour: threshold and kernel can't be chosen")
        return None
    return found[0]
