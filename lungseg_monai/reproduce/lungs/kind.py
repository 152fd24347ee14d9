"""How lungs are read, predicted, scored and laid out: the seam of `reproduce.kind`.

A model's folder is a whole run: `lungseg report` makes its page, the paper's Figures 2 to 11.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungseg_monai.errors import LungsegError
from lungseg_monai.reproduce.clock import span
from lungseg_monai.reproduce.cohort import Cohort
from lungseg_monai.reproduce.grid import Grid
from lungseg_monai.reproduce.kind import Figure
from lungseg_monai.reproduce.lungs.cohort import Slices, count, read_lungs
from lungseg_monai.reproduce.lungs.layout import COLUMNS_SAID, grids
from lungseg_monai.reproduce.lungs.predicting import SECTIONS, command, predict, predicted, weights_of
from lungseg_monai.reproduce.lungs.scoring import score_run, summary_of
from lungseg_monai.reproduce.made import Made, Options, Reproduction
from lungseg_monai.reproduce.plan import Plan, Row
from lungseg_monai.reproduce.progress import Progress
from lungseg_monai.reproduce.training import Failed


@dataclass(frozen=True)
class Lungs:
    """Both lungs in CT as one mask. baseline, longer: the models of the paper's figures."""

    baseline: str
    longer: str
    said = COLUMNS_SAID

    def read(self, plan: Plan, options: Options, numbers: Mapping[str, Any]) -> Cohort:
        return read_lungs(options.data, numbers["labels"])

    def counts(self, cohort: Cohort) -> dict[str, Slices]:
        return {name: count(cohort.section(name)) for name in ("training", "validation", "test")}

    def to_predict(self, done: Reproduction, run: Path) -> int:
        there = predicted(run, weights_of(run))
        return sum(one.case_id not in there for one in done.cohort.section(*SECTIONS))

    def measure(self, done: Reproduction, made: Made, rows: Sequence[Row], progress: Progress) -> None:
        waiting, options = self.to_predict(done, made.folder), done.options
        if waiting:
            progress.timed(f"{made.model.name}: predicts {waiting} patients")
            arguments = command(done.plan.bundle_of(made.model), options.data, made.folder, options.device)
            made.problems += predict(arguments, made.folder, options.threads, progress.case)
        seconds = predicted(made.folder, weights_of(made.folder))
        made.predicting_s = sum(seconds.get(one.case_id, 0.0) for one in done.cohort.section("test"))
        scores = score_run(made.folder, options.data)
        made.problems += [f"{one['case_id']} is not scored: {one['reason']}" for one in scores["refused"]]
        (label,) = done.numbers["labels"]
        found = summary_of(scores, label)
        if "test" not in found:
            raise Failed("not one test patient could be scored")
        for row in rows:
            made.scores[row.rules] = found

    def headline(self, made: Made, rows: Sequence[Row]) -> str:
        dice = made.scores[rows[0].rules]["test"]["volume_dice"]["mean"]
        return f"done, volume DSC {dice:.4f} over the test patients, {span(made.training_s)} of training"

    def grids(self, done: Reproduction) -> list[Grid]:
        return grids(done, self.baseline, self.longer)

    def data_text(self, done: Reproduction) -> str:
        told = [f"{one.patients} {name} ({one.slices} slices)" for name, one in done.counts.items()]
        return f"{done.cohort.folder.name}: patients {', '.join(told)}"

    def more_facts(self, done: Reproduction) -> list[tuple[str, str]]:
        pages = [
            f"{what}: models/{done.made[name].folder.name}/report.html"
            for name, what in ((self.baseline, "Figures 2 and 4 to 11"), (self.longer, "Figure 3"))
            if name in done.made and (done.made[name].folder / "report.html").is_file()
        ]
        return [("the paper's figures", "; ".join(pages))]

    def figures(self, done: Reproduction) -> list[Figure]:
        """The curves; what else the paper shows stands in the report of each run, which is written too."""
        from lungseg_monai.report.page import write_report
        from lungseg_monai.report.picture_grids import curves_picture
        from lungseg_monai.report.run import read_curves

        found = []
        for name, number in ((self.baseline, 2), (self.longer, 3)):
            made = done.made.get(name)
            if made is None or not made.scores:
                continue
            path = done.options.out / "figures" / f"figure{number}.png"
            try:
                curves_picture(read_curves(made.folder / "curves.csv"), path)
                write_report(made.folder, dataset=done.options.data)
            except LungsegError:
                continue
            title = f"Figure {number}: losses and accuracies for {made.epochs} epochs"
            found.append(Figure(title, f"{name}; Dice besides, which the paper does not show.", path))
        return found
