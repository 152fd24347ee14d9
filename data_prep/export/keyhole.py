"""Contours with holes -> contours without: each hole joined to what surrounds it by a cut of no width."""

from collections.abc import Sequence

import numpy as np

from data_prep.export.outline import Array, Ring


def join_holes(rings: Sequence[Ring]) -> list[Ring]:
    """The outer contours of one slice with its holes cut into them, for receivers that know no XOR.

    From each hole's first corner a cut runs along its row to the next contour at smaller i. It passes between voxel
    centres, and even-odd counts its two sides away.
    """
    outer = [ring for ring in rings if not ring.hole]
    holes = sorted((ring for ring in rings if ring.hole), key=lambda ring: (ring.points_ij[0, 1], ring.points_ij[0, 0]))
    if not holes:
        return outer
    joined = [ring.points_ij for ring in outer]
    for hole in holes:  # from the top: what a cut meets is an outer contour, or a hole joined before
        n, edge, meet = _meet(hole.points_ij[0], joined)
        start = hole.points_ij[:1]
        joined[n] = np.concatenate([joined[n][: edge + 1], meet, hole.points_ij, start, meet, joined[n][edge + 1 :]])
    return [Ring(points, False) for points in joined]


def _meet(start_ij: Array, joined: Sequence[Array]) -> tuple[int, int, Array]:
    """Which contour the cut meets first, on which of its edges, and the point, (1, 2)."""
    best: tuple[float, int, int] | None = None
    for n, points in enumerate(joined):
        ends = np.roll(points, -1, axis=0)
        low, high = np.minimum(points[:, 1], ends[:, 1]), np.maximum(points[:, 1], ends[:, 1])
        upright = (points[:, 0] == ends[:, 0]) & (low < high)
        met = np.flatnonzero(upright & (low <= start_ij[1]) & (start_ij[1] <= high) & (points[:, 0] <= start_ij[0]))
        if len(met):
            nearest = met[points[met, 0].argmax()]
            if best is None or points[nearest, 0] > best[0]:
                best = float(points[nearest, 0]), n, int(nearest)
    if best is None:
        raise ValueError("a hole lies in no contour: the contours are not those of one slice")
    return best[1], best[2], np.array([[best[0], start_ij[1]]])
