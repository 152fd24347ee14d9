"""Compare the converter with other tools and write the page of it: `python -m benchmarks.peers`."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers import accuracy, awkward, behaviour, page, speed, speed_case
from benchmarks.peers.registry import Tool, default_venvs, find_all

SECTIONS = ("speed", "accuracy", "awkward")
JOBS = 4
COPIES = "four"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    top.add_argument(
        "--only", choices=SECTIONS, action="append", help="renew a part of the page alone; may be repeated"
    )
    top.add_argument("--out", type=Path, default=Path("docs/reference/comparison.md"), help="default: %(default)s")
    top.add_argument("--venvs", type=Path, default=default_venvs(), help="what benchmarks.peers.install filled")
    top.add_argument(
        "--work", type=Path, help="keeps the big case for the next run (default: a folder that is removed)"
    )
    top.add_argument("--rounds", type=int, default=3, help="timed runs of a tool (default: %(default)s)")
    top.add_argument("--tool", action="append", help="by name; ours is always among them (default: all)")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    tools = find_all(arguments.venvs)
    if arguments.tool:
        tools = [tool for tool in tools if tool.name == page.OURS or tool.name in arguments.tool]
    for tool in tools:
        print(f"{tool.name}: {tool.absent or tool.version}", flush=True)
    there = [tool for tool in tools if not tool.absent]
    sections = arguments.only or SECTIONS
    with tempfile.TemporaryDirectory(prefix="peers-") as temporary:
        work = (arguments.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        parts = _speed(there, work, arguments.rounds) if "speed" in sections else []
        parts += _behaviour(there, Path(temporary), sections)
    page.write(arguments.out, tools, parts)
    print(f"wrote {arguments.out}")
    return 0


def _speed(tools: Sequence[Tool], work: Path, rounds: int) -> list[str]:
    plan = speed.Plan(work / "run", rounds, tell=lambda line: print(line, flush=True))
    case = speed_case.make(work / "speed")
    one = speed.one_patient(tools, case, plan)
    speed_case.copies(case, work / COPIES, speed.PATIENTS)
    four = speed.four_patients(tools, work / COPIES, plan)
    return [page.speed_tables(one, four)]


def _behaviour(tools: Sequence[Tool], work: Path, sections: Sequence[str]) -> list[str]:
    """Judged, not timed: several at a time."""
    exact = accuracy.make(work / "cases") if "accuracy" in sections else []
    odd = awkward.make(work / "cases") if "awkward" in sections else []
    if not exact and not odd:
        return []
    outcomes = behaviour.run_all(tools, [*odd, *exact], work / "cases", work / "judged", JOBS)
    names = {case.name for case in exact}
    parts = [page.accuracy_tables([one for one in outcomes if one.case in names])] if exact else []
    if odd:
        parts.append(page.awkward_tables([one for one in outcomes if one.case not in names], odd))
    return parts


if __name__ == "__main__":
    sys.exit(main())
