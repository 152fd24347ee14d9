"""Pictures of cases: what is true in green, what the network says in red, the thresholds in blue."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.lungs.phantoms import Turn
from benchmarks.lungs.plan import GROUPS
from benchmarks.lungs.roads import NETWORK, THRESHOLD, segmented
from benchmarks.lungs.sample import Sample

WINDOW_HU = (-1100.0, 300.0)
LINES = {"truth": "lime", NETWORK: "red", THRESHOLD: "deepskyblue"}


def draw_cases(names: Sequence[str], folder: Path) -> list[Path]:
    """One PNG a case, `group/row/number`. Raises KeyError for a name that no group has."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in names:
        group, row, number = name.split("/")
        sample = GROUPS[group].make(row, int(number))
        masks = {"truth": sample.truth} | {road: segmented(sample, road)[0] for road in (NETWORK, THRESHOLD)}
        paths.append(folder / f"{name.replace('/', '-')}.png")
        _picture(name, sample, masks, paths[-1])
    return paths


def _picture(name: str, sample: Sample, masks: dict[str, NDArray[np.uint8]], path: Path) -> None:
    """Three coronal and three axial planes through what is true or found."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    turn = to_lps(sample.affine_ras)
    steps = np.linalg.norm(sample.affine_ras[:3, :3], axis=0)[list(turn.axes)]
    hu, turned = turn.array(sample.hu), {what: turn.array(mask) for what, mask in masks.items()}
    figure = Figure(figsize=(15, 9), layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(2, 3)
    for line, axis in enumerate((1, 2)):
        for column, at in enumerate(_planes(turned, axis)):
            aspect = steps[2 if axis == 1 else 1] / steps[0]
            place = places[line, column]
            place.imshow(hu.take(at, axis).T, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], aspect=aspect)
            for what, mask in turned.items():
                _outline(place, mask.take(at, axis).T, LINES[what])
            if axis == 1:
                place.invert_yaxis()
            place.set_axis_off()
    figure.suptitle(f"{name}: " + ", ".join(f"{what} {colour}" for what, colour in LINES.items()))
    figure.savefig(path, dpi=70)


def _outline(place: object, mask: NDArray[np.uint8], colour: str) -> None:
    for side, style in ((1, "solid"), (2, "dashed")):
        if (mask == side).any():
            place.contour(mask == side, [0.5], colors=colour, linewidths=0.8, linestyles=style)  # type: ignore[attr-defined]


def _planes(masks: dict[str, NDArray[np.uint8]], axis: int) -> list[int]:
    others = tuple(a for a in range(3) if a != axis)
    there = np.zeros(next(iter(masks.values())).shape[axis], bool)
    for mask in masks.values():
        there |= mask.any(axis=others)
    held = np.flatnonzero(there) if there.any() else np.arange(there.size)
    return [int(held[int(share * (held.size - 1))]) for share in (0.25, 0.5, 0.75)]


def to_lps(affine_ras: NDArray[np.float64]) -> Turn:
    """What brings an array's axes nearest to left, back and up."""
    edges = np.diag([-1.0, -1.0, 1.0]) @ affine_ras[:3, :3] / np.linalg.norm(affine_ras[:3, :3], axis=0)
    left = int(np.abs(edges[0]).argmax())
    back = max((axis for axis in range(3) if axis != left), key=lambda axis: abs(edges[1, axis]))
    axes = (left, back, 3 - left - back)
    return Turn(axes, tuple(row for row, axis in enumerate(axes) if edges[row, axis] < 0))
