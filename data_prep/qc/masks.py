"""One mask: what is measured of it, and a small copy to draw it from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Array, Grid
from data_prep.qc.body import Body
from data_prep.qc.limits import LIMITS, Limits

FINE_MM = 1.5  # islands are looked for on voxels of about that size, set where any of theirs is


@dataclass(frozen=True, eq=False)
class Packed:
    """A mask's box, a bit a voxel. low: index i, j, k of its first voxel; size: its shape."""

    low: NDArray[np.intp]
    size: tuple[int, int, int]
    bits: NDArray[np.uint8]
    slice_voxels: NDArray[np.int64]

    def plane(self, k: int, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
        """Slice k of the whole image, (I, J) bool; None where it is empty."""
        inner = k - self.low[2]
        if not 0 <= inner < self.size[2] or not self.slice_voxels[inner]:
            return None
        plane = np.zeros(shape, bool)
        (i, j), (wide, high) = self.low[:2], self.size[:2]
        plane[i : i + wide, j : j + high] = np.unpackbits(self.bits[:, :, inner], axis=0, count=wide)
        return plane

    def at(self, index_ijk: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(..., 3) voxel indices -> whether the mask is set there."""
        inner = index_ijk - self.low
        within = np.all((inner >= 0) & (inner < self.size), axis=-1, keepdims=True)
        i, j, k = np.moveaxis(np.where(within, inner, 0), -1, 0)
        bit: NDArray[np.uint8] = (self.bits[i >> 3, j, k] >> (7 - (i & 7))) & 1
        return np.logical_and(within[..., 0], bit)

    def centre_of_slice(self, k: int) -> tuple[int, int]:
        """i, j of the voxel of slice k that lies nearest to the centre of its voxels there."""
        inner = np.argwhere(np.unpackbits(self.bits[:, :, k - self.low[2]], axis=0, count=self.size[0]))
        nearest = inner[((inner - inner.mean(axis=0)) ** 2).sum(axis=1).argmin()]
        return int(nearest[0] + self.low[0]), int(nearest[1] + self.low[1])

    def shared(self, other: "Packed") -> int:
        """Voxels that both masks hold."""
        low = np.maximum(self.low, other.low)
        high = np.minimum(self.low + self.size, other.low + other.size)
        if (high <= low).any():
            return 0
        return sum(
            int(np.count_nonzero(self._part(k, low, high) & other._part(k, low, high))) for k in range(low[2], high[2])
        )

    def _part(self, k: int, low: NDArray, high: NDArray) -> NDArray[np.uint8]:
        plane = np.unpackbits(self.bits[:, :, k - self.low[2]], axis=0, count=self.size[0])
        (i, j), (to_i, to_j) = low[:2] - self.low[:2], high[:2] - self.low[:2]
        return plane[i:to_i, j:to_j]

    @property
    def largest_slice(self) -> int:
        return int(self.low[2] + self.slice_voxels.argmax())


def measure(
    mask_ijk: NDArray, image_ijk: NDArray, grid: Grid, body: Body, limits: Limits = LIMITS
) -> tuple[dict[str, Any], Packed | None]:
    """What RoiFacts holds of a mask on `grid`, and its packed copy; both empty for an empty mask."""
    used = [np.flatnonzero(line) for line in _lines(mask_ijk)]
    if not len(used[0]):
        return {}, None
    low, high = np.array([line[0] for line in used]), np.array([line[-1] for line in used]) + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    crop = mask_ijk[box] != 0
    values = image_ijk[box][crop]
    known = values[np.isfinite(values)]
    counts = [crop.sum(axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
    centre = np.array([np.average(np.arange(len(count)), weights=count) for count in counts]) + low
    empty = np.flatnonzero(counts[2] == 0)
    gaps = [k for k in empty if counts[2][k - 1] and counts[2][k + 1]]
    corners = grid.points_mm(np.stack(np.meshgrid(*zip(low, high - 1, strict=True), indexing="ij"), -1).reshape(-1, 3))
    facts = {
        "voxels": int(values.size),
        "volume_ml": float(values.size * grid.voxel_volume_mm3 / 1000),
        "slices": int(np.count_nonzero(counts[2])),
        "centre_mm": _side(grid.points_mm(centre)),
        "low_mm": _side(corners.min(axis=0)),
        "high_mm": _side(corners.max(axis=0)),
        "median_hu": float(np.median(known)) if len(known) else None,
        "soft_share": float(np.count_nonzero(values > limits.lung_median_hu) / values.size),
        "body_share": body.share_of(crop, low) if body.found else 1.0,
        "edges": _edges(crop, low, high, grid),
        "one_slice_gaps": len(gaps),
        "islands_ml": _islands_ml(crop, grid),
    }
    i, j, k = crop.shape
    return facts, Packed(low, (i, j, k), np.packbits(crop, axis=0), counts[2])


def _lines(mask_ijk: NDArray) -> tuple[NDArray[np.bool_], ...]:
    """Which i, j, k hold voxels. By slices: reductions over the whole array would copy it."""
    i, j, k = mask_ijk.shape
    across, down, along = np.zeros(i, bool), np.zeros(j, bool), np.zeros(k, bool)
    for n in range(k):
        plane = mask_ijk[:, :, n]
        columns = plane.any(axis=0)
        along[n] = columns.any()
        if along[n]:
            down |= columns
            across |= plane.any(axis=1)
    return across, down, along


def _edges(crop: NDArray[np.bool_], low: NDArray, high: NDArray, grid: Grid) -> dict[str, float]:
    """Side of the image (L, R, A, P, S, I) that the mask touches -> area there in mm2."""
    touched: dict[str, float] = {}
    spacing = np.array(grid.spacing_mm)
    for axis, letter in enumerate(grid.orientation):
        area = np.delete(spacing, axis).prod()
        for at_edge, index, side in (
            (low[axis] == 0, 0, OPPOSITE[letter]),
            (high[axis] == grid.shape_ijk[axis], -1, letter),
        ):
            if at_edge:
                touched[side] = float(np.count_nonzero(np.take(crop, index, axis)) * area)
    return touched


OPPOSITE = dict(zip("LRAPSI", "RLPAIS", strict=True))


def _islands_ml(crop: NDArray[np.bool_], grid: Grid) -> tuple[float, ...]:
    """Volumes of the parts but the largest, falling; voxels that touch in any way belong together."""
    from scipy import ndimage

    steps = np.maximum(np.rint(FINE_MM / np.array(grid.spacing_mm)).astype(int), 1)
    padded = np.pad(crop, [(0, -size % step) for size, step in zip(crop.shape, steps, strict=True)])
    blocks = padded.reshape([n for size, step in zip(padded.shape, steps, strict=True) for n in (size // step, step)])
    voxels = blocks.sum(axis=(1, 3, 5), dtype=np.int16)
    parts, count = ndimage.label(voxels, np.ones((3, 3, 3)))
    if count < 2:
        return ()
    sizes = np.bincount(parts.ravel(), voxels.ravel())[1:]
    return tuple(round(float(size * grid.voxel_volume_mm3 / 1000), 3) for size in sorted(sizes, reverse=True)[1:])


def _side(point: Array) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 3) for value in point)
    return x, y, z
