"""Where voxels are. The project's conventions, stated once:

- `index_ijk`: i counts columns (along a row, ImageOrientationPatient's first triplet), j counts rows (second triplet),
  k counts slices along the normal. Arrays are indexed [i, j, k]; integers are voxel centres.
- `points_mm` are in DICOM's patient frame, LPS: +x left, +y posterior, +z superior (PS3.3 C.7.6.2.1.1).
- NIfTI wants RAS: `affine_ras` = diag(-1, -1, 1, 1) @ `affine_lps`.
- The normal is row direction x column direction; slices ascend along it, so a grid is never mirrored.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.errors import GeometryError

Array = NDArray[np.float64]
AT_ONCE = 16384  # points: for more, matrix products start threads, which takes longer than all the rest
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular voxel grid.

    shape_ijk: number of columns, rows, slices. affine_lps: (4, 4) float64, index_ijk -> points_mm in LPS.
    """

    shape_ijk: tuple[int, int, int]
    affine_lps: Array

    @property
    def affine_ras(self) -> Array:
        """(4, 4) float64, index_ijk -> mm in RAS, as NIfTI stores it."""
        return LPS_TO_RAS @ self.affine_lps

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbours along i, j, k."""
        di, dj, dk = np.linalg.norm(self.affine_lps[:3, :3], axis=0)
        return float(di), float(dj), float(dk)

    @property
    def orientation(self) -> str:
        """Where i, j, k point to, roughly: three of Left Right Posterior Anterior Superior Inferior, each axis once."""
        axes = self.affine_ras[:3, :3] / self.spacing_mm
        left, _, right = np.linalg.svd(axes)
        turn = left @ right  # the rotation nearest to the axes
        names = [""] * 3
        for axis in np.argsort(-np.abs(turn).max(axis=0), kind="stable"):  # the clearest first
            towards = int(np.argmax(np.abs(turn[:, axis])))
            names[axis] = ("LR", "PA", "IS")[towards][int(turn[towards, axis] > 0)]
            turn[towards] = 0
        return "".join(names)

    @property
    def voxel_volume_mm3(self) -> float:
        return float(abs(np.linalg.det(self.affine_lps[:3, :3])))

    @property
    def thickness_mm(self) -> Array:
        """(slices,) how much of the body each slice stands for: the distance of the planes, along their normal."""
        area = np.linalg.norm(np.cross(self.affine_lps[:3, 0], self.affine_lps[:3, 1]))
        return np.full(self.shape_ijk[2], self.voxel_volume_mm3 / area)

    @property
    def is_sheared(self) -> bool:
        """Whether the axes are not perpendicular to each other, as under a tilted gantry."""
        return is_sheared(self.affine_lps)

    def points_mm(self, index_ijk: ArrayLike) -> Array:
        """(..., 3) index -> (..., 3) mm in LPS."""
        return _turned(np.asarray(index_ijk, float), self.affine_lps[:3, :3]) + self.affine_lps[:3, 3]

    def index_ijk(self, points_mm: ArrayLike) -> Array:
        """(..., 3) mm in LPS -> (..., 3) continuous index."""
        from_origin: Array = np.asarray(points_mm, float) - self.affine_lps[:3, 3]
        return _turned(from_origin, np.linalg.inv(self.affine_lps[:3, :3]).astype(float, copy=False))


@dataclass(frozen=True, eq=False)
class UnevenGrid(Grid):
    """A grid whose slices lie at uneven distances.

    along_mm: (slices,) distance of each slice from the first along the normal, ascending from 0; two or more slices.
    affine_lps: its third column is the median step, its origin the first slice. k runs piecewise linearly from slice
    to slice, and on beyond the ends with the end gaps.
    """

    along_mm: Array

    @property
    def thickness_mm(self) -> Array:
        """(slices,) how much of the body each slice stands for: half the gap on either side; at the ends, their gap."""
        gaps = np.diff(self.along_mm)
        return (np.r_[gaps[0], gaps] + np.r_[gaps, gaps[-1]]) / 2

    def points_mm(self, index_ijk: ArrayLike) -> Array:
        """(..., 3) index -> (..., 3) mm in LPS."""
        index = np.array(index_ijk, float)
        index[..., 2] = _piecewise(index[..., 2], np.arange(len(self.along_mm), dtype=float), self._even_k())
        return super().points_mm(index)

    def index_ijk(self, points_mm: ArrayLike) -> Array:
        """(..., 3) mm in LPS -> (..., 3) continuous index."""
        index = super().index_ijk(points_mm)
        index[..., 2] = _piecewise(index[..., 2], self._even_k(), np.arange(len(self.along_mm), dtype=float))
        return index

    def _even_k(self) -> Array:
        """(slices,) k that each slice would have if all steps were the median one."""
        return self.along_mm / super().thickness_mm[0]


def is_sheared(affine: Array) -> bool:
    """Whether the axes of a (4, 4) affine are not perpendicular to each other (1e-4 of a radian is rounding)."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() > 1e-4)


def _turned(vectors: Array, matrix: Array) -> Array:
    """(..., 3) vectors, each multiplied by a (3, 3) matrix."""
    flat = vectors.reshape(-1, 3)
    if len(flat) <= AT_ONCE:
        return vectors @ matrix.T
    out = np.empty_like(flat)
    for first in range(0, len(flat), AT_ONCE):
        np.matmul(flat[first : first + AT_ONCE], matrix.T, out=out[first : first + AT_ONCE])
    return out.reshape(vectors.shape)


def _piecewise(values: Array, nodes: Array, targets: Array) -> Array:
    """Linear from node to node (ascending), and on beyond the ends; exact at nodes."""
    n = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)
    return targets[n] + (values - nodes[n]) * ((targets[n + 1] - targets[n]) / (nodes[n + 1] - nodes[n]))


def slice_normal(orientation: ArrayLike) -> Array:
    """Unit normal (LPS) of ImageOrientationPatient's six cosines.

    Raises GeometryError unless both triplets have unit length and are perpendicular to each other within 1e-3.
    """
    cosines = np.asarray(orientation, float)
    if cosines.shape != (6,) or not np.isfinite(cosines).all():
        raise GeometryError(f"ImageOrientationPatient (0020,0037) must hold 6 finite numbers, got {cosines.tolist()}")
    row, column = cosines[:3], cosines[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(row @ column)) > 1e-3:
        raise GeometryError(
            "ImageOrientationPatient (0020,0037) must hold two perpendicular unit vectors, "
            f"got {cosines.tolist()} (lengths {lengths[0]:.4f}, {lengths[1]:.4f}, dot product {row @ column:.4f})"
        )
    normal = np.cross(row, column)
    return normal / np.linalg.norm(normal)
