"""What was measured, as two pages of docs/reference: Dice against corruption, and conventions beside one another."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.radiographs import measure
from benchmarks.radiographs.finders import THRESHOLD, finder
from benchmarks.radiographs.measure import MIXED, NONE, Score
from benchmarks.radiographs.readers import MASKS, SPINES_MM, Read, readers
from lungseg_monai.evaluation.pictures import worst_mean
from lungseg_monai.pictures.corruptions import CORRUPTIONS

HERE = Path(__file__).parent
Key = tuple[str, str]


def accuracy_page(command: str, damaged: Sequence[Score], made: Sequence[Score], models: Sequence[str]) -> str:
    """docs/reference/xray-accuracy.md."""
    text = (HERE / "accuracy.md").read_text(encoding="utf-8")
    weights = "; ".join(f"`{name}`: {finder(name).weights}" for name in models if name != THRESHOLD) or "none"
    nothing = "Not measured in this run.\n"
    parts = {
        "COMMAND": command,
        "WEIGHTS": weights,
        "PICTURES": str(len({one.case_id for one in damaged})),
        "TOGETHER": together(damaged, models) if damaged else nothing,
        "EACH": "\n".join(each(damaged, name) for name in models) if damaged else nothing,
        "WORST": worst(damaged, models) if damaged else nothing,
        "MADE": made_table(made, models) if made else nothing,
        "FILMS": str(len({one.case_id for one in made})),
        "SEED": str(measure.SEED),
        "KIN": kin(),
    }
    return filled(text, parts)


def conventions_page(command: str, read: Sequence[Read], drawn: Sequence[dict[str, float]]) -> str:
    """docs/reference/xray-conventions.md."""
    text = (HERE / "conventions.md").read_text(encoding="utf-8")
    rows = [[f"`{name}`", *(_two([one.dice[name, by] for one in read]) for by in readers())] for name in MASKS]
    gains = [
        [f"`{name}`", _percent([one.gain[name] for one in read]), _percent([one.inside[name] for one in read])]
        for name in MASKS
        if name != "visible"
    ]
    told = [[f"`{name}`", _two([one[name] for one in drawn])] for name in MASKS if drawn and name != "visible"]
    parts = {
        "COMMAND": command,
        "FILMS": str(len(read)),
        "TABLE": table(["mask", *readers()], rows),
        "GAINS": table(["mask", "adds, of what is visible", "of that within `completed`"], gains),
        "DRAWN": table(["mask", "Dice with what was drawn"], told) if drawn else "Not measured in this run.\n",
        "DRAWINGS": str(len(drawn)),
        "STOPS": ", ".join(f"{mm:g}" for mm in SPINES_MM),
    }
    return filled(text, parts)


def together(found: Sequence[Score], models: Sequence[str]) -> str:
    kinds: dict[str, Callable[[Key], bool]] = {
        "as they are": lambda row: row == NONE,
        "mild": lambda row: row[1] == "mild",
        "strong": lambda row: row[1] == "strong",
        "three at once": lambda row: row == MIXED,
    }
    rows = []
    for name in models:
        for kind, belongs in kinds.items():
            here = [one for one in found if one.model == name and belongs(one.row)]
            if here:
                rows.append([f"`{name}`", kind, str(len(here)), *_cells(here)])
    return table(["model", "pictures", "n", *HEAD], rows)


def each(found: Sequence[Score], model: str) -> str:
    mine = [one for one in found if one.model == model]
    rows = []
    for row in dict.fromkeys(one.row for one in mine):
        here = [one for one in mine if one.row == row]
        about = CORRUPTIONS[row[0]].about if row[0] in CORRUPTIONS else ""
        rows.append([f"{row[0]} {row[1]}".strip(), about, *_cells(here)])
    return f"### {model}\n\n" + table(["corruption", "stands for", *HEAD], rows)


def worst(found: Sequence[Score], models: Sequence[str], count: int = 10) -> str:
    rows = []
    for name in models:
        mine = sorted((one for one in found if one.model == name), key=lambda one: one.dice["drawn", "visible"])
        for one in mine[:count]:
            rows.append(
                [f"`{name}`", " ".join(one.row), one.case_id, f"{one.dice['drawn', 'visible']:.3f}", one.refused or "-"]
            )
    return table(["model", "corruption", "picture", "Dice", "refused"], rows)


def made_table(found: Sequence[Score], models: Sequence[str]) -> str:
    rows = []
    for name in models:
        mine = [one for one in found if one.model == name]
        for label, change in (("as drawn", "visible"), ("left lung completed", "left"), ("both completed", "both")):
            cells = [_two([one.dice[by, change] for one in mine]) for by in measure.REFERENCES]
            rows.append([f"`{name}`", label, *cells])
    return table(["model", "its mask", *(f"`{by}`" for by in measure.REFERENCES)], rows)


def kin() -> str:
    rows = [
        [name, ", ".join(one.levels), ", ".join(one.kin) or "none", one.beyond] for name, one in CORRUPTIONS.items()
    ]
    return table(["corruption", "levels", "alike in training", "what training does not show"], rows)


HEAD = [
    "`visible`: mean",
    "worst 5 %",
    "left completed: mean",
    "both completed: mean",
    "both, reference too: mean",
    "worst 5 %",
]


def _cells(here: Sequence[Score]) -> list[str]:
    drawn = [one.dice["drawn", "visible"] for one in here]
    both = [one.dice["completed", "both"] for one in here]
    means = [np.mean([one.dice["drawn", mask] for one in here]) for mask in ("left", "both")]
    return [
        f"{np.mean(drawn):.3f}",
        _worst(drawn),
        *(f"{one:.3f}" for one in means),
        f"{np.mean(both):.3f}",
        _worst(both),
    ]


def _worst(values: Sequence[float]) -> str:
    return f"{worst_mean(list(values)):.3f}"


def _two(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ({_worst(values)})"


def _percent(values: Sequence[float]) -> str:
    low, high = np.percentile(values, (5, 95))
    return f"{100 * np.mean(values):.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def filled(text: str, parts: dict[str, str]) -> str:
    for name, value in parts.items():
        text = text.replace("{" + name + "}", value)
    return text
