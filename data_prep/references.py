"""Which image each contour names (ContourImageSequence), checked against where it lies. Position always decides."""

from collections.abc import Collection, Sequence

import numpy as np

from data_prep.geometry import Grid
from data_prep.planes import PARALLEL
from data_prep.rtstruct import Roi


def cross_check(roi: Roi, grid: Grid, uids_by_k: Sequence[Collection[str]]) -> list[str]:
    """What is odd about the images that the contours of `roi` name, as flags for people; [] where nothing is.

    uids_by_k: for each slice k of `grid`, the SOPInstanceUIDs of the images that became it; empty for a slice that
    was interpolated. A contour that names no image, or several, is not checked. Copies of public sets name UIDs that
    don't exist, because one tool renamed the images and another the RTSTRUCT: no ground to refuse what lies right.
    Raises nothing; contours that no slice can be told for are left to `place`, which counts them.
    """
    named = [(uid, points_mm) for uid, points_mm in zip(roi.image_uids, roi.contours_mm, strict=True) if uid]
    if not named:
        return []
    slice_of = {uid: k for k, uids in enumerate(uids_by_k) for uid in uids}
    flags = []
    unknown = sum(uid not in slice_of for uid, _ in named)
    if unknown:
        flags.append(f"{_contours(unknown)} an image that is not in the series: placed by position")
    off_mm = [_distance_mm(points_mm, slice_of[uid], grid) for uid, points_mm in named if uid in slice_of]
    far_mm = [distance for distance in off_mm if distance]
    if far_mm:
        flags.append(
            f"{_contours(len(far_mm))} an image at another position (up to {max(far_mm):.1f} mm off): "
            "placed by position"
        )
    return flags


def _contours(count: int) -> str:
    return "1 contour names" if count == 1 else f"{count} contours name"


def _distance_mm(points_mm: np.ndarray, k: int, grid: Grid) -> float:
    """From the contour to the slice that it names, along the normal; 0 where that is the nearest slice."""
    index_k = grid.index_ijk(points_mm)[:, 2]
    if not np.isfinite(index_k).all() or np.ptp(index_k) > PARALLEL or abs(index_k.mean() - k) <= 0.5 + 1e-6:
        return 0.0
    normal = np.cross(grid.affine_lps[:3, 0], grid.affine_lps[:3, 1])
    there_mm = grid.points_mm(np.array([0.0, 0.0, k]))
    return float(abs((points_mm.mean(axis=0) - there_mm) @ normal) / np.linalg.norm(normal))
