"""How far a network's answers lie apart when it is asked several times, each with a small change of the image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.changes import Change, changes
from lungseg_monai.segment.ragged import FINEST, raggedness
from lungseg_monai.segment.result import Flag, Segmentation
from lungseg_monai.segment.spread import Labels, grow, shrink

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Limits:
    """Where flags begin: above this spread at the border, in percent, below this Dice between answers, above this
    raggedness. Those of lungs were found by `python -m benchmarks.flags`.
    """

    border: float
    dice: float
    ragged: float


@dataclass(frozen=True, eq=False)
class Answers:
    """On the network's grid. spread: (...) float32, the standard deviation of the probability over the answers, 0 to
    0.5, of the label that varies most. votes: (C, ...) uint8, how many answers gave a voxel to each label.
    names: what was changed, the image itself apart.
    """

    spread: Floats
    votes: NDArray[np.uint8]
    names: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.names) + 1


def ask(
    network: Callable[[Floats], Floats],
    shown: Floats,
    first: Floats,
    grey: float,
    across: int = 0,
    exchanged: Sequence[int] | None = None,
    threshold: float = 0.5,
) -> Answers:
    """Ask again with each of `changes(grey)`.

    network: what is shown -> probabilities (C, ...) of the labels, as `first`, which it gave for `shown` itself.
    exchanged: which label each one becomes in a mirror. threshold: above it a voxel is given to a label.
    """
    sums, squares = np.zeros_like(first), np.zeros_like(first)
    votes = (first > threshold).astype(np.uint8)
    asked = changes(grey)
    for change in asked:
        found = _answer(network, shown, change, across, exchanged)
        votes += found > threshold
        found = found - first  # small numbers, whose squares lose nothing
        sums += found
        squares += found * found
    count = len(asked) + 1
    variance = squares / count - (sums / count) ** 2
    spread = np.sqrt(np.maximum(variance, 0, out=variance)).max(axis=0)
    return Answers(spread, votes, tuple(one.name for one in asked))


def _answer(
    network: Callable[[Floats], Floats], shown: Floats, change: Change, across: int, exchanged: Sequence[int] | None
) -> Floats:
    found = change.back(network(change.forth(shown, across)), across)
    return found[list(exchanged)] if change.mirrored and exchanged is not None else found


def numbers(
    answers: Answers, masks: Mapping[str, NDArray[np.bool_]], spacing: tuple[float, ...], border: float, least: int
) -> dict[str, dict[str, float | None]]:
    """By ROI name, in the order of the votes' labels, of `masks` on the network's grid.

    border_percent: the mean spread within `border` of the mask's border, in the unit of `spacing`. flip_percent: of
    the voxels that any answer gave to the ROI, those that not all did. dice: between two of the answers, voxels of all
    pairs taken together: sum of v (v - 1) over (n - 1) times the sum of v, v of n answers for a voxel. None where
    there is nothing to measure, the last two where the answers together gave fewer than `least` voxels to the ROI.
    """
    told = {}
    for (name, mask), votes in zip(masks.items(), answers.votes, strict=True):
        given, sure = np.count_nonzero(votes), np.count_nonzero(votes == answers.count)
        enough = given >= max(least, 1)
        band = _band(mask, border, spacing)
        told[name] = {
            "border_percent": round(100 * float(answers.spread[band].mean()), 2) if band.any() else None,
            "flip_percent": round(100 * (1 - sure / given), 2) if enough else None,
            "dice": round(_dice(votes, answers.count), 4) if enough else None,
        }
    return told


def _dice(votes: NDArray[np.uint8], count: int) -> float:
    voxels = np.bincount(votes.ravel(), minlength=count + 1).astype(float)
    by = np.arange(len(voxels))
    return float((voxels * by * (by - 1)).sum() / ((count - 1) * (voxels * by).sum()))


def _band(mask: NDArray[np.bool_], border: float, spacing: tuple[float, ...]) -> NDArray[np.bool_]:
    """What lies within `border` of the border of a mask of 2 or 3 axes."""
    flat = mask.ndim == 2
    whole: Labels = (mask[..., None] if flat else mask).astype(np.uint8)
    i, j, *rest = spacing
    steps = (i, j, rest[0] if rest else 1e9)  # along an axis of one voxel nothing grows
    band = grow(whole, border, steps) > shrink(whole, border, steps)
    return band[..., 0] if flat else band


def doubted(
    found: Segmentation,
    answers: Answers,
    told: dict[str, dict[str, Any]],
    held: NDArray[np.uint8],
    spacing: tuple[float, ...],
    limits: Limits,
    finest: float = FINEST,
) -> Segmentation:
    """`found` with flags, numbers and map. told: of `numbers`. held: the map. spacing, finest: as `raggedness` has it,
    of the labels themselves.
    """
    for label, name in found.names.items():
        value = raggedness(found.labels_ijk == label, spacing, finest)
        told[name]["ragged"] = None if value is None else round(value, 3)
    return replace(
        found,
        flags=(*found.flags, *flags_of(told, answers.count, limits)),
        uncertainty_percent=held,
        uncertainty={"answers": answers.count, "changes": list(answers.names), "rois": told},
    )


def flags_of(told: Mapping[str, Mapping[str, Any]], asked: int, limits: Limits) -> tuple[Flag, ...]:
    """Flags "uncertain": the answers lie far apart about a label, "ragged_border": by what `told` has as "ragged"."""
    doubts, ragged = [], []
    for name, one in told.items():
        if _below(limits.border, one["border_percent"]):
            doubts.append(f"{name} by {one['border_percent']:.1f} % at its border")
        elif _below(one["dice"], limits.dice):
            doubts.append(f"{name}, Dice {one['dice']:.2f} between two")
        if _below(limits.ragged, one.get("ragged")):
            ragged.append(f"{name} {one['ragged']:.2f}")
    flags = []
    if doubts:
        what = f"asked {asked} times with small changes, the network's answers differ: {'; '.join(doubts)}"
        flags.append(Flag("uncertain", what))
    if ragged:
        what = f"the border is ragged, its surface so many times that of the mask smoothed: {', '.join(ragged)}"
        flags.append(Flag("ragged_border", what))
    return tuple(flags)


def _below(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and one < other


def percent(spread: NDArray[np.floating]) -> NDArray[np.uint8]:
    """0 to 0.5 as whole percent."""
    return np.rint(np.clip(spread, 0, 1) * 100).astype(np.uint8)
