"""Fuzz the conversion: `python tests/fuzz/run.py --seed 1 --count 2400 --jobs 4 --keep FOLDER`; exits 1 on defects."""

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from fuzz.harness import Outcome, run_all, tasks, way_of  # noqa: E402
from fuzz.oracle import DEFECTS, VERDICTS  # noqa: E402


def table(outcomes: list[Outcome]) -> str:
    """Mutators down, verdicts across."""
    kinds = [kind for kind in [*VERDICTS, *DEFECTS] if any(one.verdict.kind == kind for one in outcomes)]
    counts = Counter((one.task.mutator, one.verdict.kind) for one in outcomes)
    names = sorted({one.task.mutator for one in outcomes})
    rows = [["mutator", *kinds]]
    rows += [[name, *(str(counts[name, kind] or "") for kind in kinds)] for name in names]
    rows.append(["all", *(str(sum(counts[name, kind] for name in names)) for kind in kinds)])
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: list[str], widths: list[int]) -> str:
    first, *others = [cell.ljust(widths[0]) if not n else cell.rjust(widths[n]) for n, cell in enumerate(row)]
    return "  ".join([first, *others])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the mutations: the same seed, the same inputs")
    parser.add_argument("--count", type=int, default=2400, help="how many")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--keep", type=Path, help="where failing inputs go, with what was said about them")
    parser.add_argument("--only", nargs="*", default=[], metavar="MUTATOR", help="only these")
    parser.add_argument("--number", type=int, help="only the n-th of the run: to play one again")
    arguments = parser.parse_args()
    todo = tasks(arguments.seed, arguments.count, arguments.only)
    if arguments.number is not None:
        todo = [task for task in todo if task.number == arguments.number]
    outcomes: list[Outcome] = []
    for outcome in run_all(todo, arguments.jobs, arguments.keep):
        outcomes.append(outcome)
        if outcome.verdict.is_defect:
            where = f"{outcome.task.mutator} {outcome.base} {way_of(outcome.task)} {outcome.task.number}"
            print(f"{outcome.verdict.kind}: {where}: {outcome.verdict.detail}", flush=True)
    print(table(outcomes))
    defects = sum(one.verdict.is_defect for one in outcomes)
    print(f"{len(outcomes)} mutations, {defects} defects, the longest {max(one.seconds for one in outcomes):.1f} s")
    return 1 if defects or len(outcomes) < len(todo) else 0


if __name__ == "__main__":
    sys.exit(main())
