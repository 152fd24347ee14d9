"""Score networks on pictures whose look they never saw, beside one that did, and write the page of it.

`python -m benchmarks.radiographs.left_out PREPARED --reference RUN --left RUN [RUN ...]`: a run left out the group of
appearance.py that its test list holds.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.pool import spread
from benchmarks.radiographs.appearance import groups_of, looks_of
from benchmarks.radiographs.left_out_page import left_out_page
from benchmarks.radiographs.measure import dice
from lungseg_monai.errors import LungsegError
from lungseg_monai.io import read_json

PAGE = Path("docs/reference/xray-left-out.md")


@dataclass(frozen=True)
class Run:
    """A finished training: its folder, what run.json says of it, and the case ids of its sections."""

    folder: Path
    bundle: str
    setting: str
    numbers: Mapping[str, Any]
    cases: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Scores:
    """Dice by case of a group's pictures: by the network that never saw the group, and by the reference."""

    run: Run
    group: int
    unseen: Mapping[str, float]
    seen: Mapping[str, float]


@dataclass(frozen=True)
class Task:
    """A picture and its masks, for the best weights of a run's folder."""

    folder: Path
    image: Path
    masks: tuple[Path, ...]


def read_run(folder: Path) -> Run:
    """Raises ValueError for one that is not done, LungsegError for none."""
    record = read_json(folder / "run.json")
    if record["status"] != "done":
        raise ValueError(f"{folder} is not done: {record['epochs_done']} of {record['numbers']['epochs']} epochs")
    return Run(folder, record["bundle"], record["setting"], record["numbers"], record["cases"])


def check_alike(reference: Run, left: Iterable[Run]) -> None:
    """Raises ValueError for a run of another bundle or of other numbers than the reference."""
    for run in left:
        if (run.bundle, run.numbers) != (reference.bundle, reference.numbers):
            raise ValueError(f"{run.folder} was trained with other numbers than {reference.folder}: no comparison")


def group_of(run: Run, groups: Sequence[set[str]]) -> int:
    """The group that `run` tests and never saw. Raises ValueError where there is none."""
    used = {*run.cases["training"], *run.cases["validation"]}
    for number, ids in enumerate(groups):
        if ids <= set(run.cases["test"]) and not ids & used:
            return number
    raise ValueError(f"{run.folder} left out none of the {len(groups)} groups")


def scored(run: Run, ids: Iterable[str], entries: Mapping[str, Mapping[str, Any]], data: Path, jobs: int) -> dict:
    """Dice by case of those of `ids` that have masks."""
    masks = {
        one: tuple(data / roi["file"] for roi in entries[one]["rois"] if roi["status"] == "ok") for one in sorted(ids)
    }
    todo = {one: Task(run.folder, data / entries[one]["image"], files) for one, files in masks.items() if files}
    return dict(zip(todo, spread(score, list(todo.values()), jobs), strict=True))


def score(task: Task) -> float:
    from lungseg_monai.pictures.files import read_masks, read_picture
    from lungseg_monai.postprocessing_cxr import RULES, lung_mask_on_image

    picture = read_picture(task.image)
    shape = picture.shape[0], picture.shape[1]
    found = lung_mask_on_image(_network(task.folder)(picture), shape, RULES["recommended"]).labels
    return dice(found > 0, read_masks(task.masks, shape) > 0)


@lru_cache(maxsize=1)
def _network(folder: Path) -> Any:
    from lungseg_monai.reproduce.radiographs.predicting import make_ask

    return make_ask(folder, "cpu")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m benchmarks.radiographs.left_out", description=__doc__)
    top.add_argument("data", type=Path, help="PREPARED, of which --left were trained on copies split otherwise")
    top.add_argument("--reference", type=Path, required=True, metavar="RUN", help="of the usual split")
    top.add_argument("--left", type=Path, required=True, nargs="+", metavar="RUN", help="one a group left out")
    top.add_argument("--groups", type=int, default=4, help="as appearance.py parted them (default: %(default)s)")
    top.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    top.add_argument("--out", type=Path, default=PAGE, help="the page (default: %(default)s)")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    top = parser()
    choice = top.parse_args(argv)
    try:
        reference = read_run(choice.reference)
        left = [read_run(folder) for folder in choice.left]
        check_alike(reference, left)
        cases, features = looks_of(choice.data)
        own = groups_of(features, choice.groups)
        groups = [{case["id"] for case, at in zip(cases, own, strict=True) if at == g} for g in range(choice.groups)]
        by_group = {group_of(run, groups): run for run in left}
    except (ValueError, LungsegError) as error:
        top.error(str(error))
    entries = {case["id"]: case for case in cases}
    found = []
    for number, run in sorted(by_group.items()):
        unseen = scored(run, groups[number], entries, choice.data, choice.jobs)
        fresh = groups[number] - set(reference.cases["training"])
        found.append(Scores(run, number, unseen, scored(reference, fresh, entries, choice.data, choice.jobs)))
    choice.out.write_text(left_out_page(reference, found, features, own), encoding="utf-8")
    print(f"wrote {choice.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
