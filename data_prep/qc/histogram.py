"""The HU of an image, counted exactly."""

import numpy as np
from numpy.typing import NDArray

from data_prep.qc.facts import HuFacts
from data_prep.qc.limits import LIMITS, Limits

OFFSET = 32768  # counts[n] are the voxels of n - OFFSET HU
HIGHEST = 32767
BIN_HU, FIRST_HU, LAST_HU = 20, -1200, 2000
PADDING_HU = -1024  # a value below that, all alone at the bottom of the histogram, is padding
PADDING_SHARE = 0.001
PADDING_ALONE_HU = 50
PEAK_BIN_HU, PEAK_REACH, PEAK_SHARE = 10, 5, 0.02  # a peak: highest of 5 bins either way, with 2 % of the voxels there
AIR_HU, TISSUE_HU = -600, (-250, 250)


def hu_facts(array_ijk: NDArray, limits: Limits = LIMITS) -> HuFacts:
    """Measure all voxels of a volume in HU, integers or floating point (counted to the nearest whole HU)."""
    counts, not_finite = count_hu(array_ijk)
    total = int(counts.sum())
    if not total:
        return HuFacts(0.0, 0.0, None, 0.0, 0.0, 0.0, None, 0.0, 0.0, not_finite)
    padding = _padding(counts)
    tissue = counts.copy()
    if padding is not None:
        tissue[padding + OFFSET] = 0
    left = max(int(tissue.sum()), 1)
    lowest, highest = _range(array_ijk, tissue, padding)
    return HuFacts(
        lowest=lowest,
        highest=highest,
        padding_hu=padding,
        padding_share=0.0 if padding is None else float(counts[padding + OFFSET] / total),
        below_share=float(_between(tissue, -OFFSET, limits.low_hu - 1) / left),
        above_share=float(_between(tissue, limits.high_hu + 1, HIGHEST) / left),
        air_peak=lowest_peak(tissue, limits.low_hu),
        air_share=float(_between(counts, -OFFSET, AIR_HU) / total),
        tissue_share=float(_between(tissue, *TISSUE_HU) / left),
        not_finite=not_finite,
        first_hu=FIRST_HU,
        bin_hu=BIN_HU,
        counts=tuple(_bins(tissue).tolist()),
    )


def count_hu(array_ijk: NDArray) -> tuple[NDArray[np.int64], int]:
    """(65536,) voxels of each whole HU from -32768 on, what lies beyond counted at the ends; and voxels no numbers."""
    counts = np.zeros(OFFSET + HIGHEST + 1, np.int64)
    not_finite = 0
    for k in range(array_ijk.shape[2]):  # a slice at a time: counting takes 8 bytes a voxel
        plane = array_ijk[:, :, k].ravel(order="K")
        if plane.dtype.kind == "f":
            finite = np.isfinite(plane)
            not_finite += int(plane.size - np.count_nonzero(finite))
            plane = np.rint(plane[finite])
        if plane.dtype != np.int16:
            plane = np.clip(plane, -OFFSET, HIGHEST)
        counts += np.bincount(plane.astype(np.intp) + OFFSET, minlength=len(counts))
    return counts, not_finite


def lowest_peak(counts: NDArray[np.int64], from_hu: int) -> int | None:
    """HU of the lowest peak of the histogram, of what lies above `from_hu`; None without any."""
    first = from_hu + OFFSET
    usable = counts[first : first + (len(counts) - first) // PEAK_BIN_HU * PEAK_BIN_HU]
    bins = usable.reshape(-1, PEAK_BIN_HU).sum(axis=1)
    near = np.convolve(bins, np.ones(2 * PEAK_REACH + 1, np.int64), "same")
    around = np.lib.stride_tricks.sliding_window_view(np.pad(bins, PEAK_REACH), 2 * PEAK_REACH + 1)
    peaks = np.flatnonzero((bins == around.max(axis=1)) & (near >= PEAK_SHARE * max(bins.sum(), 1)))
    if not len(peaks):
        return None
    start = peaks[0] * PEAK_BIN_HU
    return int(from_hu + start + usable[start : start + PEAK_BIN_HU].argmax())


def _range(array_ijk: NDArray, counts: NDArray[np.int64], padding: int | None) -> tuple[float, float]:
    """Lowest and highest value as they are, padding left out; the counts know whole HU of 16 bits only."""
    there = np.flatnonzero(counts) - OFFSET
    if array_ijk.dtype == np.int16:
        return float(there[0]), float(there[-1])
    lowest, highest = np.inf, -np.inf
    for k in range(array_ijk.shape[2]):
        plane = array_ijk[:, :, k]
        plane = plane[np.isfinite(plane) & (True if padding is None else plane > padding + 0.5)]
        if plane.size:
            lowest, highest = min(lowest, float(plane.min())), max(highest, float(plane.max()))
    return round(lowest, 3), round(highest, 3)


def _padding(counts: NDArray[np.int64]) -> int | None:
    """The lowest value if it looks like what a scanner puts where it measured nothing."""
    there = np.flatnonzero(counts) - OFFSET
    lowest = int(there[0])
    alone = len(there) > 1 and there[1] - lowest > PADDING_ALONE_HU
    enough = counts[lowest + OFFSET] >= PADDING_SHARE * counts.sum()
    return lowest if lowest < PADDING_HU and alone and enough else None


def _between(counts: NDArray[np.int64], low: int, high: int) -> int:
    return int(counts[low + OFFSET : high + OFFSET + 1].sum())


def _bins(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    inner = counts[FIRST_HU + OFFSET : LAST_HU + OFFSET].reshape(-1, BIN_HU).sum(axis=1)
    inner[0] += _between(counts, -OFFSET, FIRST_HU - 1)
    inner[-1] += _between(counts, LAST_HU, HIGHEST)
    return inner
