"""The comparison as a page: tables out of what was measured, good or bad."""

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from benchmarks.peers.behaviour import Mark, Outcome
from benchmarks.peers.cases import Case
from benchmarks.peers.registry import Tool
from benchmarks.peers.speed import Row

OURS = "lungseg-prep"
HEAD = """# How the converter compares

Written by `python -m benchmarks.peers`; run it again after `python -m benchmarks.peers.install` (tools from PyPI, each
in an environment of its own) and `apt-get install plastimatch`. `--only speed` (`accuracy`, `awkward`) renews a part.

Tools: {versions}.
"""
MEASURED = "Measured on {day}, {machine}.\n"
TITLES = ("Speed", "Accuracy", "Awkward cases")
SPEED = """## Speed

CT 512 x 512 x 200 (105 MB, with the noise of a scanner), 6 ROIs, 590 contours, 250,000 points. Whole process, files in
the page cache, all tools in turn in each round; medians of the runs counted in the last column (one for slow tools).
CPU is user + system time of the process and its children: on a machine that is not idle it is the steadier figure. Peak
memory: all processes of a run together.
"""
FOUR = """### Four patients on four processes

By the tool's own option where it has one (`--jobs 4`, `-j 4`), else four processes at once.
"""
SHAPES = """## Accuracy

Solids known by formula at places off any raster, contoured exactly; 1 x 1 x 3 mm voxels, nodules of 4 mm on 1 x 1 x 1
mm. Dice against the voxels whose centres lie inside, and volume against theirs. "Nodules": mean of eight.
"""
AWKWARD = """## Awkward cases

Judged from the written files alone, in world coordinates: **right**, all is there and in its place; **refused**, not
made, and the tool said so (exit code, or words that it does not say on the ordinary case); **lost**, not made, nothing
said; **WRONG**, made, but not the truth ("warned" where something was said). Rounded vertices alone do not count as
wrong here. Options are the defaults, but for `--xor-contours` (plastimatch) and the column "resampling"
(`--gaps resample --tilt resample`). rt-utils returns arrays without a place: each slice is put where the slice that it
was drawn on lies, which is left to its users.
"""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines) + "\n"


def head(tools: Sequence[Tool]) -> str:
    here = [f"{tool.name} {tool.version}" for tool in tools if not tool.absent]
    absent = [f"- {tool.name}: {tool.absent}" for tool in tools if tool.absent]
    missing = "\nNot compared:\n\n" + "\n".join(absent) + "\n" if absent else ""
    return HEAD.format(versions=", ".join(here)) + missing


def write(path: Path, tools: Sequence[Tool], parts: Sequence[str]) -> None:
    """Write the page; parts that were not measured now stay as they are in `path`."""
    measured = MEASURED.format(day=date.today().isoformat(), machine=machine())
    texts = _parts(path.read_text(encoding="utf-8")) if path.exists() else {}
    texts |= {title: f"{text.rstrip()}\n\n{measured}" for part in parts for title, text in _parts(part).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head(tools), *(texts[title] for title in TITLES if title in texts)]), encoding="utf-8")


def _parts(text: str) -> dict[str, str]:
    """By title, each with its heading."""
    pieces = f"\n{text}".split("\n## ")[1:]
    return {piece.partition("\n")[0]: f"## {piece.rstrip()}\n" for piece in pieces}


def machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    load = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    processor = names[0] if names else platform.machine()
    return f"{cores} cores of {processor}, {platform.system()}, Python {platform.python_version()}{load}"


def speed_tables(rows: Sequence[Row], four: Sequence[Row]) -> str:
    text = SPEED + "\n" + _speed_table(rows) + "\n" + _targets(rows, four)
    return text + ("\n" + FOUR + "\n" + _speed_table(four) if four else "")


def _speed_table(rows: Sequence[Row]) -> str:
    ours = next((row for row in rows if row.tool.name == OURS and not row.failed), None)
    cells = []
    for row in rows:
        if row.failed:
            cells.append([row.tool.name, row.what, f"failed: {row.failed[:80]}", "", "", "", "", ""])
            continue
        ratios = [f"{row.wall_s / ours.wall_s:.1f}", f"{row.cpu_s / ours.cpu_s:.1f}"] if ours else ["", ""]
        figures = [f"{row.wall_s:.2f}", ratios[0], f"{row.cpu_s:.2f}", ratios[1], f"{row.peak_mb:.0f}"]
        cells.append([row.tool.name, row.what, *figures, str(len(row.runs))])
    return table(["tool", "makes", "wall s", "to ours", "CPU s", "to ours", "peak MB", "runs"], cells)


def _targets(rows: Sequence[Row], four: Sequence[Row]) -> str:
    """What was set out for, and what came."""
    first = {row.tool.name: row for row in reversed(rows) if not row.failed}
    many = {row.tool.name: row for row in four if not row.failed}
    if OURS not in first:
        return ""
    ours, lines = first[OURS], []

    def times(name: str, at: dict[str, Row], least: float) -> None:
        if name in at and OURS in at:
            wall, cpu = at[name].wall_s / at[OURS].wall_s, at[name].cpu_s / at[OURS].cpu_s
            who = f"times as fast as {name}" + (", four patients" if at is many else "")
            lines.append([who, f"at least {least:.0f}", f"{wall:.1f}", f"{cpu:.1f}", _met(wall >= least)])

    if {"dcm2niix", "plastimatch"} <= first.keys():
        pair = first["dcm2niix"], first["plastimatch"]
        wall, cpu = ours.wall_s / sum(row.wall_s for row in pair), ours.cpu_s / sum(row.cpu_s for row in pair)
        what = "part of the time of dcm2niix -1 and plastimatch masks together"
        lines.append([what, "at most 0.50", f"{wall:.2f}", f"{cpu:.2f}", _met(wall <= 0.5)])
    times("rt-utils", first, 4)
    times("dcmrtstruct2nii", first, 10)
    times("med-imagetools", many, 20)
    lines.append(["peak memory, MB", "under 400", f"{ours.peak_mb:.0f}", "", _met(ours.peak_mb < 400)])
    faster = sorted({row.tool.name for row in rows if not row.failed and row.wall_s < ours.wall_s})
    note = f"\nFaster than ours at their part of it (CT alone or masks alone): {', '.join(faster)}.\n" if faster else ""
    return table(["ours", "wanted", "wall", "CPU", "met (wall)"], lines) + note


def _met(met: bool) -> str:
    return "yes" if met else "**no**"


def accuracy_tables(outcomes: Sequence[Outcome]) -> str:
    """One row a tool that makes masks: Dice, then error of the volume."""
    solids: dict[str, dict[str, tuple[float, float]]] = {}
    for outcome in outcomes:
        scores = {name: (score.dice, score.volume_error) for name, score in outcome.scores.items()}
        if outcome.case == "nodules" and scores:
            dice, volume = zip(*scores.values(), strict=True)
            scores = {"nodules": (statistics.mean(dice), statistics.mean(volume))}
        if outcome.masks is not None:
            solids.setdefault(outcome.tool, {}).update(scores)
    names = list(dict.fromkeys(name for scores in solids.values() for name in scores))

    def rows(show: Callable[[tuple[float, float]], str]) -> list[list[str]]:
        return [
            [tool, *(show(scores[name]) if name in scores else "none" for name in names)]
            for tool, scores in solids.items()
        ]

    dice = table(["Dice", *names], rows(lambda pair: f"{pair[0]:.4f}"))
    volume = table(["volume", *names], rows(lambda pair: f"{pair[1] + 0.0:+.1%}"))
    return SHAPES + "\n" + dice + "\n" + volume


def awkward_tables(outcomes: Sequence[Outcome], cases: Sequence[Case]) -> str:
    text = AWKWARD
    for title, of in (("Images", lambda one: one.image), ("Masks", lambda one: one.masks)):
        text += f"\n### {title}\n\n" + _grid(outcomes, cases, of) + "\n" + _behind(outcomes, cases, of)
    return text


def _grid(outcomes: Sequence[Outcome], cases: Sequence[Case], of: Callable[[Outcome], Mark | None]) -> str:
    """A row a case, a column a tool; the last rows count."""
    marks = {(one.tool, one.case): of(one) for one in outcomes}
    tools = list(dict.fromkeys(one.tool for one in outcomes if of(one) is not None))
    rows = [[case.trap, *(_cell(marks[tool, case.name]) for tool in tools)] for case in cases]
    for kinds in (("right",), ("refused",), ("lost",), ("wrong",)):
        counts = [sum(_kind(marks[tool, case.name]) in kinds for case in cases) for tool in tools]
        rows.append([f"**{kinds[0]}**", *(f"**{count}**" for count in counts)])
    return table(["case", *tools], rows)


def _behind(outcomes: Sequence[Outcome], cases: Sequence[Case], of: Callable[[Outcome], Mark | None]) -> str:
    """Where ours is not right, and who is."""
    marks = {(one.tool, one.case): of(one) for one in outcomes}
    lines = []
    for case in cases:
        better = sorted(
            {
                one.tool
                for one in outcomes
                if one.case == case.name
                and _kind(of(one)) == "right"
                and not one.tool.startswith(OURS)
                # A right mask beside a wrong image is no better than a refusal.
                and "wrong" not in (_kind(one.image), _kind(one.masks))
            }
        )
        own = _kind(marks.get((OURS, case.name)))
        if own not in ("right", "none") and better:
            lines.append(f"- {case.trap}: ours {own}; right: {', '.join(better)}")
    return "Where ours is not right by default and another is:\n\n" + "\n".join(lines) + "\n" if lines else ""


def _kind(mark: Mark | None) -> str:
    return mark.kind if mark else "none"


def _cell(mark: Mark | None) -> str:
    if mark is None:
        return ""
    if mark.kind == "wrong":
        return f"**WRONG**{', warned' if mark.said else ''}: {mark.detail}"
    return f"{mark.kind}: {mark.detail}" if mark.kind == "lost" and mark.detail else mark.kind


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
