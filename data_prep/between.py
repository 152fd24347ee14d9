"""Slices without contours between slices with contours, filled by shape-based interpolation. Only ever on request.

Source: S. P. Raya and J. K. Udupa, Shape-based interpolation of multidimensional objects, IEEE TMI 9 (1990).
"""

from collections.abc import Collection
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Array, Grid
from data_prep.planes import PlaneReport
from data_prep.rasterize import pixel_area_mm2

Mask = NDArray[np.uint8]
FAR_MM = 1e6  # from the nearest border, where a slice is all inside


def fill_between(mask_ijk: Mask, drawn_slices: Collection[int], grid: Grid) -> tuple[Mask, list[int]]:
    """Fill the slices that were skipped in drawing; return the mask and which slices k got voxels.

    mask_ijk: uint8 0/1 with axes i, j, k on `grid`, as `rasterize` makes it; it is not changed. drawn_slices: the
    slices with contours (PlaneReport.drawn_slices). A skipped slice lies between two of them; its distance map (mm to
    the nearest border, positive inside) is the mean of theirs, weighted by how near they are in mm. What comes out
    positive is inside. Nothing is filled before the first or behind the last slice with contours, nor beside one whose
    contours enclose no pixel centre. Where two neighbours hardly overlap, so little may be left that a slice stays
    empty.
    """
    drawn = sorted(k for k in drawn_slices if 0 <= k < grid.shape_ijk[2])
    gaps = [(a, b) for a, b in pairwise(drawn) if b > a + 1]
    if not gaps:
        return mask_ijk, []
    filled = mask_ijk.copy(order="K")
    along_mm = _along_mm(grid)
    changed = []
    for a, b in gaps:
        if not (mask_ijk[:, :, a].any() and mask_ijk[:, :, b].any()):
            continue
        part = _box((mask_ijk[:, :, a] | mask_ijk[:, :, b]) > 0)
        before, after = (_depth_mm(mask_ijk[:, :, k][part] > 0, grid) for k in (a, b))
        for k in range(a + 1, b):
            share = (along_mm[k] - along_mm[a]) / (along_mm[b] - along_mm[a])
            inside = (1 - share) * before + share * after > 0
            filled[:, :, k][part] |= inside
            if inside.any():
                changed.append(k)
    return filled, changed


def interpolate(mask_ijk: Mask, report: PlaneReport, grid: Grid) -> Mask:
    """`fill_between` for a mask of `rasterize`, its ledger brought up to date: interpolated, voxels, voxel_mm3.

    polygon_mm3 stays what was drawn: it holds no interpolated slice.
    """
    filled, slices = fill_between(mask_ijk, report.drawn_slices, grid)
    voxel_mm3 = pixel_area_mm2(grid) * grid.thickness_mm
    for k in slices:
        added = int(np.count_nonzero(filled[:, :, k])) - int(np.count_nonzero(mask_ijk[:, :, k]))
        report.voxels += added
        report.voxel_mm3 += added * float(voxel_mm3[k])
    report.interpolated = len(slices)
    return filled


def _along_mm(grid: Grid) -> Array:
    """(slices,) where each slice lies along the normal."""
    centres = np.zeros((grid.shape_ijk[2], 3))
    centres[:, 2] = np.arange(grid.shape_ijk[2])
    normal = np.cross(grid.affine_lps[:3, 0], grid.affine_lps[:3, 1])
    return grid.points_mm(centres) @ (normal / np.linalg.norm(normal))


def _box(inside: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The columns and rows around all that is inside, and one more on each side where the image has one."""
    i, j = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    return slice(max(int(i[0]) - 1, 0), int(i[-1]) + 2), slice(max(int(j[0]) - 1, 0), int(j[-1]) + 2)


def _depth_mm(inside: NDArray[np.bool_], grid: Grid) -> Array:
    """Signed distance of each pixel centre to the nearest one on the other side of the border, positive inside."""
    from scipy.ndimage import distance_transform_edt

    if inside.all():
        return np.full(inside.shape, FAR_MM)
    spacing_mm = grid.spacing_mm[:2]
    depth: Array = distance_transform_edt(inside, sampling=spacing_mm)
    return depth - distance_transform_edt(~inside, sampling=spacing_mm)
