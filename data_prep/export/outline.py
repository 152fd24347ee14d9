"""A slice of a mask -> closed contours along the edges of its voxels. Pure numpy.

Edges run half-way between voxel centres, so whoever fills the contours by the even-odd rule at voxel centres gets the
same voxels back, however a centre on a border is treated.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Style = Literal["edge", "centre"]
INSET = 0.25  # of a voxel: as far from the voxels' centres as from their edges


@dataclass(frozen=True, eq=False)
class Ring:
    """One closed contour. points_ij: (n, 2) continuous column i, row j, corners only, the first one not repeated.

    It begins at the leftmost of its topmost corners. hole: the voxels just inside it do not belong to the mask; it
    runs the other way round than outer contours, which go to larger i first: areas add up with their signs, and
    those who count windings instead of crossings fill the same.
    """

    points_ij: Array
    hole: bool


def outlines(mask_ji: NDArray, style: Style = "edge") -> list[Ring]:
    """The contours of one slice; mask_ji: (rows, columns), anything but 0 is inside. Integers are voxel centres.

    edge: along voxel edges; no contour touches itself, two may touch in a corner. centre: a quarter of a voxel inside
    of that, so that vertices rounded to whole voxels are voxels of the mask, for readers that round and then fill the
    border too; nothing touches. Voxels that share a corner alone get a contour each.
    """
    rows, columns = (np.flatnonzero(np.any(mask_ji, axis=axis)) for axis in (1, 0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    box = mask_ji[top : rows[-1] + 1, left : columns[-1] + 1] != 0
    corners = _corners(box)
    loops = _loops(corners)
    if style == "edge" and corners.twice.any():
        loops = [part for loop in loops for part in _without_repeats(loop, corners)]
    offset = np.array([left - 0.5, top - 0.5])
    rings = []
    for loop in loops:
        hole = not corners.inside_after[loop[0]]
        points = corners.points_ij[loop]
        points = (_inset(points, hole) if style == "centre" else points) + offset
        rings.append(Ring(np.concatenate([points[:1], points[:0:-1]]) if hole else points, hole))
    return rings


@dataclass(frozen=True, eq=False)
class _Corners:
    """Where the border turns, row by row; a corner that two diagonal voxels share stands there twice.

    points_ij: (n, 2) in corners of the box. partner: the other end of each corner's vertical edge; that of its
    horizontal one is its neighbour in the list. inside_after: whether the voxel at larger i and j is in the mask.
    """

    points_ij: Array
    partner: NDArray[np.intp]
    twice: NDArray[np.bool_]
    inside_after: NDArray[np.bool_]


def _corners(box: NDArray[np.bool_]) -> _Corners:
    padded = np.pad(box, 1)
    before, above = padded[:-1, :-1], padded[:-1, 1:]
    below, after = padded[1:, :-1], padded[1:, 1:]
    diagonal = (before == after) & (above == below) & (before != above)
    turns = before ^ above ^ below ^ after | diagonal
    j, i = np.nonzero(turns)
    twice = diagonal[j, i]
    copies = np.where(twice, 2, 1)
    j, i, twice = np.repeat(j, copies), np.repeat(i, copies), np.repeat(twice, copies)
    # Along a row corners pair up as edges: of a double corner the first copy ends the edge on its left. Along a
    # column, the first of two ends the edge above. Which copy that is decides which of the four edges belong
    # together: those of one voxel.
    second = np.zeros(len(i), np.bool_)
    second[1:] = twice[1:] & (np.diff(i) == 0) & (np.diff(j) == 0)
    order = np.lexsort((second ^ (twice & above[j, i]), j, i))
    partner = np.empty(len(i), np.intp)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    return _Corners(np.column_stack([i, j]).astype(float), partner, twice, after[j, i])


def _loops(corners: _Corners) -> list[list[int]]:
    """Numbers of corners, loop by loop: along the row to the neighbour, along the column to the partner."""
    partner = corners.partner.tolist()
    seen = bytearray(len(partner))
    loops = []
    for start in range(0, len(partner), 2):  # the left ends of horizontal edges
        if seen[start]:
            continue
        loop: list[int] = []
        here = start
        while not seen[here]:
            across = here ^ 1
            seen[here] = seen[across] = 1
            loop += (here, across)
            here = partner[across]
        loops.append(loop)
    return loops


def _without_repeats(loop: list[int], corners: _Corners) -> list[list[int]]:
    """Cut a loop that comes by a corner twice into loops that don't; the area they enclose by even-odd is the same."""
    places = list(map(tuple, corners.points_ij[loop].tolist()))
    if len(set(places)) == len(places):
        return [loop]
    parts: list[list[int]] = []
    way: list[int] = []
    at: dict[tuple[float, ...], int] = {}
    for number, place in zip(loop, places, strict=True):
        if place in at:
            first = at[place]
            parts.append(way[first:])
            for left in way[first:]:
                del at[tuple(corners.points_ij[left].tolist())]
            del way[first:]
        at[place] = len(way)
        way.append(number)
    return [_from_the_top(part, corners) for part in [*parts, way]]


def _from_the_top(loop: list[int], corners: _Corners) -> list[int]:
    i, j = corners.points_ij[loop].T
    start = int(np.lexsort((i, j))[0])
    turned = loop[start:] + loop[:start]
    if j[(start + 1) % len(loop)] != j[start]:  # down first
        turned = turned[:1] + turned[:0:-1]
    return turned


def _inset(points_ij: Array, hole: bool) -> Array:
    """Every edge moved towards the mask's side, which lies to the right of an outer contour and left of a hole's."""
    way = np.sign(np.roll(points_ij, -1, axis=0) - points_ij)
    to_mask = np.column_stack([-way[:, 1], way[:, 0]]) * (-INSET if hole else INSET)
    moved: Array = points_ij + to_mask + np.roll(to_mask, 1, axis=0)
    return moved
