"""Distances between parallel slices: which are odd, whether slices are missing, and what even parts there are."""

from collections.abc import Callable, Sequence

import numpy as np

from data_prep.geometry import Array

NAMED = 8
MULTIPLE = 0.1  # of the step: how near to a multiple of it a distance lies where slices are missing


def position_tolerance_mm(step_mm: float) -> float:
    """How far a slice may lie from its place on the regular grid: 0.01 mm, or 1 % of the step where that is more."""
    return max(0.01, 0.01 * abs(step_mm))


def gap_text(along_mm: Array) -> str:
    """The odd gaps between ascending positions along the normal, in words; empty if there are none."""
    gaps = np.diff(along_mm)
    usual = float(np.median(gaps))
    odd = np.abs(gaps - usual) > position_tolerance_mm(usual)
    if not odd.any():
        return ""
    runs = [run for run in _runs(gaps) if odd[run[0]]]
    named = []
    for first, last in runs[:NAMED]:
        count = last - first + 1
        lead = f"{gaps[first]:.2f} mm" if count == 1 else f"{count} times {gaps[first : last + 1].mean():.2f} mm"
        named.append(f"{lead} between {along_mm[first]:.2f} and {along_mm[last + 1]:.2f}")
    more = f" and {len(runs) - NAMED} more" if len(runs) > NAMED else ""
    return f"the step is {usual:.2f} mm, but {', '.join(named)}{more} (mm along the normal)"


def has_holes(along_mm: Array) -> bool:
    """Whether a distance is twice the usual one, three times, and so on."""
    steps = np.diff(along_mm) / np.median(np.diff(along_mm))
    return bool(((np.round(steps) >= 2) & (np.abs(steps - np.round(steps)) < MULTIPLE)).any())


def places_text(along_mm: Sequence[float]) -> str:
    """Positions in words, the first few."""
    more = f" and {len(along_mm) - NAMED} more" if len(along_mm) > NAMED else ""
    return ", ".join(f"{value:.2f}" for value in along_mm[:NAMED]) + more


def finest_step_mm(along_mm: Array) -> float:
    """The smallest distance between neighbours, the mean of those that are it but for jitter."""
    gaps = np.diff(along_mm)
    return float(gaps[gaps <= gaps.min() + position_tolerance_mm(float(gaps.min()))].mean())


def lattice(along_mm: Array, step_mm: float, fixed: bool) -> tuple[Array, float, float] | None:
    """Whole numbers n, start and step with along = start + n * step within the tolerance, by least squares; or None.

    fixed: the step has to be `step_mm` itself, not only near it.
    """
    if fixed:
        n = np.round((along_mm - along_mm[0]) / step_mm)
        start = float((along_mm - n * step_mm).mean())
    else:
        n = np.r_[0, np.cumsum(np.round(np.diff(along_mm) / step_mm))]
        step_mm, start = (float(value) for value in np.polyfit(n, along_mm, 1))
    if (np.diff(n) < 1).any() or np.abs(along_mm - start - n * step_mm).max() > position_tolerance_mm(step_mm):
        return None
    return n, start, step_mm


def longest_even_run(count: int, is_even: Callable[[int, int], bool], height_mm: Array) -> tuple[range, bool]:
    """The longest run of neighbours for which `is_even(first, last)`, and whether another was as long.

    height_mm: (count,) how far towards the head each slice lies. Of runs of one length the one nearer to the head is
    taken, else the first. Goes forward only, so it takes 2 * count tests.
    """
    found: list[range] = []
    last = 0
    for first in range(count):
        last = max(last, first)
        while last + 1 < count and is_even(first, last + 1):
            last += 1
        found.append(range(first, last + 1))
        if last == count - 1:
            break
    most = max(map(len, found))
    # A run found from a later start but with the same end is a part of the one before.
    best = [run for run in found if len(run) == most and (most < 3 or is_even(run[0], run[-1]))]
    best.sort(key=lambda run: (-round(float(height_mm[run].mean()), 3), run[0]))
    return best[0], len(best) > 1


def _runs(gaps: Array) -> list[tuple[int, int]]:
    """First and last of each run of neighbouring gaps that are one and the same."""
    runs: list[tuple[int, int]] = []
    for n, gap in enumerate(gaps):
        if runs and abs(gap - gaps[runs[-1][0]]) <= position_tolerance_mm(float(gap)):
            runs[-1] = runs[-1][0], n
        else:
            runs.append((n, n))
    return runs
