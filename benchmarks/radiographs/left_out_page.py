"""docs/reference/xray-left-out.md: networks on pictures whose look they never saw."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.radiographs.appearance import Numbers
from benchmarks.radiographs.looks import TRAITS, look_rows
from benchmarks.radiographs.page import filled, table
from lungseg_monai.bundle import bundle_path
from lungseg_monai.evaluation.pictures import worst_mean

if TYPE_CHECKING:
    from benchmarks.radiographs.left_out import Run, Scores

TEXT = Path(__file__).with_name("left_out.md")
SECTIONS = ("training", "validation", "test")
HEAD = ["group", "n", "never seen: mean", "worst 5 %", "n", "never seen: mean", "worst 5 %"]
HEAD += ["seen (reference): mean", "worst 5 %", "difference"]


def left_out_page(reference: "Run", found: Sequence["Scores"], features: Numbers, group: NDArray[np.intp]) -> str:
    """features: (N, 18) of all pictures. group: (N,) theirs."""
    number = int(group.max()) + 1
    missing = sorted(set(range(number)) - {one.group for one in found})
    runs = {"reference": reference} | {f"without group {one.group}": one.run for one in found}
    changed = changed_numbers(reference)
    left = " ".join(f"RUNS/left_{one.group}" for one in found)
    parts = {
        "COMMAND": f"python -m benchmarks.radiographs.left_out PREPARED --reference RUNS/reference --left {left}",
        "GROUPS": str(number),
        "LOOKS": table(["group", "n", "looks", *TRAITS], look_rows(features, group)),
        "SCORES": table(HEAD, score_rows(found)),
        "MISSING": f"Not measured yet: group {', '.join(map(str, missing))}.\n\n" if missing else "",
        "COUNTS": table(
            ["network", "training", "validation", "test"],
            [[name, *(str(len(run.cases[one])) for one in SECTIONS)] for name, run in runs.items()],
        ),
        "BUNDLE": reference.bundle,
        "OPTIONS": " ".join(f'--{name} "{value}"' if " " in str(value) else f"--{name} {value}"
                            for name, value in changed.items()),
    }  # fmt: skip
    return filled(TEXT.read_text(encoding="utf-8"), parts)


def score_rows(found: Sequence["Scores"]) -> list[list[str]]:
    """A row a group, and one of all together."""
    rows = [_row(str(one.group), one.unseen, one.seen) for one in found]
    if len(found) > 1:
        unseen = {case: dice for one in found for case, dice in one.unseen.items()}
        seen = {case: dice for one in found for case, dice in one.seen.items()}
        rows.append(_row("together", unseen, seen))
    return rows


def _row(name: str, unseen: Mapping[str, float], seen: Mapping[str, float]) -> list[str]:
    both = sorted(set(unseen) & set(seen))
    here, there = [unseen[case] for case in both], [seen[case] for case in both]
    difference = f"{round(np.mean(here) - np.mean(there), 3) + 0.0:+.3f}"  # no -0.000
    return [name, str(len(unseen)), *_two(list(unseen.values())), str(len(both)), *_two(here), *_two(there), difference]


def _two(values: Sequence[float]) -> list[str]:
    return [f"{np.mean(values):.3f}", f"{worst_mean(values):.3f}"]


def changed_numbers(run: "Run") -> dict[str, Any]:
    """Those that the run was given in place of its setting's; labels are left out, the same masks by another name."""
    import yaml

    text = (bundle_path(run.bundle) / "configs" / "train.yaml").read_text(encoding="utf-8")
    own = yaml.safe_load(text)["settings"][run.setting]
    return {name: value for name, value in run.numbers.items() if name != "labels" and own.get(name, value) != value}
