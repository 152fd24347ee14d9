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
    finer = [max(1, int(np.ceil(pixel / step_mm))) for pixel in grid.spacing_mm[:2]]
    # fine index -> index: sample m lies at (m + OFF_CENTRE) / finer
    index_from_fine = np.diag([1 / finer[0], 1 / finer[1], 1.0, 1.0])
    index_from_fine[:2, 3] = OFF_CENTRE / finer[0], OFF_CENTRE / finer[1]
    shape = grid.shape_ijk[0] * finer[0], grid.shape_ijk[1] * finer[1]
    body_from_fine = body_from_world @ grid.affine_lps @ index_from_fine

    contours = []
    for k in slices:
        field = _sample(solid, shape, k, body_from_fine)
        if field is None:
            continue
        origin, values = field
        for line in find_contours(values, 0.0):
            fine = np.column_stack([line[:-1] + origin, np.full(len(line) - 1, k)])
            points_mm = grid.points_mm(fine @ index_from_fine[:3, :3].T + index_from_fine[:3, 3])
            if len(points_mm) >= 3 and _area_mm2(line, grid, finer) >= SMALLEST_MM2:
                contours.append(Contour(k, points_mm))
    return contours


def _sample(solid: Solid, shape: tuple[int, int], k: int, body_from_fine: Array) -> tuple[Array, NDArray] | None:
    """The field on slice k around the solid, with a rim outside it that closes every outline; and where it starts."""
    blocks = shape[0] // BLOCK, shape[1] // BLOCK
    body_from_block = body_from_fine @ np.array(
        [[BLOCK, 0, 0, (BLOCK - 1) / 2], [0, BLOCK, 0, (BLOCK - 1) / 2], [0, 0, 1, 0], [0, 0, 0, 1.0]]
    )
    diagonal_mm = float(np.linalg.norm(body_from_block[:3, 0] + body_from_block[:3, 1]))
    reach_mm = STEEPEST * diagonal_mm * (1 / 2 + 1 / BLOCK)  # from a block's middle to its corner, and a sample more
    values = np.full((shape[0] + 2, shape[1] + 2), FAR, np.float32)
    for (columns, rows), points in tiles(blocks, range(k, k + 1), body_from_block, solid, TILE // BLOCK):
        coarse = solid.at(points)
        if isinstance(coarse, float):
            continue
        fine = coarse[:, :, 0].repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
        i, j = np.nonzero(np.abs(fine) < reach_mm)
        if i.size:
            index = np.stack([i + columns.start * BLOCK, j + rows.start * BLOCK, np.full(i.size, k)], axis=1)
            near = Points.of(index @ body_from_fine[:3, :3].T + body_from_fine[:3, 3])
            fine[i, j] = solid.at(near)
        target = values[1:-1, 1:-1][
            columns.start * BLOCK : columns.stop * BLOCK, rows.start * BLOCK : rows.stop * BLOCK
        ]
        target[:] = fine
    inside = np.argwhere(values < 0)
    if not inside.size:
        return None
    low, high = inside.min(axis=0) - 1, inside.max(axis=0) + 2
    return low - 1.0, values[low[0] : high[0], low[1] : high[1]]


def _area_mm2(line: NDArray, grid: Grid, finer: list[int]) -> float:
    u, v = line.T * np.array([[grid.spacing_mm[0] / finer[0]], [grid.spacing_mm[1] / finer[1]]])
    return float(abs(np.sum(u[:-1] * v[1:] - u[1:] * v[:-1])) / 2)
