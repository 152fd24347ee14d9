"""Train, predict and score all systems for CT on the same patients, and write the page of it.

`python -m benchmarks.systems --data PREPARED --out OUT` trains what plan.yaml says into OUT/<system> (a finished run
there is taken as it is, one that was stopped goes on), predicts the test patients of PREPARED and writes
OUT/systems.json and the page. Called again it renews what it is asked for and keeps the rest.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.systems.plan import PLAN, chosen, read_plan
from lungseg_monai.errors import LungsegError

PAGE = Path("docs/reference/systems.md")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m benchmarks.systems", description=__doc__)
    top.add_argument("--data", type=Path, required=True, metavar="PREPARED", help="with datalist.json; its test list")
    top.add_argument(
        "--nodule-data",
        type=Path,
        metavar="PREPARED",
        help="what systems for nodules train on (default: --data); none of --data's test patients may train there",
    )
    top.add_argument("--out", type=Path, required=True, metavar="OUT", help="where runs, masks and systems.json go")
    top.add_argument("--system", action="append", default=[], metavar="NAME", help="of the plan (default: all)")
    top.add_argument("--real", type=Path, metavar="TEST_DATA", help="LUNG1-001 and the CIP chest, for lungs")
    top.add_argument("--threads", type=int, default=1, metavar="N", help="of each training (default: %(default)s)")
    top.add_argument("--jobs", type=int, default=1, metavar="N", help="systems side by side (default: %(default)s)")
    top.add_argument("--plan", type=Path, default=PLAN, metavar="FILE", help="(default: plan.yaml beside this command)")
    top.add_argument("--page", type=Path, default=PAGE, metavar="FILE", help="(default: %(default)s)")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    choice = parser().parse_args(argv)
    from benchmarks.systems import page
    from benchmarks.systems.compare import compare
    from benchmarks.systems.work import Place

    data, out = choice.data.resolve(), choice.out.resolve()
    place = Place(data, (choice.nodule_data or data).resolve(), out, choice.threads)
    out.mkdir(parents=True, exist_ok=True)
    try:
        systems = read_plan(choice.plan)
        wanted = chosen(systems, choice.system)
        found = compare(wanted, place, choice.real, choice.jobs, lambda text: print(text, file=sys.stderr, flush=True))
        choice.page.write_text(page.page(found, systems, command(choice)), encoding="utf-8")
    except LungsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr, flush=True)
        os._exit(130)  # trainings end, resumable, once this process is gone; threads that wait for them would stay
    print(choice.page)
    return 1 if any("failed" in found["systems"][one.name] for one in wanted) else 0


def command(choice: argparse.Namespace) -> str:
    """As a person would type it, without the folders of this machine. All systems: the page is of all."""
    words = ["python", "-m", "benchmarks.systems", "--data", "PREPARED", "--out", "OUT"]
    words += ["--nodule-data", "NODULES"] if choice.nodule_data else []
    words += ["--real", "TEST_DATA"] if choice.real else []
    words += ["--threads", str(choice.threads)] if choice.threads != 1 else []
    words += ["--jobs", str(choice.jobs)] if choice.jobs != 1 else []
    return shlex.join(words)


if __name__ == "__main__":
    raise SystemExit(main())
