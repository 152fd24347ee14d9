"""Planes through a volume as people look at them: from the feet and from the front, head up, in true proportions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Array, Grid

# LPS directions of a picture's right and down; the patient's right is at the left, the front of sagittal ones too.
PLANES = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
}
LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))  # of the negative and positive end of LPS axes
SECOND_LETTER = 0.25  # a direction that has this much of another axis is named by both
UPRIGHT_DEG = 0.5


@dataclass(frozen=True, eq=False)
class View:
    """A picture's frame: mm from its upper left corner, to the right and down.

    name: axial, coronal or sagittal, whatever is nearest. to_mm: (2, 4), LPS mm and 1 -> picture mm.
    size_mm: width, height. letters: patient's sides at the left, right, top and bottom edge.
    """

    name: str
    to_mm: Array
    size_mm: tuple[float, float]
    letters: tuple[str, str, str, str]

    def flat(self, points_mm: NDArray) -> Array:
        """(n, 3) LPS mm -> (n, 2) picture mm."""
        return np.asarray(points_mm, float) @ self.to_mm[:, :3].T + self.to_mm[:, 3]


@dataclass(frozen=True, eq=False)
class SliceView:
    """The view of slices as acquired, voxel by voxel, of the box low..high (high excluded) in i, j."""

    view: View
    columns: int  # the array's axis (0 or 1) that runs along the picture's rows
    flips: tuple[bool, bool]
    low: tuple[int, int]
    high: tuple[int, int]
    spacing_mm: tuple[float, float]

    def turn(self, plane: NDArray) -> NDArray:
        """(I, J) of a whole slice -> (rows, columns) of the picture."""
        plane = plane[self.low[0] : self.high[0], self.low[1] : self.high[1]]
        rows = plane.T if self.columns == 0 else plane
        return rows[:: -1 if self.flips[1] else 1, :: -1 if self.flips[0] else 1]


def nearest_plane(grid: Grid) -> str:
    """What the slices of a grid are called."""
    return ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(_normal(grid))))]


def tilt_deg(grid: Grid) -> float:
    """Angle between the grid's axes and the patient's, the largest of the three."""
    axes = np.abs(grid.affine_lps[:3, :3]) / np.array(grid.spacing_mm)
    return float(np.degrees(np.arccos(np.clip(axes.max(axis=0), -1, 1))).max())


def slice_view(grid: Grid, low: tuple[int, int], high: tuple[int, int]) -> SliceView:
    """The view of a grid's slices, cut to the box low..high; the picture's edges are the voxels' edges."""
    name = nearest_plane(grid)
    right, down = np.array(PLANES[name], float)
    axes = grid.affine_lps[:3, :2] / np.array(grid.spacing_mm[:2])
    columns = int(abs(axes[:, 1] @ right) > abs(axes[:, 0] @ right))
    rows = 1 - columns
    flips = bool(axes[:, columns] @ right < 0), bool(axes[:, rows] @ down < 0)
    index = np.linalg.inv(grid.affine_lps)
    to_mm = np.zeros((2, 4))
    for line, (axis, flip) in enumerate(zip((columns, rows), flips, strict=True)):
        edge = high[axis] - 0.5 if flip else low[axis] - 0.5
        to_mm[line] = index[axis]
        to_mm[line, 3] -= edge
        to_mm[line] *= grid.spacing_mm[axis] * (-1 if flip else 1)
    spacing = grid.spacing_mm[columns], grid.spacing_mm[rows]
    size_mm = (high[columns] - low[columns]) * spacing[0], (high[rows] - low[rows]) * spacing[1]
    signs = [-1 if flip else 1 for flip in flips]
    letters = _edge_letters(axes[:, columns] * signs[0], axes[:, rows] * signs[1])
    return SliceView(View(name, to_mm, size_mm, letters), columns, flips, low, high, spacing)


def patient_view(grid: Grid, name: str, low: NDArray, high: NDArray) -> View:
    """The true `name` plane of the patient around the voxels low..high (high excluded), whatever the grid's angle."""
    right, down = np.array(PLANES[name], float)
    corners = np.stack(np.meshgrid(*zip(low - 0.5, high - 0.5, strict=True), indexing="ij"), -1).reshape(-1, 3)
    flat = grid.points_mm(corners) @ np.array([right, down]).T
    (left, top), (width, height) = flat.min(axis=0), np.ptp(flat, axis=0)
    to_mm = np.vstack([[*right, -left], [*down, -top]])
    return View(name, to_mm, (float(width), float(height)), _edge_letters(right, down))


def sample_index(grid: Grid, view: View, through_mm: Array, size_px: tuple[int, int]) -> Array:
    """(height, width, 3) continuous voxel indices of the pixels of a patient_view through a point."""
    width, height = size_px
    right, down = np.array(PLANES[view.name], float)
    x, y = ((np.arange(n) + 0.5) / n * mm for n, mm in zip(size_px, view.size_mm, strict=True))
    origin = through_mm - view.flat(through_mm[None])[0] @ np.array([right, down])
    points = origin + x[None, :, None] * right + y[:, None, None] * down
    return grid.index_ijk(points.reshape(-1, 3)).reshape(height, width, 3)


def _normal(grid: Grid) -> Array:
    normal = np.cross(grid.affine_lps[:3, 0], grid.affine_lps[:3, 1])
    return normal / np.linalg.norm(normal)


def _edge_letters(right: Array, down: Array) -> tuple[str, str, str, str]:
    return _letters(-right), _letters(right), _letters(-down), _letters(down)


def _letters(direction: Array) -> str:
    order = np.argsort(-np.abs(direction))
    return "".join(
        LETTERS[axis][int(direction[axis] > 0)]
        for n, axis in enumerate(order)
        if n == 0 or (n == 1 and abs(direction[axis]) >= SECOND_LETTER)
    )
