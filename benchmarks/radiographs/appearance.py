"""Leave out by how pictures look: groups by grey values, sharpness and borders, one of them for the test alone.

`python -m benchmarks.radiographs.appearance PREPARED --leave-out 0 --out lists.json`, then
`lungseg-prep split PREPARED --lists lists.json` and training as always; left_out.py makes the table of it.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.pictures.files import read_picture
from lungseg_monai.pictures.grey import Picture, grey
from lungseg_monai.pictures.resize import resize

SMALL = 64  # pixels a side: what is compared
FLAT = 0.04  # a row or column that changes by less is border
ROUNDS = 100
ODD = 2.5  # standard deviations: what is further from the mean counts as that far
Numbers = NDArray[np.float64]


def appearance_groups(pictures: Iterable[Picture], count: int = 4) -> NDArray[np.intp]:
    """(N,) the group of each picture (H, W) in 0 ... 1: 0 the largest, by k-means of `features`, standardised.

    It starts with equal parts along the first principal component: nothing is drawn, the same pictures have the same
    groups, and few odd ones make no group of their own. Raises ValueError for fewer pictures than groups.
    """
    return groups_of(np.array([features(picture) for picture in pictures]), count)


def groups_of(table: Numbers, count: int = 4) -> NDArray[np.intp]:
    """`appearance_groups` of the pictures whose features these rows are."""
    if count < 1 or len(table) < count:
        raise ValueError(f"{len(table)} pictures for {count} groups: give at least one picture a group")
    spread = table.std(axis=0)
    table = (table - table.mean(axis=0)) / np.where(spread > 1e-9, spread, 1)
    group = _k_means(np.clip(table, -ODD, ODD), count)
    order = np.argsort(-np.bincount(group, minlength=count), kind="stable")
    return np.argsort(order)[group]


def features(picture: Picture) -> Numbers:
    """(18,): ratio of the sides, eight shares of grey, mean, deviation, sharpness, border at each edge, both slopes."""
    small = resize(picture, (SMALL, SMALL)).astype(float)
    shares = np.histogram(small, bins=8, range=(0, 1))[0] / small.size
    sharp = np.log(1e-4 + float(np.abs(np.diff(picture, axis=0)).mean()) * picture.shape[0] / 512)
    down, across = (small.mean(axis=axis) for axis in (1, 0))
    half = SMALL // 2
    slopes = [down[half:].mean() - down[:half].mean(), across[half:].mean() - across[:half].mean()]
    ratio = np.log(picture.shape[0] / picture.shape[1])
    return np.array([ratio, *shares, small.mean(), small.std(), sharp, *_borders(small), *slopes])


def looks_of(data: Path) -> tuple[list[dict[str, Any]], Numbers]:
    """The usable cases of data/dataset.json, and the features of each, a row a case."""
    content = json.loads((data / "dataset.json").read_text(encoding="utf-8"))
    cases = [case for case in content["cases"] if case["status"] == "ok"]
    table = [features(np.clip(grey(read_picture(data / case["image"])), 0, 1)) for case in cases]
    return cases, np.array(table)


def left_out(cases: Sequence[Mapping[str, Any]], test: set[str], share: float = 0.2, seed: int = 0) -> dict[str, list]:
    """{training, validation, test} of case ids, as `lungseg-prep split --lists` reads them.

    cases: of dataset.json. A patient or a set of same pixels ("group") with one case in `test` is tested with all its
    cases. `share` of the other groups validates.
    """
    groups: dict[str, list[str]] = {}
    for case in cases:
        groups.setdefault(str(case.get("group") or case["id"]), []).append(case["id"])
    tested = {name for name, ids in groups.items() if test & set(ids)}
    others = sorted(set(groups) - tested)
    random = np.random.default_rng(seed)
    validates = {others[at] for at in random.permutation(len(others))[: round(share * len(others))].tolist()}
    lists: dict[str, list] = {"training": [], "validation": [], "test": []}
    for name, ids in groups.items():
        lists["test" if name in tested else "validation" if name in validates else "training"] += ids
    return lists


def _borders(small: Numbers) -> list[float]:
    """Share of the sides that is flat border: top, bottom, left, right."""
    found = []
    for lines in (small, small[::-1], small.T, small.T[::-1]):
        low, high = np.percentile(lines, (10, 90), axis=1)
        alive = np.flatnonzero(high - low > FLAT)
        found.append(float(alive[0]) / SMALL if len(alive) else 1.0)
    return found


def _k_means(table: Numbers, count: int) -> NDArray[np.intp]:
    """From equal parts along the line of most spread to the groups of least distance."""
    direction = np.linalg.svd(table - table.mean(axis=0), full_matrices=False)[2][0]
    along = table @ (direction * np.sign(direction[np.abs(direction).argmax()]))
    rank = np.argsort(np.argsort(along, kind="stable"), kind="stable")
    centres = np.array([table[rank * count // len(table) == part].mean(axis=0) for part in range(count)])
    group = np.zeros(len(table), int)
    for _ in range(ROUNDS):
        group = ((table[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        moved = np.array(
            [table[group == at].mean(axis=0) if (group == at).any() else centres[at] for at in range(count)]
        )
        if np.allclose(moved, centres):
            break
        centres = moved
    return group


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.radiographs.appearance", description=__doc__)
    parser.add_argument("data", type=Path, help="PREPARED")
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument(
        "--leave-out", type=int, metavar="G", help="the group for the test; without it they are counted"
    )
    parser.add_argument("--out", type=Path, help="where the lists go (JSON)")
    choice = parser.parse_args(argv)
    cases, table = looks_of(choice.data)
    group = groups_of(table, choice.groups)
    for number in range(choice.groups):
        ids = [case["id"] for case, own in zip(cases, group, strict=True) if own == number]
        print(f"group {number}: {len(ids)} pictures, such as {', '.join(ids[:3])}")
    if choice.leave_out is not None:
        if not 0 <= choice.leave_out < choice.groups or choice.out is None:
            parser.error(f"--leave-out takes a group from 0 to {choice.groups - 1}, and --out a file")
        test = {case["id"] for case, own in zip(cases, group, strict=True) if own == choice.leave_out}
        lists = left_out(cases, test)
        choice.out.write_text(json.dumps(lists, indent=1), encoding="utf-8")
        print(f"wrote {choice.out}: " + ", ".join(f"{name} {len(ids)}" for name, ids in lists.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
