"""Measure how well lungs are found in radiographs unlike those of training, and write the pages of it.

`python -m benchmarks.radiographs --data PREPARED --model cxr_lung_unet [--model ...]` damages the test pictures of
PREPARED (`lungseg-prep cxr`, `lungseg-prep split`) and makes radiographs of its own; `--only conventions` needs neither
weights nor data. The model "threshold" stands in for one without weights.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.pool import spread
from benchmarks.radiographs import page
from benchmarks.radiographs.measure import QUICK, ROWS, Score, Task, damaged_scores, made_scores
from benchmarks.radiographs.prepared import cases_of
from benchmarks.radiographs.readers import read_drawn, read_film

DOCS = Path("docs/reference")
PARTS = ("accuracy", "conventions")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m benchmarks.radiographs", description=__doc__)
    top.add_argument("--data", type=Path, help="PREPARED; without it made radiographs alone")
    top.add_argument("--model", action="append", metavar="BUNDLE", help="a bundle, or threshold (the default)")
    top.add_argument("--only", choices=PARTS, help="one of the two pages")
    top.add_argument("--out", type=Path, default=DOCS, help="folder of the pages (default: %(default)s)")
    top.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    top.add_argument("--most", type=int, metavar="N", help="no more test pictures than this")
    top.add_argument("--films", type=int, default=60, help="made radiographs of either page (default: %(default)s)")
    top.add_argument("--longest", type=int, default=512, metavar="PIXELS", help="test pictures are no larger")
    top.add_argument("--quick", action="store_true", help="a few corruptions, three pictures, four films")
    top.add_argument("--print", action="store_true", help="print the pages, write nothing")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    choice = parser().parse_args(argv)
    if choice.quick:
        choice.most, choice.films = choice.most or 3, min(choice.films, 4)
    choice.model = list(dict.fromkeys(choice.model or ["threshold"]))
    pages = {}
    if choice.only != "conventions":
        pages["xray-accuracy.md"] = accuracy(choice)
    if choice.only != "accuracy":
        pages["xray-conventions.md"] = conventions(choice)
    for name, text in pages.items():
        if choice.print:
            print(text)
        else:
            (choice.out / name).write_text(text, encoding="utf-8")
            print(f"wrote {choice.out / name}", file=sys.stderr)
    return 0


def accuracy(choice: argparse.Namespace) -> str:
    models = tuple(choice.model)
    damaged: list[Score] = []
    if choice.data:
        rows = tuple(QUICK if choice.quick else ROWS)
        cases = cases_of(choice.data, most=choice.most)
        todo = [Task(case, 0, models, rows, choice.longest) for case in cases]
        damaged = [one for scores in spread(damaged_scores, todo, choice.jobs) for one in scores]
    films = [Task(None, number, models) for number in range(choice.films)]
    made = [one for scores in spread(made_scores, films, choice.jobs) for one in scores]
    return page.accuracy_page(command(choice), damaged, made, models)


def conventions(choice: argparse.Namespace) -> str:
    read = [one for one in spread(read_film, range(choice.films), choice.jobs) if one]
    drawn = []
    if choice.data:
        cases = [
            case for group in ("training", "validation", "test") for case in cases_of(choice.data, group, choice.most)
        ]
        drawn = [one for one in spread(read_drawn, cases, choice.jobs) if one]
    return page.conventions_page(command(choice), read, drawn)


def command(choice: argparse.Namespace) -> str:
    words = ["python -m benchmarks.radiographs"]
    words += ["--data PREPARED"] if choice.data else []
    words += [f"--model {name}" for name in choice.model] if choice.only != "conventions" else []
    words += [f"--only {choice.only}"] if choice.only else []
    words += [f"--most {choice.most}"] if choice.most else []
    words += [f"--films {choice.films}"] if choice.films != 60 else []
    words += [f"--longest {choice.longest}"] if choice.longest != 512 else []
    return " ".join(words)


if __name__ == "__main__":
    raise SystemExit(main())
