"""Time every tool on one patient, and on four patients on four processes; all in turn, so that a drift hits all."""

import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.measure import Taken, run_all
from benchmarks.peers.registry import Tool

LIMIT_S = 600.0
PATIENTS = 4
PARALLEL = ("lungseg-prep", "dcm2niix", "plastimatch", "med-imagetools")  # timed on four patients


@dataclass
class Row:
    """Runs of one command. failed: what it said last, where it did not end well or wrote nothing."""

    tool: Tool
    what: str
    runs: list[Taken] = field(default_factory=list)
    failed: str | None = None

    @property
    def wall_s(self) -> float:
        return statistics.median(run.wall_s for run in self.runs)

    @property
    def cpu_s(self) -> float:
        return statistics.median(run.cpu_s for run in self.runs)

    @property
    def peak_mb(self) -> float:
        return max(run.peak_mb or 0.0 for run in self.runs)


@dataclass(frozen=True)
class Plan:
    """rounds: timed runs of a command; one is enough for those that take longer than slow_s."""

    work: Path
    rounds: int = 3
    slow_s: float = 8.0
    tell: Callable[[str], None] = print


def one_patient(tools: Sequence[Tool], case: Path, plan: Plan) -> list[Row]:
    out = plan.work / "out"
    rows = {}
    for tool in tools:
        for what in tool.commands(case, out):
            rows[tool.name, what] = Row(tool, what)

    def start(row: Row) -> Sequence[Sequence[str]]:
        return [row.tool.commands(case, out)[row.what]]

    return _in_turn(list(rows.values()), start, case, plan)


def four_patients(tools: Sequence[Tool], folder: Path, plan: Plan) -> list[Row]:
    """Each tool's own way to work in parallel, or as many processes at once, one a patient."""
    cases = sorted(path for path in folder.iterdir() if path.is_dir())[:PATIENTS]
    out = plan.work / "out"
    rows = [Row(tool, next(iter(tool.commands(cases[0], out)))) for tool in tools if tool.name in PARALLEL]

    def start(row: Row) -> Sequence[Sequence[str]]:
        own = row.tool.many(folder, out, PATIENTS)
        if own is not None:
            return [own]
        for case in cases:
            (out / case.name).mkdir()
        return [row.tool.commands(case, out / case.name)[row.what] for case in cases]

    return _in_turn(rows, start, folder, plan)


def _in_turn(rows: list[Row], start: Callable[[Row], Sequence[Sequence[str]]], source: Path, plan: Plan) -> list[Row]:
    """A first round that warms up and samples memory; then the timed ones. Slow tools: the first round is the one."""
    for path in source.rglob("*.dcm"):
        path.read_bytes()
    for turn in range(plan.rounds + 1):
        for row in rows:
            if row.failed or (turn and len(row.runs) == 1 and row.runs[0].wall_s > plan.slow_s):
                continue
            out = plan.work / "out"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            taken = run_all(start(row), plan.work / "log.txt", LIMIT_S, sampled=turn == 0)
            if turn == 1:
                row.runs[0] = Taken(taken.wall_s, taken.cpu_s, row.runs[0].peak_mb, taken.code, "")
            else:
                row.runs.append(taken)
            if taken.code:
                row.failed = taken.said.strip().rpartition("\n")[2] or f"exit code {taken.code}"
            plan.tell(f"{row.tool.name}, {row.what}: {taken.wall_s:.2f} s, CPU {taken.cpu_s:.2f} s {row.failed or ''}")
    shutil.rmtree(plan.work / "out", ignore_errors=True)
    return rows
