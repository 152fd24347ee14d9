"""Measure how well lungs are found, and write the page of it: `python -m benchmarks.lungs`.

A full run takes under ten minutes on four idle cores, --quick under one. LUNGSEG_TEST_DATA names the folder of real
scans; without it their table says so.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.lungs import page, real
from benchmarks.lungs.plan import GROUPS, tasks, try_all, turns
from benchmarks.lungs.roads import CEILING, model

PAGE = Path("docs/reference/lung-accuracy.md")
WORST = 20


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m benchmarks.lungs", description=__doc__)
    top.add_argument("--quick", action="store_true", help="a few rows of each table, one sample each, nothing written")
    top.add_argument("--only", choices=[*GROUPS, "turns", "real"], action="append", help="tables; nothing is written")
    top.add_argument("--out", type=Path, help=f"where the page goes (default: {PAGE}, of a full run alone)")
    top.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    top.add_argument("--most", type=int, metavar="N", help="no more samples a row than this; nothing is written")
    top.add_argument("--draw", type=Path, metavar="DIR", help=f"draw the {WORST} worst cases there")
    top.add_argument("--case", action="append", metavar="NAME", help="draw this case (group/row/number), measure none")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    if arguments.case:
        from benchmarks.lungs.draw import draw_cases

        print(*draw_cases(arguments.case, arguments.draw or Path()), sep="\n")
        return 0
    start = time.perf_counter()
    text, worst = measured(arguments)
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    out = arguments.out or (None if arguments.quick or arguments.only or arguments.most else PAGE)
    if out is None:
        print(text)
    else:
        out.write_text(text, encoding="utf-8")
        print(f"wrote {out}")
    if arguments.draw:
        from benchmarks.lungs.draw import draw_cases

        print(*draw_cases(worst, arguments.draw), sep="\n")
    return 0


def measured(arguments: argparse.Namespace) -> tuple[str, list[str]]:
    """The page, and the names of the worst cases."""
    wanted = arguments.only or [*GROUPS, "turns", "real"]
    groups = tuple(name for name in GROUPS if name in wanted)
    found = try_all(tasks(arguments.quick, groups, arguments.most), arguments.jobs) if groups else []
    bad = page.worst_cases(found, WORST)
    for one in page.worst_cases(found, WORST, CEILING):
        said = one.verdicts[CEILING]
        print(f"ceiling {one.name}: {said.worst:.3f} {' '.join(said.failures)}", file=sys.stderr)
    data = os.environ.get(real.ENVIRONMENT)
    weights = str(model(arguments.jobs).facts["weights_sha256"])[:12]
    command = "python -m benchmarks.lungs" + " --quick" * arguments.quick
    command += f" --most {arguments.most}" if arguments.most else ""
    parts = [page.head(command, weights)]
    if "real" in wanted:
        there = list(real.measure(Path(data), arguments.jobs)) if data else []
        parts.append(page.real_table(there, real.ENVIRONMENT) + "\n")
    if found:
        parts += [page.summary(found), page.worst_table(bad)]
        parts += [page.group_table(name, found) for name in groups]
    if "turns" in wanted:
        parts.append(page.turns_table(turns(arguments.jobs, 1 if arguments.quick else 2)))
    return "".join(parts).rstrip() + "\n", [one.name for one in bad]


if __name__ == "__main__":
    sys.exit(main())
