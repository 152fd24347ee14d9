"""What Gao's section 3 says of its training and its scores, in words, beside the same figures of a run here."""

from collections.abc import Mapping
from typing import Any

from lungseg_monai.reproduce.clock import span
from lungseg_monai.reproduce.grid import NOTHING, Column, Grid
from lungseg_monai.reproduce.lungs.scoring import ELEVATED
from lungseg_monai.reproduce.made import Made, Reproduction

NOTES = (
    "The paper's DSC is 2 TP / (2 TP + FP + FN), without a word on two blank masks, where it is 0 / 0. Its “nearly "
    "half of the samples exhibited a DSC value of 0” counts them 0, its blank pairs among the best count them 1. Both "
    "can't be; here they are never mixed into one mean.",
)


def papers_words(done: Reproduction, made: Made, longer: Made | None) -> Grid:
    """A line for each statement that can be held against figures; `made`: the baseline, `longer`: more epochs."""
    scores = next(iter(made.scores.values()))
    rows = [*_of_data(done, scores), *_of_curves(made, "section 3.2.1, Figure 2")]
    rows += _of_curves(longer, "section 3.2.1, Figure 3") if longer is not None and longer.scores else []
    rows += _of_slices(scores)
    rows.append(("training time, section 3.1", "about 7 min on a Tesla T4, up to 2 h on a CPU", span(made.training_s)))
    columns = [Column("", "of", "of"), Column("", "the paper", "paper_words"), Column("", "here, baseline", "masks")]
    return Grid("words", "What the paper says", columns, [list(row) for row in rows], list(NOTES))


def _of_data(done: Reproduction, scores: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    counts = [done.counts[name] for name in ("training", "validation", "test")]
    slices, held = sum(one.slices for one in counts), sum(one.with_lung for one in counts)
    return [
        (
            "patients and slices, section 2.3.1",
            "12 patients, 1100 slices of 512 x 512; training to test 2:1",
            f"{sum(one.patients for one in counts)} patients, {slices} slices; {counts[0].patients} train, "
            f"{counts[1].patients} validate, {counts[2].patients} test",
        ),
        (
            "masks that hold nothing, section 3.2.1",
            "“approximately half of the ground truth masks were entirely black”",
            _part(slices - held, slices),
        ),
    ]


def _of_curves(made: Made, where: str) -> list[tuple[str, str, str]]:
    from lungseg_monai.training.epochs import read_curves

    rows = [row for row in read_curves(made.folder / "curves.csv") if row["split"] == "training"]
    if not rows:
        return []
    loss, accuracy = ([float(row[name]) for row in rows] for name in ("loss", "accuracy"))
    told = "“a downward trend”" if "Figure 2" in where else "“converges as the number of epochs increases”"
    last = f"; last step {loss[-1] - loss[-2]:+.4f}" if len(loss) > 1 else ""
    return [
        (f"loss, {where}", told, f"{loss[0]:.4f} to {loss[-1]:.4f} in {len(loss)} epochs{last}"),
        (f"accuracy, {where}", "“trends upward overall”", f"{accuracy[0]:.4f} to {accuracy[-1]:.4f}"),
    ]


def _of_slices(scores: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    def each(text: Any) -> str:
        return "; ".join(f"{name}: {text(scores[name])}" for name in ("training", "test") if name in scores)

    return [
        (
            "DSC of 0, section 3.2.1",
            "“nearly half of the samples”, training and test",
            each(lambda of: f"{_part(of['dice_0_as_the_paper'], of['slices'])} if two blanks count 0")
            + "; "
            + each(lambda of: f"{_part(of['lowest_are_blank']['dice_0'], of['slices'])} if they count 1"),
        ),
        (
            f"elevated DSC (above {ELEVATED}, our reading), section 3.2.1",
            "“a higher proportion” in training than in test",
            each(lambda of: f"{_part(of['elevated'], of['slices_with_lung'])} with lung"),
        ),
        (
            "best examples, section 3.3, Figures 6 and 9",
            "“often exhibit blank true masks and blank predicted masks”",
            each(lambda of: f"{of['blank_left_blank']} blank pairs"),
        ),
        (
            "worst examples, section 3.3, Figures 7 and 10",
            "“tend to have blank true masks but non-blank predicted masks”",
            each(lambda of: f"{of['lowest_are_blank']['blank']} of {of['lowest_are_blank']['dice_0']} with DSC 0"),
        ),
    ]


def _part(count: int, total: int) -> str:
    return f"{count} of {total} slices ({100 * count / total:.0f} %)" if total else NOTHING
