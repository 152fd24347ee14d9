"""A grid cut into small clouds of points: they fit the processor's cache, and far-away solids skip them whole."""

from collections.abc import Iterator

import numpy as np

from data_prep.phantom.solids import Array, Points, Solid

SLAB = 8  # slices made at a time
TILE = 32  # columns and rows of a tile
CHUNK = 16384  # points of a cloud without a grid


def tiles(
    shape_ij: tuple[int, int], ks: range, body_from_index: Array, solid: Solid | None = None, tile: int = TILE
) -> Iterator[tuple[tuple[slice, slice], Points]]:
    """Cut columns x rows x `ks` into tiles: (where in [i, j], its points of shape (columns, rows, slices) there).

    body_from_index: (4, 4), index -> mm in the body's own frame. Tiles that miss `solid` are left out.
    """
    turn, shift = body_from_index[:3, :3], body_from_index[:3, 3]
    k = np.arange(ks.start, ks.stop, dtype=float)
    for i0 in range(0, shape_ij[0], tile):
        i = np.arange(i0, min(i0 + tile, shape_ij[0]), dtype=float)
        for j0 in range(0, shape_ij[1], tile):
            j = np.arange(j0, min(j0 + tile, shape_ij[1]), dtype=float)
            ends = turn[:, :, None] * np.array([[axis[0], axis[-1]] for axis in (i, j, k)])
            low = tuple((ends.min(axis=2).sum(axis=1) + shift).tolist())
            high = tuple((ends.max(axis=2).sum(axis=1) + shift).tolist())
            if solid is not None and solid.misses(low, high):
                continue
            steps = zip(turn.tolist(), shift.tolist(), strict=True)
            x, y, z = (
                ((a * i + d)[:, None, None] + (b * j)[:, None] + c * k).astype(np.float32) for (a, b, c), d in steps
            )
            yield (slice(i0, i0 + i.size), slice(j0, j0 + j.size)), Points(x, y, z, low, high)
