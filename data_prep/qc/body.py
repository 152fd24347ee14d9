"""Where the body is, on every few voxels of an image: enough to tell what lies outside."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Array, Grid

COARSE_MM = 4.0
BODY_HU = -400
LEAST_ML = 100.0
FEW_VOXELS = 200  # a mask that meets fewer of the coarse voxels is looked up voxel by voxel


@dataclass(frozen=True, eq=False)
class Body:
    """inside: bool on voxels [::steps]; nothing set where no body was found."""

    inside: NDArray[np.bool_]
    steps: tuple[int, int, int]
    grid: Grid

    @property
    def found(self) -> bool:
        return bool(self.inside.any())

    def middle_mm(self) -> Array | None:
        """(3,) LPS: centre of the body."""
        if not self.found:
            return None
        index = [float(np.average(np.arange(len(count)), weights=count)) for count in _counts(self.inside)]
        return self.grid.points_mm(np.array(index) * self.steps)

    def box(self) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
        """First and last index i, j, k of the body."""
        if not self.found:
            return None
        ends = np.array([np.flatnonzero(count)[[0, -1]] for count in _counts(self.inside)])
        return ends[:, 0] * np.array(self.steps), ends[:, 1] * np.array(self.steps)

    def share_of(self, crop: NDArray[np.bool_], low: NDArray[np.intp]) -> float:
        """Share of a mask's voxels inside; `crop` is the mask's box, `low` the index of its first voxel."""
        first = -low % self.steps
        coarse = crop[tuple(slice(start, None, step) for start, step in zip(first, self.steps, strict=True))]
        begin = (low + first) // self.steps
        count = np.count_nonzero(coarse)
        if count >= FEW_VOXELS:
            box = tuple(slice(start, start + size) for start, size in zip(begin, coarse.shape, strict=True))
            return float(np.count_nonzero(coarse & self.inside[box]) / count)
        index = (np.argwhere(crop) + low) // self.steps
        return float(self.inside[tuple(index.T)].mean()) if len(index) else 0.0


def find_body(array_ijk: NDArray, grid: Grid) -> Body:
    """The largest connected part above -400 HU, its hollows (lungs, bowel) filled slice by slice."""
    from scipy import ndimage

    steps = np.maximum(np.rint(COARSE_MM / np.array(grid.spacing_mm)).astype(int), 1)
    i, j, k = (int(step) for step in steps)
    dense = array_ijk[::i, ::j, ::k] > BODY_HU
    parts, count = ndimage.label(dense)
    body = np.zeros(dense.shape, bool)
    if count:
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        if sizes.max() * grid.voxel_volume_mm3 * steps.prod() > LEAST_ML * 1000:
            body = parts == sizes.argmax()
            _fill(body, int(np.argmax(np.abs(grid.affine_lps[2, :3] / np.array(grid.spacing_mm)))))
    return Body(body, (i, j, k), grid)


def _fill(body: NDArray[np.bool_], axis: int) -> None:
    """Fill the hollows of each slice across `axis`. A body cut off by the image's edge is closed along the edge."""
    from scipy import ndimage

    for plane in np.moveaxis(body, axis, 0):
        closed = plane.copy()
        for edge in (closed[0], closed[-1], closed[:, 0], closed[:, -1]):
            ends = np.flatnonzero(edge)
            if len(ends):
                edge[ends[0] : ends[-1]] = True
        plane[...] = ndimage.binary_fill_holes(closed)


def _counts(mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    return [mask.sum(axis=tuple(other for other in range(3) if other != axis)) for axis in range(3)]
