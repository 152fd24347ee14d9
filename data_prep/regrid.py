"""Slices as they were scanned -> the slices of an even, upright grid. Linear, slice by slice; pure numpy."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Array

HALF = 0.5 - 1e-6  # float32 noise must not decide between voxels at exactly one half: they are inside


@dataclass(frozen=True, eq=False)
class Regrid:
    """What becomes of scanned slices.

    shape_ijk: of the result. below, share: (slices out,) the scanned slice at or below each new one, and the share
    that the next scanned slice has in it, 0 to 1. shift_ij: (slices in, 2) pixels, zero or more, by which each scanned
    slice moves within its plane, or None.
    """

    shape_ijk: tuple[int, int, int]
    below: NDArray[np.intp]
    share: Array
    shift_ij: Array | None = None

    def image(self, array_ijk: NDArray, outside: float) -> NDArray:
        """`array_ijk` (integers or floats, axes i, j, k of the scanned slices) on the new grid, in the same dtype.

        Integers are rounded to the nearest. `outside` is set beyond the outermost pixels' outer edges.
        """
        if array_ijk.dtype.kind in "iu":
            return self._apply(array_ijk, outside, array_ijk.dtype, np.rint)
        return self._apply(array_ijk, outside, array_ijk.dtype)

    def mask(self, mask_ijk: NDArray) -> NDArray:
        """A mask on the new grid: of bool or integers, where at least half is inside; of floats (coverage), linear."""
        if mask_ijk.dtype.kind == "f":
            return self._apply(mask_ijk, 0, mask_ijk.dtype)
        return self._apply(mask_ijk != 0, 0, mask_ijk.dtype, lambda plane: plane >= HALF)

    def _apply(
        self, array_ijk: NDArray, outside: float, dtype: np.dtype, finish: Callable[[NDArray], NDArray] | None = None
    ) -> NDArray:
        columns, rows, slices = self.shape_ijk
        out = np.empty((slices, rows, columns), dtype).transpose(2, 1, 0)
        scanned: dict[int, NDArray] = {}
        for k, (below, share) in enumerate(zip(self.below.tolist(), self.share.tolist(), strict=True)):
            wanted = (below, below + 1) if share else (below,)
            scanned = {n: scanned[n] if n in scanned else self._upright(array_ijk, n, outside) for n in wanted}
            if not share and self.shift_ij is None:
                out[:, :, k] = scanned[below]  # as it is, not by way of float32
                continue
            plane = scanned[below].astype(np.float32)
            if share:
                plane += np.float32(share) * (scanned[below + 1] - plane)
            out[:, :, k] = plane if finish is None else finish(plane)
        return out

    def _upright(self, array_ijk: NDArray, k: int, outside: float) -> NDArray:
        """Scanned slice k, (columns, rows), moved to its place."""
        plane = array_ijk[:, :, k]
        if self.shift_ij is None:
            return plane
        plane = plane.astype(np.float32)
        beyond = []
        for axis, shift in enumerate(self.shift_ij[k].tolist()):
            plane, out_of_it = _shifted(plane, shift, axis, self.shape_ijk[axis])
            beyond.append(out_of_it)
        plane[beyond[0], :] = outside
        plane[:, beyond[1]] = outside
        return plane


def _shifted(plane: NDArray, shift: float, axis: int, size: int) -> tuple[NDArray, NDArray[np.bool_]]:
    """`plane` moved by `shift` pixels along `axis` into `size` pixels, and which of these lie outside of it.

    A pixel reaches half a pixel to either side of its centre, and so far its value goes at the edges.
    """
    source = np.arange(size) - round(shift, 9)
    last = plane.shape[axis] - 1
    low = np.floor(source)
    share = np.float32(source[0] - low[0])  # the same for all
    first = plane.take(np.clip(low, 0, last).astype(np.intp), axis)
    if share:
        first += share * (plane.take(np.clip(low + 1, 0, last).astype(np.intp), axis) - first)
    return first, (source < -0.5) | (source >= last + 0.5)
