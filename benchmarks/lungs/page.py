"""What was measured, as a page: tables of means, worst cases and failures, good or bad."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.lungs.judge import GOOD_DICE, KINDS, LITTLE_ML, Verdict
from benchmarks.lungs.plan import GROUPS, Tried
from benchmarks.lungs.real import Real
from benchmarks.lungs.roads import CEILING, NETWORK, ROADS, THRESHOLD
from benchmarks.lungs.sample import SEED

HEAD = """# How well lungs are found

Written by `{command}`; do not edit. Weights: `model.onnx`, SHA-256 {weights}. Seed {seed}; training draws from
seed 0 and validation from 1000003, so none of these chests was seen before. `--draw DIR` draws the worst cases,
`--case NAME` (e.g. `--case {example} --draw DIR`) any case of these tables.

**network** is `lungseg segment` with all its rules and the border by HU; **threshold** is the classical method
(`lungseg_monai/segment/threshold.py`: threshold, components, windpipe, separation, closing). **ceiling** is the
network's road with the truth in the network's place: what the grid of 3 mm, the rules and the border cost on their own.
What counts as lung: [lung-convention.md](lung-convention.md).

Dice and volume errors are of lungs of at least {little:g} ml. A **failure** is a sample with a lung under Dice {good}
("low"), not found at all ("missed"), called by the other's name ("swapped"), or with more than {little:g} ml found
where the truth has none ("false").

"""
REAL = """## Real scans

For measuring only: no rule, no threshold and no weight is tuned on them. Conventions differ, so small differences near
the top mean little: the RTSTRUCT of LUNG1-001 leaves out most of its tumour and is drawn a little outside the lung's
edge by HU; the CIP label map has voxels of 4 mm and counts vessels as lung.

"""
NO_REAL = "Not measured in this run: `{environment}` names no folder with them.\n"
TURNS = """## Any order of axes

The same {patients} patients of another generator, their voxels stored along other axes and backwards. Dice of the mask
against the mask of the usual order (to left, back and up): 1 means that the storage changes nothing.

"""


def head(command: str, weights: str) -> str:
    return HEAD.format(
        command=command, weights=weights, seed=SEED, example="findings/effusion/0", little=LITTLE_ML, good=GOOD_DICE
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def summary(found: Sequence[Tried]) -> str:
    """One row a group and road, and what flags are worth."""
    rows = []
    for name in GROUPS:
        here = [one for one in found if one.group == name]
        if here:
            for road in (*ROADS, CEILING):
                cells = [*_dice_cells(here, road), _failed(here, road)]
                rows.append([f"[{GROUPS[name].title}](#{_anchor(name)})", road, str(len(here)), *cells])
    header = ["samples of", "road", "n", "right: mean", "worst", "left: mean", "worst", "volume, %", "failed"]
    return "## Together\n\n" + table(header, rows) + "\n" + _worth_of_flags(found) + "\n"


def group_table(name: str, found: Sequence[Tried]) -> str:
    group = GROUPS[name]
    here = [one for one in found if one.group == name]
    made = _elsewhere_rows if name == "elsewhere" else _rows
    header, rows = made(here)
    return f"## {group.title}\n\n{group.about}\n\n{table(header, rows)}\n"


def turns_table(found: Sequence[tuple[str, int, dict[int, float]]]) -> str:
    rows = []
    for name in dict.fromkeys(one[0] for one in found):
        scores = [score for turn, _, dice in found if turn == name for score in dice.values()]
        rows.append([name, f"{np.mean(scores):.4f}", f"{min(scores):.4f}"])
    patients = len({number for _, number, _ in found})
    return TURNS.format(patients=patients) + table(["stored to", "mean", "worst"], rows) + "\n"


def real_table(found: Sequence[Real], environment: str) -> str:
    if not found:
        return REAL + NO_REAL.format(environment=environment)
    rows = []
    for one in found:
        for road in ROADS:
            rows.append([one.case, one.what, road, *_real_cells(one, road)])
    sides = ["right: Dice", "HD95, mm", "ml (reference)", "left: Dice", "HD95, mm", "ml (reference)"]
    return REAL + table(["case", "reference", "road", *sides, "flags"], rows)


def worst_cases(found: Sequence[Tried], count: int, road: str = NETWORK) -> list[Tried]:
    """The failures, and then what comes next to one, worst first."""
    return sorted(found, key=lambda one: (not one.verdicts[road].failures, one.verdicts[road].worst))[:count]


def worst_table(found: Sequence[Tried]) -> str:
    rows = []
    for one in found:
        verdict = one.verdicts[NETWORK]
        cells = [_side(verdict, side) for side in (1, 2)]
        flags = ", ".join(verdict.flagged) or "-"
        rows.append([f"`{one.name}`", *cells, ", ".join(verdict.failures) or "-", flags])
    header = ["case", "right: Dice, ml (truth)", "left", "failed", "flags"]
    return "## The worst of the network's\n\n" + table(header, rows) + "\n"


def _rows(here: Sequence[Tried]) -> tuple[list[str], list[list[str]]]:
    header = ["", "n", "right: mean", "worst", "left: mean", "worst", "volume, %", "failed", "worst case"]
    header += ["threshold: mean", "worst", "failed", "ceiling: mean", "worst", "failed"]
    rows = []
    for row, ones in _by_row(here).items():
        what = GROUPS[ones[0].group].rows[row]
        worst = worst_cases(ones, 1)[0].name.rpartition("/")[2]
        cells = [*_dice_cells(ones, NETWORK), _failed(ones, NETWORK), worst]
        for road in (THRESHOLD, CEILING):
            scores = [score for one in ones for score in one.verdicts[road].dice.values()]
            cells += [_three(np.mean, scores), _three(min, scores), _failed(ones, road)]
        rows.append([f"{row}: {what}", str(len(ones)), *cells])
    return header, rows


def _elsewhere_rows(here: Sequence[Tried]) -> tuple[list[str], list[list[str]]]:
    header = ["", "n", "network: ml, mean", "most", "failed", "threshold: ml, mean", "most", "failed"]
    rows = []
    for row, ones in _by_row(here).items():
        cells = [row, str(len(ones))]
        for road in ROADS:
            ml = [sum(one.verdicts[road].found_ml.values()) for one in ones]
            cells += [f"{np.mean(ml):.0f}", f"{max(ml):.0f}", _failed(ones, road)]
        rows.append(cells)
    return header, rows


def _by_row(here: Sequence[Tried]) -> dict[str, list[Tried]]:
    rows: dict[str, list[Tried]] = {}
    for one in here:
        rows.setdefault(one.row, []).append(one)
    return rows


def _dice_cells(ones: Sequence[Tried], road: str) -> list[str]:
    """Right mean and worst, left mean and worst, mean of the volume's error without its sign."""
    cells = []
    for side in (1, 2):
        scores = [one.verdicts[road].dice[side] for one in ones if side in one.verdicts[road].dice]
        cells += [_three(np.mean, scores), _three(min, scores)]
    errors = [
        abs(one.verdicts[road].found_ml[side] / one.verdicts[road].truth_ml[side] - 1) * 100
        for one in ones
        for side in one.verdicts[road].dice
    ]
    return [*cells, f"{np.mean(errors):.1f}" if errors else "-"]


def _three(of: Callable, scores: Sequence[float]) -> str:
    return f"{of(scores):.3f}" if len(scores) else "-"


def _failed(ones: Sequence[Tried], road: str) -> str:
    """How many, and of which kinds."""
    bad = [one.verdicts[road].failures for one in ones if one.verdicts[road].failures]
    if not bad:
        return "0"
    kinds = Counter(kind for failures in bad for kind in set(failures))
    return f"{len(bad)} ({', '.join(f'{kinds[kind]} {kind}' for kind in KINDS if kinds[kind])})"


def _worth_of_flags(found: Sequence[Tried]) -> str:
    verdicts = [one.verdicts[NETWORK] for one in found]
    bad = [one for one in verdicts if one.failures]
    good = [one for one in verdicts if not one.failures]
    told, fussed = sum(bool(one.flagged) for one in bad), sum(bool(one.flagged) for one in good)
    return (
        f"Of the network's {len(bad)} failures {told} carried a flag that asks for a look, of the {len(good)} others "
        f"{fussed} did (a lung that the image cuts is such a flag).\n"
    )


def _real_cells(one: Real, road: str) -> list[str]:
    verdict, cells = one.verdicts[road], []
    for side in (1, 2):
        apart = one.hd95_mm[road].get(side)
        cells += [f"{verdict.dice[side]:.3f}" if side in verdict.dice else "-"]
        cells += ["-" if apart is None else f"{apart:.1f}"]
        cells += [f"{verdict.found_ml[side]:.0f}" + (f" ({verdict.truth_ml[side]:.0f})" if one.judged else "")]
    return [*cells, ", ".join(verdict.flagged) or "-"]


def _side(verdict: Verdict, side: int) -> str:
    score = f"{verdict.dice[side]:.3f}" if side in verdict.dice else "-"
    return f"{score}, {verdict.found_ml[side]:.0f} ({verdict.truth_ml[side]:.0f})"


def _anchor(name: str) -> str:
    return GROUPS[name].title.lower().replace(" ", "-")
