"""How many windows a network gets at once: as many as memory allows, and fewer when it runs out."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ImageError
from lungseg_monai.memory_use import PeakMemory, is_out_of_memory, resident_bytes

Floats = NDArray[np.float32]
GB = 2**30
COPIES = 4  # of a batch that averaging holds beside what the network takes
SHARES = (4, 2)  # a window's side is divided by these to try how much memory a network takes
MOST, ONE_WINDOW = 8, 256 * 256 * 32  # windows; pixels times width of one window of the paper's network, 1.5 GB
SMALLER = "restrict it to the lungs' box, take smaller slices or bf16, or allow more memory"


def windows_at_once(sides: Sequence[int], width: int) -> int:
    """1 to MOST windows of (H, W): as many as take the memory of one of the paper's network (256, 256), width 32.

    PyTorch convolves several small volumes on the CPU many times faster than one.
    """
    high, wide = sides
    return max(1, min(MOST, round(ONE_WINDOW / (high * wide * width))))


@dataclass
class Batches:
    """`network`: (N, 1, i, j, slices) float32 -> the same shape. size: windows at once, from now on.

    memory_gb: what it may take beyond what the process holds when `fit` is called first; None: no limit.
    notes: each time it became smaller, and why.
    """

    network: Callable[[Floats], Floats]
    size: int = 1
    memory_gb: float | None = None
    notes: list[str] = field(default_factory=list)
    _before: int | None = field(default=None, init=False)  # bytes held before anything was done
    _window: tuple[int, ...] | None = field(default=None, init=False)

    def fit(self, window: tuple[int, int, int], own_bytes: int, divisor: int = 8) -> None:
        """Choose `size` for windows of that shape, beside `own_bytes` that averaging holds all the time.

        Tries the network on windows of a quarter and a half of the sides, and reckons on from there. Raises ImageError
        where one window would take more than memory_gb; then the network has not seen one.
        """
        if self.memory_gb is None or window == self._window:
            return
        self._before = self._before or resident_bytes()
        if self._before is None:
            self.notes.append("memory can't be measured on this system: memory_gb is not watched")
            self.memory_gb = None
            return
        fixed, each = self._reckon(window, divisor)
        one = int(np.prod(window)) * (each + COPIES * 4)
        room = self.memory_gb * GB - own_bytes - fixed
        if room < one:
            raise ImageError(
                f"a window of {'x'.join(map(str, window))} would take about {(own_bytes + fixed + one) / GB:.2g} GB, "
                f"memory_gb allows {self.memory_gb:g}: {SMALLER}"
            )
        if room < one * self.size:
            self._shrink(int(room // one), f"memory_gb {self.memory_gb:g} has room for no more")
        self._window = window

    def run(self, given: Floats) -> Floats | None:
        """The network's answer; None where memory ran out, and `size` is smaller from now on.

        Raises ImageError where memory ran out for a single window.
        """
        try:
            with PeakMemory() if self.memory_gb else nullcontext() as seen:
                found = np.asarray(self.network(given), np.float32)
        except Exception as error:  # each library has its own kind for too little memory
            if not is_out_of_memory(error):
                raise
            if len(given) == 1:
                shape = "x".join(map(str, given.shape[2:]))
                raise ImageError(f"out of memory on one window of {shape}: {SMALLER}") from error
        else:
            self._watch(seen.peak_bytes if seen else None, len(given))
            return found
        self._shrink(len(given) // 2, f"{len(given)} ran out of memory")  # out here, where what failed is let go
        return None

    def _reckon(self, window: tuple[int, int, int], divisor: int) -> tuple[float, float]:
        """Bytes that the network takes: once, and a voxel of a window."""
        voxels, taken = [], []
        for share in SHARES:
            sides = [max(size // share // divisor, 1) * divisor for size in window[:2]]
            given = np.zeros((1, 1, *sides, window[2]), np.float32)
            with PeakMemory() as seen:
                self.network(given)
            voxels.append(given.size)
            taken.append((seen.peak_bytes or 0) - (self._before or 0))
        if voxels[1] == voxels[0]:
            return 0.0, max(taken) / voxels[0]
        each = max(taken[1] - taken[0], 0) / (voxels[1] - voxels[0])
        return max(taken[1] - each * voxels[1], 0.0), each

    def _watch(self, peak: int | None, count: int) -> None:
        if self.memory_gb is None or peak is None or self._before is None or count == 1 or count < self.size:
            return
        taken = (peak - self._before) / GB
        if taken > self.memory_gb:
            self._shrink(max(int(count * self.memory_gb / taken), 1), f"{count} took {taken:.2g} GB")

    def _shrink(self, size: int, why: str) -> None:
        self.notes.append(f"{size} windows at once, not {self.size}: {why}")
        self.size = size
