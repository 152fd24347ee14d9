"""How far two surfaces lie apart, in mm, by MONAI's surface and distance functions."""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.evaluation.metrics import BoolArray, Score

SURFACE_METRICS = ("hd95_mm", "msd_mm")
Ranges = Sequence[tuple[int, int]]


def surface_scores(
    predicted: BoolArray, reference: BoolArray, spacing_mm: Sequence[float], slices: Ranges | None = None
) -> dict[str, Score]:
    """95th percentile Hausdorff distance and mean surface distance of two (I, J, K) masks.

    A surface is the set of voxels with a face neighbour outside the mask (the volume's end is outside); distances
    are between voxel centres, each way to the nearest one. `hd95_mm` is the larger of the two directions' 95th
    percentiles, `msd_mm` the mean over both directions' distances together: both symmetric.
    `slices`: ascending, separate [start, stop) ranges of the third axis that count; a cut there is no surface.
    None for both scores where either mask is empty in these slices.
    """
    ranges = [(0, predicted.shape[2])] if slices is None else slices
    box = _in_plane_box(predicted | reference)
    surfaces = _surfaces(predicted[box], reference[box], ranges)
    if not all(surface.any() for surface in surfaces):
        return dict.fromkeys(SURFACE_METRICS)
    there, back = _distances_mm(*surfaces, spacing_mm), _distances_mm(*surfaces[::-1], spacing_mm)
    return {
        "hd95_mm": float(max(np.percentile(there, 95), np.percentile(back, 95))),
        "msd_mm": float(np.concatenate([there, back]).mean(dtype=np.float64)),
    }


def _in_plane_box(mask: BoolArray) -> tuple[slice, slice]:
    """What of the first two axes holds the mask: everything else only costs time."""
    sides = []
    for used in (mask.any(axis=(1, 2)), mask.any(axis=(0, 2))):
        inside = np.flatnonzero(used)
        sides.append(slice(inside[0], inside[-1] + 1) if inside.size else slice(0, 0))
    return sides[0], sides[1]


def _surfaces(predicted: BoolArray, reference: BoolArray, ranges: Ranges) -> tuple[BoolArray, BoolArray]:
    from monai.metrics.utils import get_mask_edges

    surfaces = np.zeros(predicted.shape, bool), np.zeros(reference.shape, bool)
    for start, stop in ranges:
        # Where a range ends inside the volume, its last slice goes on for one more, so that the cut is no surface.
        below, above = int(start > 0), int(stop < predicted.shape[2])
        blocks = [
            np.pad(mask[:, :, start:stop], ((0, 0), (0, 0), (below, above)), mode="edge")
            for mask in (predicted, reference)
        ]
        if not blocks[0].size:
            continue
        with warnings.catch_warnings():  # MONAI 1.6 warns of an argument that it passes itself
            warnings.simplefilter("ignore", FutureWarning)
            edges = get_mask_edges(*blocks, crop=False)
        for surface, edge in zip(surfaces, edges, strict=True):
            surface[:, :, start:stop] = edge[:, :, below : below + stop - start]
    return surfaces


def _distances_mm(source: BoolArray, target: BoolArray, spacing_mm: Sequence[float]) -> NDArray[np.floating]:
    """From each voxel of `source` to the nearest one of `target`."""
    from monai.metrics.utils import get_surface_distance

    return np.asarray(get_surface_distance(source, target, spacing=list(spacing_mm)))
