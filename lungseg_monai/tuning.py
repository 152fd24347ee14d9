"""Threshold, kernel and smallest piece chosen on validation cases, as Kamal et al. chose theirs (section 3.4)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.progress import Progress, silent
from lungseg_monai.data import Case, CaseLists, select_cases
from lungseg_monai.errors import LungsegError, NothingToDoError, UsageError
from lungseg_monai.postprocessing import TumorRules, mask_on_image
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.tumor_grid import Upright
from lungseg_monai.segment.tumors import TumorModel

Mask = NDArray[np.bool_]
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RADII = (0, 1, 2, 3)  # 0: no dilation
LEAST_MM3 = (0.0, 30.0, 100.0, 300.0)
SECTIONS = ("validation", "training")
LABELS = {"tumor": ["gtv"]}


@dataclass(frozen=True)
class Tuned:
    """rules[n] scored dice[n] (cases with tumour) and found something in false_alarms[n] of `free` cases without one.

    dice: (R, C) volume Dice. left_out: case id and reason. best: the place of the highest mean, of equal ones the
    first.
    """

    rules: tuple[TumorRules, ...]
    dice: NDArray[np.float64]
    false_alarms: NDArray[np.int64]
    free: int
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def best(self) -> int:
        return int(np.argmax(self.dice.mean(axis=1)))

    def facts(self) -> dict[str, Any]:
        """How the rules were chosen: for postprocessing.json, and for machines."""
        scores = self.dice[self.best]
        return {
            "chosen_by": "mean volume Dice of cases with tumour",
            "cases": self.dice.shape[1],
            "cases_without_tumor": self.free,
            "false_alarms": int(self.false_alarms[self.best]),
            "mean_dice": round(float(scores.mean()), 6),
            "median_dice": round(float(np.median(scores)), 6),
            "tried": [_row(*row) for row in zip(self.rules, self.dice, self.false_alarms, strict=True)],
        }


def candidates(
    base: TumorRules,
    thresholds: Sequence[float] = THRESHOLDS,
    radii: Sequence[int] = RADII,
    least_mm3: Sequence[float] = LEAST_MM3,
) -> list[TumorRules]:
    """All combinations, over what else `base` says; without dilation, or with its kernel (a disk if it has none)."""
    kernel = "disk" if base.kernel == "none" else base.kernel
    return [
        replace(
            base, threshold=one, kernel=kernel if radius else "none", radius=radius, radius_mm=None, least_mm3=least
        )
        for least, radius, one in product(least_mm3, radii, thresholds)
    ]


def tune(
    model: TumorModel,
    prepared: Path,
    section: str = "validation",
    rules: Sequence[TumorRules] | None = None,
    *,
    fold: int | None = None,
    progress: Progress = silent,
) -> Tuned:
    """Score `rules` (by default `candidates` of the model's) on the cases of a section of a PREPARED folder.

    Cases without a GTV count as free of tumour: they don't enter the Dice. A split within one patient counts the
    section's slices alone. A case that can't be read costs only itself. Raises UsageError for the section test, or
    rules that are none; DatasetError; NothingToDoError where no case with tumour could be scored.
    """
    if section not in SECTIONS:
        raise UsageError(f"rules are never chosen on the section {section!r}; choose one of {', '.join(SECTIONS)}")
    rules = candidates(model.rules) if rules is None else list(rules)
    if not rules:
        raise UsageError("no rules to choose from")
    lists = select_cases(prepared, LABELS, needed=(), fold=fold, optional=tuple(LABELS))
    dice, alarms, free = [], np.zeros(len(rules), np.int64), 0
    left_out = [(one["case_id"], one["reason"]) for one in lists.left_out if one["section"] == section]
    for case in progress(_untested(lists, section), "cases"):
        try:
            scores, empty = _scores(model, case, rules)
        except (LungsegError, OSError, ValueError) as error:
            left_out.append((case.case_id, str(error)))
            continue
        if empty:
            free += 1
            alarms += scores == 0
        else:
            dice.append(scores)
    if not dice:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out[:3]) or "none has a GTV"
        raise NothingToDoError(f"no case with tumour in the section {section} of {prepared} could be scored ({why})")
    return Tuned(tuple(rules), np.stack(dice, axis=1), alarms, free, tuple(left_out))


def _untested(lists: CaseLists, section: str) -> list[Case]:
    """The section's cases; one that is tested on with the same slices is no case to choose by."""
    tested = {case.case_id for case in lists.section("test") if case.slices is None}
    return [case for case in lists.section(section) if case.case_id not in tested]


def _scores(model: TumorModel, case: Case, rules: Sequence[TumorRules]) -> tuple[NDArray[np.float64], bool]:
    """(R,) volume Dice of one case, and whether it has no tumour (then 1 where nothing was found, else 0)."""
    from data_prep.volume_voxels import read_image_volume

    volume = read_image_volume(case.image)
    up, probability = model.probabilities(Image(volume.array_ijk, volume.grid.affine_ras, phantom=True))
    i, j, k = volume.array_ijk.shape
    counted = np.zeros((i, j, k), bool)
    for start, stop in case.slices or [[0, k]]:
        counted[:, :, start:stop] = True
    truth = np.zeros((i, j, k), bool)
    for path in next(iter(case.masks.values()), []):
        truth |= read_image_volume(path).array_ijk != 0
    truth &= counted
    return scores_of(probability, up, up.turned(truth), up.turned(counted), rules), not truth.any()


def scores_of(
    probability: NDArray[np.float32], up: Upright, truth: Mask, counted: Mask, rules: Sequence[TumorRules]
) -> NDArray[np.float64]:
    """(R,) volume Dice of each of `rules` with `truth` (I, J, K), axes L, P, S, in what is `counted`; both empty: 1.

    Rules that differ in least_mm3 alone share the work.
    """
    voxel_mm3 = float(np.prod(up.spacing_mm))
    drawn: dict[TumorRules, list[int]] = {}
    for place, one in enumerate(rules):
        drawn.setdefault(replace(one, least_mm3=0.0), []).append(place)
    scores = np.zeros(len(rules))
    wanted = int(np.count_nonzero(truth))
    for one, places in drawn.items():
        mask = mask_on_image(probability, one, up.spacing_mm, up.shape_ij)
        sizes, found, both = _pieces(mask, truth, counted)
        for place in places:
            kept = sizes * voxel_mm3 >= rules[place].least_mm3 * (1 - 1e-6)
            total = int(found[kept].sum()) + wanted
            scores[place] = 2 * both[kept].sum() / total if total else 1.0
    return scores


def _pieces(mask: Mask, truth: Mask, counted: Mask) -> tuple[NDArray, NDArray, NDArray]:
    """Of each piece of `mask`: its voxels, those that are counted, and those that are in `truth`."""
    from scipy.ndimage import label

    used = np.flatnonzero(mask.any(axis=(0, 1)))
    if not len(used):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    part = (..., slice(used[0], used[-1] + 1))
    pieces, count = label(mask[part], np.ones((3, 3, 3)))
    each = [np.bincount(pieces[where], minlength=count + 1)[1:] for where in (mask[part], counted[part], truth[part])]
    return each[0], each[1], each[2]


def _row(rules: TumorRules, dice: NDArray[np.float64], alarms: int) -> dict[str, Any]:
    return {
        "threshold": rules.threshold,
        "kernel": rules.kernel,
        "radius": rules.radius,
        "least_mm3": rules.least_mm3,
        "mean_dice": round(float(dice.mean()), 6),
        "median_dice": round(float(np.median(dice)), 6),
        "false_alarms": int(alarms),
    }


def text(found: Tuned) -> str:
    """Mean volume Dice by threshold and kernel, at the smallest piece that was chosen; then what was chosen."""
    best = found.rules[found.best]
    means = dict(zip(found.rules, found.dice.mean(axis=1).tolist(), strict=True))
    same = [one for one in found.rules if one.least_mm3 == best.least_mm3]
    kernels = list(dict.fromkeys((one.kernel, one.radius) for one in same))
    lines = ["threshold" + "".join(f"{_kernel(*one):>11}" for one in kernels)]
    for threshold in dict.fromkeys(one.threshold for one in same):
        row = {(one.kernel, one.radius): means[one] for one in same if one.threshold == threshold}
        lines.append(f"{threshold:<9g}" + "".join(f"{row[one]:>11.4f}" if one in row else " " * 11 for one in kernels))
    lines += list(_chosen(found, best))
    return "\n".join(lines)


def _chosen(found: Tuned, best: TumorRules) -> Iterator[str]:
    facts: Mapping[str, Any] = found.facts()
    yield (
        f"chosen: threshold {best.threshold:g}, {_kernel(best.kernel, best.radius)}, pieces of {best.least_mm3:g} mm3 "
        f"or more: volume Dice mean {facts['mean_dice']:.4f}, median {facts['median_dice']:.4f} of {facts['cases']} "
        "case(s) with tumour"
    )
    if found.free:
        yield f"of {found.free} case(s) without tumour, something is found in {facts['false_alarms']}"
    yield from (f"left out: {name}: {reason}" for name, reason in found.left_out)


def _kernel(kernel: str, radius: int) -> str:
    return "none" if kernel == "none" else f"{kernel} {2 * radius + 1}x{2 * radius + 1}"
