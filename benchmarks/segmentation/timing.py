"""Run each command as a process of its own, in turn, so that a drift hits all."""

import re
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.measure import Taken, run

LIMIT_S = 900.0
STAGE = re.compile(r"^(?P<name>[a-z][a-z :]*?)\s+(?P<seconds>\d+\.\d+) s$", re.MULTILINE)


@dataclass
class Row:
    """Runs of one command; the first one warms up, and its memory is sampled."""

    name: str
    command: Sequence[str]
    runs: list[Taken] = field(default_factory=list)

    @property
    def timed(self) -> list[Taken]:
        """All but the first, where there are others."""
        return self.runs[1:] or self.runs

    @property
    def failed(self) -> str | None:
        bad = next((run for run in self.runs if run.code), None)
        return None if bad is None else bad.said.strip().rpartition("\n")[2] or f"exit code {bad.code}"

    @property
    def wall_s(self) -> float:
        return statistics.median(run.wall_s for run in self.timed)

    @property
    def cpu_s(self) -> float:
        return statistics.median(run.cpu_s for run in self.timed)

    @property
    def peak_mb(self) -> float:
        return max(run.peak_mb or 0.0 for run in self.runs)

    @property
    def stages(self) -> dict[str, float]:
        """Medians of what --timings said, by stage."""
        said = [{one["name"]: float(one["seconds"]) for one in STAGE.finditer(run.said)} for run in self.timed]
        return {name: statistics.median(one.get(name, 0.0) for one in said) for name in said[0]} if said else {}

    def told(self, pattern: str) -> float | None:
        """The median of a number that the command said."""
        found = [float(one[1]) for run in self.timed if (one := re.search(pattern, run.said))]
        return statistics.median(found) if found else None


def ours(given: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "lungseg_monai.cli", "segment", str(given), "--out", str(out), "--timings", *options]


def in_turn(rows: Sequence[Row], work: Path, rounds: int) -> None:
    """A first run of each, whose memory is sampled, then `rounds` timed ones. What fails is not run again."""
    for turn in range(rounds + 1):
        for row in rows:
            if row.failed:
                continue
            shutil.rmtree(work / "out", ignore_errors=True)
            row.runs.append(run(row.command, work / "log.txt", LIMIT_S, sampled=turn == 0))
            last = row.runs[-1]
            print(f"{row.name}: {last.wall_s:.2f} s, CPU {last.cpu_s:.2f} s {row.failed or ''}", file=sys.stderr)
