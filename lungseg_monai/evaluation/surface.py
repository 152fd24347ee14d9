"""How far two surfaces lie apart, in mm."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.evaluation.metrics import BoolArray, Score

SURFACE_METRICS = ("hd95_mm", "msd_mm")
SURFACE_DICE = "surface_dice"
ROUNDING_MM = 1e-6  # this little above the tolerance is within it: 9 x 0.7 - 6 x 0.7 is more than 2.1 in floats
Ranges = Sequence[tuple[int, int]]


def surface_scores(
    predicted: BoolArray,
    reference: BoolArray,
    spacing_mm: Sequence[float],
    slices: Ranges | None = None,
    tolerance_mm: float | None = None,
) -> dict[str, Score]:
    """95th percentile Hausdorff distance and mean surface distance of two (I, J, K) masks; surface Dice if asked.

    A surface is the set of voxels with a face neighbour outside the mask (the volume's end is outside); distances
    are between voxel centres, each way to the nearest one. `hd95_mm` is the larger of the two directions' 95th
    percentiles, `msd_mm` the mean over both directions' distances together: both symmetric. With `tolerance_mm` also
    `surface_dice`: of the surface voxels of both, the share that lies no farther than that from the other surface.
    `slices`: ascending, separate [start, stop) ranges of the third axis that count; a cut there is no surface.
    None for both distances where either mask is empty in these slices; there surface Dice is 0, None if both are.
    As MONAI's metrics (without subvoxels), which need torch.
    """
    ranges = [(0, predicted.shape[2])] if slices is None else slices
    box = _in_plane_box(predicted | reference)
    points = [_surface_mm(mask[box], ranges, spacing_mm) for mask in (predicted, reference)]
    if not all(len(one) for one in points):
        scores: dict[str, Score] = dict.fromkeys(SURFACE_METRICS)
        return scores if tolerance_mm is None else scores | {SURFACE_DICE: 0.0 if any(map(len, points)) else None}
    there, back = _distances_mm(*points), _distances_mm(*points[::-1])
    both = np.concatenate([there, back])
    scores = {
        "hd95_mm": float(max(np.percentile(there, 95), np.percentile(back, 95))),
        "msd_mm": float(both.mean()),
    }
    if tolerance_mm is not None:
        scores[SURFACE_DICE] = float(np.mean(both <= tolerance_mm + ROUNDING_MM))
    return scores


def _in_plane_box(mask: BoolArray) -> tuple[slice, slice]:
    """What of the first two axes holds the mask: everything else only costs time."""
    sides = []
    for used in (mask.any(axis=(1, 2)), mask.any(axis=(0, 2))):
        inside = np.flatnonzero(used)
        sides.append(slice(inside[0], inside[-1] + 1) if inside.size else slice(0, 0))
    return sides[0], sides[1]


def _surface_mm(mask: BoolArray, ranges: Ranges, spacing_mm: Sequence[float]) -> NDArray[np.float64]:
    """(n, 3): the surface's voxel centres in these slices, in mm along the array's axes."""
    from scipy.ndimage import binary_erosion

    points = [np.zeros((0, 3))]
    for start, stop in ranges:
        # Where a range ends inside the volume, its last slice goes on for one more, so that the cut is no surface.
        below, above = int(start > 0), int(stop < mask.shape[2])
        block = np.pad(mask[:, :, start:stop], ((0, 0), (0, 0), (below, above)), mode="edge")
        if not block.any():
            continue
        surface = (block & ~binary_erosion(block))[:, :, below : below + stop - start]
        points.append((np.argwhere(surface) + np.array([0, 0, start])) * np.asarray(spacing_mm, np.float64))
    return np.concatenate(points)


def _distances_mm(source_mm: NDArray[np.float64], target_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """From each point of `source_mm` to the nearest one of `target_mm`."""
    from scipy.spatial import KDTree

    return np.asarray(KDTree(target_mm, leafsize=32).query(source_mm)[0])
