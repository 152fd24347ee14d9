"""Measure whether inverted pictures are recognised, and how many are called unsure; write the page of it.

`python -m benchmarks.radiographs.polarity PREPARED [--model BUNDLE]`: on its validation list and on made films.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pool import spread
from benchmarks.radiographs.finders import Bundle
from benchmarks.radiographs.measure import FILM, SEED, dice
from benchmarks.radiographs.page import filled, table
from benchmarks.radiographs.prepared import Case, cases_of
from lungseg_monai.pictures.grey import Picture
from lungseg_monai.pictures.resize import resize
from lungseg_monai.segment.radiographs.doubts import UNSURE

PAGE = Path("docs/reference/xray-polarity.md")
TEXT = Path(__file__).with_name("polarity.md")
READ, MADE = "validation list", "made films"


@dataclass(frozen=True)
class Task:
    """A picture of a case, or made film `number` where there is none."""

    model: str
    case: Case | None
    number: int = 0


@dataclass(frozen=True)
class Told:
    """Of one picture: whether it, and its negative, were taken for inverted; the Dice of both masks; the lowest
    confidence of a lung as it is; how bright its lungs are."""

    name: str
    group: str
    picture: bool
    negative: bool
    same: float
    sure: float
    lift: float | None


def told(task: Task) -> Told:
    from lungseg_monai.segment.radiographs.polarity import inverted, lift_of

    model = _model(task.model)
    name, group, picture = _picture(task)
    first, second = (model.segment(one, flipped=False) for one in (picture, inverted(picture)))
    masks = [one.labels_ijk > 0 for one in (first, second)]
    lift = lift_of(picture, resize(masks[0], model.spatial_size), model.spatial_size)
    sure = min(first.confidence.values())
    return Told(name, group, first.facts["inverted"], second.facts["inverted"], dice(*masks), sure, lift)


def _picture(task: Task) -> tuple[str, str, Picture]:
    from lungseg_monai.synthesis.radiograph import make_radiograph

    if task.case:
        return task.case.case_id, READ, task.case.read()[0]
    film = make_radiograph(SEED, task.number, FILM)
    return f"made-{task.number}", MADE, 1 - film.image if film.facts["inverted"] else film.image


@lru_cache(maxsize=1)
def _model(name: str) -> Any:
    return Bundle(name).model


def page(command: str, model: str, found: Sequence[Told]) -> str:
    groups = {name: [one for one in found if one.group == name] for name in (READ, MADE)}
    groups = {name: ones for name, ones in groups.items() if ones}
    mistaken = [f"{one.name} ({'as it is' if one.picture else 'its negative'})" for one in found if wrong(one)]
    head = ["pictures", "n", "taken for inverted", "negatives taken for inverted", "Dice of both masks: mean", "lowest"]
    head += ["confidence: median", "lowest 5 % below", "lowest", f"under {UNSURE}"]
    parts = {
        "COMMAND": command,
        "MODEL": model,
        "WEIGHTS": Bundle(model).weights,
        "UNSURE": f"{UNSURE:g}",
        "SEED": str(SEED),
        "TABLE": table(head, [_row(name, ones) for name, ones in groups.items()]),
        "LIFTS": "; ".join(f"{name} {_range(ones)}" for name, ones in groups.items()),
        "MISTAKEN": f"Mistaken: {', '.join(mistaken)}.\n\n" if mistaken else "",
    }
    return filled(TEXT.read_text(encoding="utf-8"), parts)


def wrong(one: Told) -> bool:
    return one.picture or not one.negative


def _row(name: str, ones: Sequence[Told]) -> list[str]:
    same, sure = ([getattr(one, kind) for one in ones] for kind in ("same", "sure"))
    counts = [sum(one.picture for one in ones), sum(one.negative for one in ones)]
    cells = [np.mean(same), min(same), np.median(sure), np.percentile(sure, 5), min(sure)]
    low = sum(one < UNSURE for one in sure)
    return [name, str(len(ones)), *map(str, counts), *(f"{one:.3f}" for one in cells), str(low)]


def _range(ones: Sequence[Told]) -> str:
    lifts = [one.lift for one in ones if one.lift is not None]
    return f"{min(lifts):.2f} to {max(lifts):.2f}" if lifts else "none"


def main(argv: Sequence[str] | None = None) -> int:
    top = argparse.ArgumentParser(prog="python -m benchmarks.radiographs.polarity", description=__doc__)
    top.add_argument("data", type=Path, help="PREPARED, with a validation list")
    top.add_argument("--model", default="cxr_lung_unet", metavar="BUNDLE", help="default: %(default)s")
    top.add_argument("--films", type=int, default=40, help="made films (default: %(default)s)")
    top.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    top.add_argument("--out", type=Path, default=PAGE, help="the page (default: %(default)s)")
    choice = top.parse_args(argv)
    todo = [Task(choice.model, case) for case in cases_of(choice.data, "validation")]
    todo += [Task(choice.model, None, number) for number in range(choice.films)]
    found = list(spread(told, todo, choice.jobs))
    command = f"python -m benchmarks.radiographs.polarity PREPARED --model {choice.model} --films {choice.films}"
    choice.out.write_text(page(command, choice.model, found), encoding="utf-8")
    print(f"wrote {choice.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
