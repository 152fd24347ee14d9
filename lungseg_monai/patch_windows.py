"""Which windows of consecutive slices of a case become patches: indices only, no voxels."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError
from lungseg_monai.window_stream import windows

Chosen = bool | Literal["run"]
Block = tuple[int, int]


def blocks_of(depth: int, ranges: Sequence[Sequence[int]] | None) -> list[Block]:
    """[start, stop) of the stretches of neighbouring slices in a volume of `depth`, made of `ranges` one after another.

    `ranges` are the parts that a split within one patient takes of the original volume; None: all of it.
    """
    lengths = [stop - start for start, stop in ranges] if ranges is not None else [depth]
    stops = np.cumsum(lengths).tolist()
    return [(stop - length, stop) for stop, length in zip(stops, lengths, strict=True)]


def window_starts(
    labelled: NDArray[np.bool_],
    blocks: Sequence[Block],
    slices: int = 8,
    stride: int = 1,
    only_labelled: Chosen = True,
    skip_ends: float = 0.0,
) -> list[int]:
    """Where the windows of `slices` slices start, in order. No window reaches across the end of a block.

    labelled (K,): which slices hold a label. Windows stand `stride` apart; each block's last one ends at its end, and a
    block of fewer slices has one window. Of these, without the share `skip_ends` at the first and at the last end
    (rounded down; the authors' code: 0.2), those are kept that hold a labelled slice (`only_labelled` True, the
    paper's section 3.1), all (False), or those within the run from the first labelled slice to the last ("run", the
    authors' code; a run shorter than a window has the one that begins with it, moved back where the block ends).
    """
    check_windows(slices, stride, only_labelled, skip_ends)
    found = [(start + at, (start, stop)) for start, stop in blocks for at in windows(stop - start, slices, stride)]
    skipped = int(len(found) * skip_ends)
    found = found[skipped : len(found) - skipped]
    if only_labelled is False:
        return [at for at, _ in found]
    if only_labelled == "run":
        within = _within_runs(labelled, blocks, slices, stride)
        return [at for at in within if found and found[0][0] <= at <= found[-1][0]]
    return [at for at, (_, stop) in found if labelled[at : min(at + slices, stop)].any()]


def window_stop(blocks: Sequence[Block], start: int, slices: int) -> int:
    """Where the window from `start` ends: after `slices`, or where its block does."""
    end = next(stop for first, stop in blocks if first <= start < stop)
    return min(start + slices, end)


def check_windows(slices: int, stride: int, only_labelled: Chosen, skip_ends: float) -> None:
    """Raise ConfigError for numbers that make no windows."""
    if slices < 1 or not 1 <= stride <= slices:
        raise ConfigError(f"slices must be 1 or more and stride from 1 to slices, got {slices} and {stride}")
    if only_labelled not in (True, False, "run"):
        raise ConfigError(f'only_labelled must be true, false or "run", got {only_labelled!r}')
    if not 0 <= skip_ends < 0.5:
        raise ConfigError(f"skip_ends is the share of windows left out at either end, from 0 up to 0.5: {skip_ends}")


def _within_runs(labelled: NDArray[np.bool_], blocks: Sequence[Block], slices: int, stride: int) -> list[int]:
    starts: list[int] = []
    for start, stop in blocks:
        (inside,) = np.nonzero(labelled[start:stop])
        if not len(inside):
            continue
        first, last = start + int(inside[0]), start + int(inside[-1]) + 1
        first = max(start, min(first, stop - slices))  # a run that is too short goes on behind its end
        starts += [first + at for at in windows(max(last - first, 1), slices, stride)]
    return starts
