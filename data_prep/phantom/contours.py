"""Outlines of a solid on the planes of a grid, finer than its pixels: marching squares on the solid's own field."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Grid
from data_prep.phantom.solids import FAR, Array, Points, Solid
from data_prep.phantom.tiles import tiles

STEPS_ACROSS, STEP_RANGE_MM = 50, (0.7, 1.6)  # samples across a solid, and the distance between two
OFF_CENTRE = 0.37  # of a step, so that samples never coincide with pixel centres
BLOCK = 3  # samples along a block; only blocks near the surface are sampled in full
STEEPEST = 1.5  # how fast a field may change a mm
SMALLEST_MM2 = 0.5  # an outline of less is a grain at an edge, which nobody would draw
TILE = 192  # samples, a multiple of BLOCK


@dataclass(frozen=True)
class Contour:
    """One closed outline on slice k. points_mm: (n, 3) in LPS."""

    k: int
    points_mm: Array


def trace(solid: Solid, grid: Grid, slices: tuple[int, ...], body_from_world: Array) -> list[Contour]:
    """All outlines of `solid` on the given slices, holes among them (even-odd). Vertices are float, in no raster."""
    from skimage.measure import find_contours

    step_mm = float(np.clip((solid.box_mm[1] - solid.box_mm[0]).min() / STEPS_ACROSS, *STEP_RANGE_MM))
    finer = [max(1, int(np.ceil(pixel / step_mm - 1e-6))) for pixel in grid.spacing_mm[:2]]
    # fine index -> index: sample m lies at (m + OFF_CENTRE) / finer
    index_from_fine = np.diag([1 / finer[0], 1 / finer[1], 1.0, 1.0])
    index_from_fine[:2, 3] = OFF_CENTRE / finer[0], OFF_CENTRE / finer[1]
    blocks = -(-grid.shape_ijk[0] * finer[0] // BLOCK), -(-grid.shape_ijk[1] * finer[1] // BLOCK)
    body_from_fine = body_from_world @ grid.affine_lps @ index_from_fine

    contours = []
    for k in slices:
        field = _sample(solid, blocks, k, body_from_fine)
        if field is None:
            continue
        origin, values = field
        for line in find_contours(values, 0.0):
            fine = np.column_stack([line[:-1] + origin, np.full(len(line) - 1, k)])
            points_mm = grid.points_mm(fine @ index_from_fine[:3, :3].T + index_from_fine[:3, 3])
            if len(points_mm) >= 3 and _area_mm2(line, grid, finer) >= SMALLEST_MM2:
                contours.append(Contour(k, points_mm))
    return contours


def _sample(solid: Solid, blocks: tuple[int, int], k: int, body_from_fine: Array) -> tuple[Array, NDArray] | None:
    """The field on slice k around the solid, and the fine index where it starts; None where the solid is not.

    A rim that lies outside closes every outline. Away from the surface a block holds its middle's value throughout.
    """
    middle = (BLOCK - 1) / 2
    body_from_block = body_from_fine @ [[BLOCK, 0, 0, middle], [0, BLOCK, 0, middle], [0, 0, 1, 0], [0, 0, 0, 1]]
    diagonal_mm = float(np.linalg.norm(body_from_block[:3, 0] + body_from_block[:3, 1]))
    reach_mm = STEEPEST * diagonal_mm * (1 / 2 + 1 / BLOCK)  # from a block's middle to its corner, and a sample more
    values = np.full((blocks[0] * BLOCK + 2, blocks[1] * BLOCK + 2), FAR, np.float32)
    for (columns, rows), points in tiles(blocks, range(k, k + 1), body_from_block, solid, TILE // BLOCK):
        coarse = solid.at(points)
        if isinstance(coarse, float):
            continue
        fine = coarse[:, :, 0].repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
        first = columns.start * BLOCK, rows.start * BLOCK
        i, j = _samples_of(np.abs(coarse[:, :, 0]) < reach_mm)
        if i.size:
            index = np.stack([i + first[0], j + first[1], np.full(i.size, k)], axis=1)
            fine[i, j] = solid.at(Points.of(index @ body_from_fine[:3, :3].T + body_from_fine[:3, 3]))
        values[1 + first[0] : 1 + columns.stop * BLOCK, 1 + first[1] : 1 + rows.stop * BLOCK] = fine
    inside = values < 0
    if not inside.any():
        return None
    columns_in, rows_in = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    i0, j0 = columns_in[0] - 1, rows_in[0] - 1
    return np.array([i0 - 1.0, j0 - 1.0]), values[i0 : columns_in[-1] + 2, j0 : rows_in[-1] + 2]


def _samples_of(blocks: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Fine indices (i, j) of all samples in the chosen blocks."""
    within = np.arange(BLOCK)
    column, row = (axis[:, None, None] * BLOCK for axis in np.nonzero(blocks))
    i, j = np.broadcast_arrays(column + within[:, None], row + within)
    return i.ravel(), j.ravel()


def _area_mm2(line: NDArray, grid: Grid, finer: list[int]) -> float:
    u, v = line.T * np.array([[grid.spacing_mm[0] / finer[0]], [grid.spacing_mm[1] / finer[1]]])
    return float(abs(np.sum(u[:-1] * v[1:] - u[1:] * v[:-1])) / 2)
