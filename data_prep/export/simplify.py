"""Fewer points, none moved: what is left out lies within a bound of the contour that is left."""

import numpy as np

from data_prep.export.outline import Array, Ring


def simplify(ring: Ring, bound_mm: float, spacing_mm: tuple[float, float]) -> Ring:
    """Leave out points of `ring` that lie within `bound_mm` of what is left (Douglas and Peucker 1973).

    spacing_mm: along i and j. A contour that would be left with fewer than 3 points stays as it is.
    """
    from skimage.measure import approximate_polygon

    points_mm = ring.points_ij * np.asarray(spacing_mm)
    far = int(np.linalg.norm(points_mm - points_mm[0], axis=1).argmax())
    # Two halves, since a closed chain has no straight line from its first to its last point.
    halves = np.split(np.concatenate([points_mm, points_mm[:1]]), [far])
    halves[0] = np.concatenate([halves[0], halves[1][:1]])
    kept: Array = np.concatenate([approximate_polygon(half, bound_mm)[:-1] for half in halves])
    return ring if len(kept) < 3 else Ring(kept / np.asarray(spacing_mm), ring.hole)
