"""Probabilities of a volume from overlapping windows of a few slices, averaged and streamed over z. Needs numpy alone.

Kamal et al., section 3.2: windows of 256 x 256 x 8, stride 1 in z, the predictions of all windows that hold a slice
averaged. Each window is predicted for itself (the recurrent block starts at zero in each).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ImageError, UsageError
from lungseg_monai.lung_box import Box
from lungseg_monai.window_batches import Batches

Floats = NDArray[np.float32]
KEPT = ("float32", "float16", "uint8")
Network = Callable[[Floats], Floats]


@dataclass(frozen=True)
class WindowOptions:
    """How windows are laid and what is done with them.

    slices: of a window. stride: from window to window, at most `slices`. batch_size: windows that the network gets at
    once. divisor: of the in-plane sides that it takes. sigmoid: the network returns logits. box: indices
    ((i0, i1), (j0, j1), (k0, k1)) outside of which nothing is looked at and the probability is 0.
    prepare_window: (I, J, slices) float32 -> the same, for each window on the whole plane, before it is cut to the box.
    memory_gb: what averaging may take beyond what the process holds before; batches shrink to keep it.
    Raises UsageError for what makes no sense.
    """

    slices: int = 8
    stride: int = 1
    batch_size: int = 1
    divisor: int = 8
    sigmoid: bool = True
    box: Box | None = None
    prepare_window: Callable[[Floats], Floats] | None = None
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        for name in ("slices", "stride", "batch_size", "divisor"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if self.stride > self.slices:
            raise UsageError(
                f"stride {self.stride} would leave out slices between windows of {self.slices}: give at most that"
            )
        if self.memory_gb is not None and not self.memory_gb > 0:
            raise UsageError(f"memory_gb must be positive, got {self.memory_gb}")


def windows(depth: int, slices: int = 8, stride: int = 1) -> list[int]:
    """Where the windows of `slices` start in `depth` slices: each slice is in one or more, the last ends at the end.

    One window at 0 where depth <= slices. Raises UsageError for numbers below 1 and for a stride beyond `slices`.
    """
    WindowOptions(slices=slices, stride=stride)
    if depth < 1:
        raise UsageError(f"a volume must have a slice, got {depth}")
    last = max(depth - slices, 0)
    return [*range(0, last, stride), last]


def per_window_maximum(window: Floats) -> Floats:
    """A window divided by its own maximum, as the authors' code does; one without a positive value stays as it is."""
    largest = float(window.max())
    return window / np.float32(largest) if largest > 0 else window


class WindowAverage:
    """Runs `network` over the windows of volumes and averages, slice by slice.

    network: (N, 1, i, j, slices) float32 -> logits of that shape, i and j multiples of the divisor.
    notes: what went otherwise than asked. batch_size: what it came down to.
    """

    def __init__(self, network: Network, options: WindowOptions | None = None, notes: list[str] | None = None) -> None:
        self.options = options or WindowOptions()
        self.notes = [] if notes is None else notes
        self._batches = Batches(network, self.options.batch_size, self.options.memory_gb, self.notes)

    @property
    def batch_size(self) -> int:
        return self._batches.size

    def __call__(self, volume: Floats, keep: str = "float32", out: NDArray[Any] | None = None) -> NDArray[Any]:
        """(I, J, K) float in 0 ... 1 -> probabilities (I, J, K); outside the box 0.

        keep: of KEPT; "uint8" holds 255 times the probability. out: an array of that type to write to, perhaps on disk.
        Raises UsageError for another keep or an out that does not fit.
        """
        if keep not in KEPT:
            raise UsageError(f"keep {keep!r} is not known; choose one of {', '.join(KEPT)}")
        if out is None:
            out = np.zeros(volume.shape, keep)
        elif out.shape != volume.shape or out.dtype != keep:
            raise UsageError(f"out must be {keep} of {list(volume.shape)}, got {out.dtype} of {list(out.shape)}")
        for k, plane in self.planes(volume, out.nbytes):
            out[:, :, k] = np.rint(plane * 255) if keep == "uint8" else plane
        return out

    def planes(self, volume: Floats, held_bytes: int = 0) -> Iterator[tuple[int, Floats]]:
        """(I, J, K) float -> k and the probabilities (I, J) float32 of that slice, for each k of the box, in order.

        No more than `slices` planes are held. held_bytes: what the caller keeps, which counts towards memory_gb.
        Raises ImageError where the network's answer has another shape, and where memory does not do for one window.
        """
        options = self.options
        cut = _Cut.of(volume.shape, options)
        total = np.zeros((*cut.sides, options.slices), np.float32)
        count = np.zeros(options.slices, np.int64)
        self._batches.fit((*cut.sides, options.slices), held_bytes + total.nbytes, options.divisor)
        done = 0
        for start, found in self._predicted(volume, cut):
            for k in range(done, start):
                yield cut.plane(k, total, count)
            done = max(done, start)
            ring = np.arange(start, start + options.slices) % options.slices
            total[..., ring] += found
            count[ring] += 1
        for k in range(done, cut.depth):
            if cut.holds(k):
                yield cut.plane(k, total, count)

    def _predicted(self, volume: Floats, cut: "_Cut") -> Iterator[tuple[int, Floats]]:
        starts, at = windows(cut.depth, self.options.slices, self.options.stride), 0
        while at < len(starts):
            some = starts[at : at + self._batches.size]
            given = np.stack([cut.window(volume, start) for start in some])[:, None]
            found = self._batches.run(given)
            if found is None:
                continue
            if found.shape != given.shape:
                raise ImageError(
                    f"the network answers {list(given.shape)} with {list(found.shape)}; the same shape was wanted: "
                    "one channel, every slice of the window"
                )
            yield from zip(some, _sigmoid(found[:, 0]) if self.options.sigmoid else found[:, 0], strict=True)
            at += len(some)


@dataclass(frozen=True)
class _Cut:
    """What of a volume the network sees: the box, its sides grown to multiples of the divisor from index 0 on.

    So the network pools the same voxels together as without a box. Where that goes beyond the volume, and where it has
    too few slices, its outermost values are repeated, and cut off again.
    """

    shape: tuple[int, ...]
    box: Box
    rows: tuple[int, int]  # of the network's plane, perhaps beyond the volume
    columns: tuple[int, int]
    first: int  # the slice where windows begin; negative where slices are repeated before
    depth: int  # of what windows are laid over
    options: WindowOptions

    @classmethod
    def of(cls, shape: tuple[int, ...], options: WindowOptions) -> "_Cut":
        if len(shape) != 3 or min(shape) < 1:
            raise ImageError(f"windows need a volume (I, J, K), got the shape {list(shape)}")
        box = options.box or tuple((0, size) for size in shape)
        if len(box) != 3 or not all(0 <= a < b <= size for (a, b), size in zip(box, shape, strict=True)):
            raise UsageError(f"the box {box} does not lie in the volume of {list(shape)} voxels, or is empty")
        n = options.divisor
        rows, columns = ((a // n * n, -(-b // n) * n) for a, b in box[:2])
        first, last = box[2]
        lack = options.slices - (last - first)
        if lack > 0:  # slices of the volume as far as there are, then copies of the outermost
            first = min(max(first - lack // 2, 0), max(shape[2] - options.slices, 0))
            if shape[2] < options.slices:
                first = -((options.slices - shape[2]) // 2)
            last = first + options.slices
        return cls(shape, box, rows, columns, first, last - first, options)

    @property
    def sides(self) -> tuple[int, int]:
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    def window(self, volume: Floats, start: int) -> Floats:
        """(i, j, slices) float32, contiguous."""
        k = np.clip(np.arange(start, start + self.options.slices) + self.first, 0, self.shape[2] - 1)
        window = np.asarray(volume[:, :, k], np.float32)
        if self.options.prepare_window is not None:
            window = self.options.prepare_window(window)
        i = np.minimum(np.arange(*self.rows), self.shape[0] - 1)
        j = np.minimum(np.arange(*self.columns), self.shape[1] - 1)
        return np.ascontiguousarray(window[np.ix_(i, j)])

    def holds(self, k: int) -> bool:
        """Whether the k-th slice that windows are laid over is one of the box."""
        return self.box[2][0] <= k + self.first < self.box[2][1]

    def plane(self, k: int, total: Floats, count: NDArray[np.int64]) -> tuple[int, Floats]:
        """The mean of slice `k`, on the volume's plane; its place in the buffer is free again."""
        at = k % self.options.slices
        plane = np.zeros(self.shape[:2], np.float32)
        (i0, i1), (j0, j1), _ = self.box
        i, j = self.rows[0], self.columns[0]
        plane[i0:i1, j0:j1] = total[i0 - i : i1 - i, j0 - j : j1 - j, at] / count[at]
        total[..., at], count[at] = 0, 0
        return k + self.first, plane


def _sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return (np.tanh(logits * np.float32(0.5)) + np.float32(1)) * np.float32(0.5)
