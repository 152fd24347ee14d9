"""95 % intervals by drawing patients anew, with all that they hold: slices of one patient are not independent."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
CHUNK = 250  # draws at a time: bounds the memory of the medians


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn. The same seed gives the same interval, on every machine."""

    resamples: int = 2000
    seed: int = 0


def intervals(
    patients: Sequence[Sequence[float]], bootstrap: Bootstrap
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """95 % percentile intervals of the mean and of the median of all values pooled, patients drawn with replacement.

    patients: each one's values; one value for a score a patient, many for slices or lesions, none where nothing was
    computed. As `scipy.stats.bootstrap(method="percentile")`, which knows no groups. (None, None) with fewer than two
    patients that hold a value: one patient says nothing of the next.
    """
    values = np.concatenate([np.asarray(of, np.float64) for of in patients]) if len(patients) else np.zeros(0)
    sizes = np.array([len(of) for of in patients], np.int64)
    if np.count_nonzero(sizes) < 2:
        return None, None
    times = draws(len(patients), bootstrap)
    times = times[times @ sizes > 0]  # a draw may hold nobody with a value
    order = np.argsort(values, kind="stable")
    owner = np.repeat(np.arange(len(patients)), sizes)[order]
    sums = np.bincount(owner, values[order], len(patients))
    medians = [_medians(values[order], part[:, owner]) for part in _chunks(times)]
    return _percentiles((times @ sums) / (times @ sizes)), _percentiles(np.concatenate(medians))


def draws(count: int, bootstrap: Bootstrap) -> NDArray[np.int64]:
    """(resamples, count): how often each of `count` patients is drawn."""
    chosen = np.random.default_rng(bootstrap.seed).integers(0, count, (bootstrap.resamples, count))
    return np.stack([np.bincount(row, minlength=count) for row in chosen])


def _medians(ascending: NDArray[np.float64], times: NDArray[np.int64]) -> NDArray[np.float64]:
    """ascending (N,), times (B, N): the median of each draw, in which value n comes times[b, n] times."""
    reached = np.cumsum(times, axis=1)
    total = reached[:, -1:]
    lower, upper = (ascending[np.argmax(reached > (total - odd) // 2, axis=1)] for odd in (1, 0))
    return (lower + upper) / 2


def _chunks(times: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [times[start : start + CHUNK] for start in range(0, len(times), CHUNK)]


def _percentiles(drawn: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)
