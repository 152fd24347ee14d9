"""A mask on whatever grid -> the same voxels on the slices of a series. Only the affines decide."""

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from data_prep.export.reference import ReferenceSeries
from data_prep.export.regions import MaskError
from data_prep.geometry import Array, Grid

TOLERANCE = 0.1  # of a voxel: how far a mask's voxel may lie from the series' voxel that it stands for


def align(mask_ijk: NDArray, grid: Grid, series: ReferenceSeries) -> NDArray:
    """The mask with axes slice, row, column of `series`: voxels moved by whole indices, none made, none lost.

    Axes may be permuted and flipped, and the mask may cover a part of the series or reach beyond it where it is
    empty. Raises MaskError where its voxels are not the series' own, or some lie outside the series.
    """
    mask, affine = _turned(mask_ijk, grid, series)  # axes slice, row, column; affine of column, row, slice
    drawn = np.flatnonzero(mask.any(axis=(1, 2)))
    to, shift = _places(mask.shape, affine, series, drawn)
    columns, rows, count = series.shape_ijk
    if not shift.any() and mask.shape == (count, rows, columns) and np.array_equal(to, np.arange(count)):
        return mask
    out = np.zeros((count, rows, columns), mask.dtype)
    (i_to, i_from), (j_to, j_from) = (_overlap(int(shift[a]), mask.shape[2 - a], series.shape_ijk[a]) for a in (0, 1))
    for k in drawn:
        out[to[k], j_to, i_to] = mask[k, j_from, i_from]
    lost = int(np.count_nonzero(mask)) - int(np.count_nonzero(out))
    if lost:
        raise MaskError(f"{lost} of its voxels lie outside the images of the series")
    return out


def resample_nearest(mask_ijk: NDArray, grid: Grid, series: ReferenceSeries) -> NDArray:
    """For each voxel of the series, axes slice, row, column, the mask's voxel that is nearest to its centre."""
    columns, rows, count = series.shape_ijk
    out = np.zeros((count, rows, columns), np.uint8)
    into = np.linalg.inv(grid.affine_lps)
    along_i, along_j = series.steps_mm @ into[:3, :3].T
    i, j = np.arange(columns)[None, :, None], np.arange(rows)[:, None, None]
    size = np.array(mask_ijk.shape)
    used = [np.flatnonzero(mask_ijk.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not len(used[0]):
        return out
    low, high = (np.array([axis[end] for axis in used]) for end in (0, -1))
    for k, position in enumerate(series.positions_mm):
        index = np.floor(grid.index_ijk(position) + i * along_i + j * along_j + 0.5)
        inside = ((index >= low) & (index <= high)).all(axis=2)
        if inside.any():
            a, b, c = np.clip(index[inside], 0, size - 1).astype(np.intp).T
            out[k][inside] = mask_ijk[a, b, c] != 0
    return out


def _turned(mask_ijk: NDArray, grid: Grid, series: ReferenceSeries) -> tuple[NDArray, Array]:
    """The mask with its axes laid along the series' slices, rows and columns, and the affine of column, row, slice."""
    directions = grid.affine_lps[:3, :3] / np.linalg.norm(grid.affine_lps[:3, :3], axis=0)
    wanted = np.vstack([series.steps_mm / np.linalg.norm(series.steps_mm, axis=1)[:, None], series.normal])
    cosines = wanted @ directions  # series' axis, mask's axis
    order = max(permutations(range(3)), key=lambda order: np.abs(cosines[range(3), order]).prod())
    affine = grid.affine_lps.copy()
    affine[:3, :3] = grid.affine_lps[:3, list(order)]
    mask = mask_ijk.transpose(order)
    for axis in range(3):
        if cosines[axis, order[axis]] < 0:
            affine[:3, 3] += affine[:3, axis] * (mask.shape[axis] - 1)
            affine[:3, axis] *= -1
            mask = np.flip(mask, axis)
    return mask.transpose(2, 1, 0), affine


def _places(
    shape: tuple[int, ...], affine: Array, series: ReferenceSeries, drawn: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For each slice of the mask the series' slice where it lies, and by how many voxels along i, j it is shifted."""
    slices, rows, columns = shape
    into = np.linalg.inv(
        np.column_stack([*series.steps_mm, series.normal])
    )  # mm -> voxels, voxels, mm along the normal
    starts = (affine[:3, 3] + np.arange(slices)[:, None] * affine[:3, 2]) @ into.T
    places = series.positions_mm @ into.T
    step = abs(float((into @ affine[:3, 2])[2]))
    gap = float(np.diff(places[:, 2]).min()) if len(places) > 1 else step
    to = np.abs(starts[:, 2:] - places[:, 2]).argmin(axis=1)
    off = starts - places[to]
    within = np.flatnonzero(np.abs(off[:, 2]) <= gap / 2)
    beyond = np.setdiff1d(drawn, within)
    if len(beyond) and (starts[beyond, 2].min() < places[0, 2] - gap or starts[beyond, 2].max() > places[-1, 2] + gap):
        raise MaskError(f"{len(beyond)} of its slices lie beyond the first or last slice of the series")
    if not len(within):
        raise MaskError("it lies beside the series: not one of its slices is there")
    shift = np.round(np.median(off[within, :2], axis=0))
    far = np.array([[0, 0, 0], [columns - 1, 0, 0], [0, rows - 1, 0], [columns - 1, rows - 1, 0]], float)
    strays = far @ (affine[:3, :3].T @ into.T) - far + (off[within, None] - [*shift, 0])
    worst = np.abs(strays / [1, 1, gap]).max()
    if worst > TOLERANCE or len(beyond) or (np.diff(to[within]) != 1).any() or (np.diff(within) != 1).any():
        raise MaskError(_other_grid(affine, series, float(worst)))
    return to, shift.astype(np.intp)


def _other_grid(affine: Array, series: ReferenceSeries, worst: float) -> str:
    spacing = " x ".join(f"{step:.3f}" for step in np.linalg.norm(affine[:3, :3], axis=0))
    gaps = np.diff(series.along_mm)
    usual = "-" if not len(gaps) else f"{gaps.min():.3f}" + ("" if np.ptp(gaps) < 0.01 else f" to {gaps.max():.3f}")
    wanted = " x ".join([*(f"{step:.3f}" for step in series.spacing_mm), usual])
    return (
        f"its voxels are not the series' own: its spacing is {spacing} mm, the series' {wanted} mm, and voxels lie up "
        f"to {worst:.2f} of a voxel apart; at most {TOLERANCE} is taken for the same. Give the series that the mask "
        "was made on, or --resample nearest, which loses detail"
    )


def _overlap(shift: int, size: int, wanted: int) -> tuple[slice, slice]:
    """Where indices of a mask's axis lie on the series' axis, and which they are."""
    start, stop = max(0, shift), min(wanted, size + shift)
    stop = max(start, stop)
    return slice(start, stop), slice(start - shift, stop - shift)
