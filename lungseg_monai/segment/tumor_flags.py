"""What has to be said of a tumour that was found, and how sure the network was of it. Axes L, P, S."""

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.result import Flag

NAME = "gtv"
BACKGROUND = 0.1  # a million voxels of next to nothing would outweigh any tumour
OUTSIDE = 0.5  # of the tumour's voxels
BESIDE = 0.1  # of the voxels round it: what counts as lung leaves the tumours in it out
EDGES = (("right", "left"), ("front", "back"), ("bottom", "top"))


def tumor_flags(mask: NDArray[np.bool_], lungs: NDArray[np.bool_] | None = None) -> tuple[Flag, ...]:
    """Flags of bool (I, J, K): "no_tumor", "cut_at_edge", "outside_lungs" (it neither lies in
    `lungs` by half, nor is a tenth of what surrounds it lung)."""
    if not mask.any():
        return (Flag("no_tumor", "no tumour was found"),)
    flags = []
    sides = [
        name
        for axis, pair in enumerate(EDGES)
        for name, plane in zip(pair, (mask.take(0, axis), mask.take(-1, axis)), strict=True)
        if plane.any()
    ]
    if sides:
        flags.append(
            Flag("cut_at_edge", f"the tumour reaches the image's edge ({', '.join(sides)}): part may lie beyond")
        )
    if lungs is not None:
        outside = 1 - np.count_nonzero(mask & lungs) / np.count_nonzero(mask)
        if outside > OUTSIDE and _lung_around(mask, lungs) < BESIDE:
            what = (
                f"{100 * outside:.0f} % of the tumour lies outside of what was found as lung, and hardly any lung by it"
            )
            flags.append(Flag("outside_lungs", f"{what}: in the wall or mediastinum, or no tumour at all"))
    return tuple(flags)


def _lung_around(mask: NDArray[np.bool_], lungs: NDArray[np.bool_]) -> float:
    """The share of lung in the voxels that touch the tumour."""
    from scipy.ndimage import binary_dilation, find_objects

    (span,) = find_objects(mask.view(np.uint8))
    box = tuple(slice(max(one.start - 1, 0), one.stop + 1) for one in span)
    shell = binary_dilation(mask[box], np.ones((3, 3, 3))) & ~mask[box]
    around = int(np.count_nonzero(shell))
    return int(np.count_nonzero(shell & lungs[box])) / max(around, 1)


def confidence_of(probability: NDArray[np.float32], threshold: float) -> dict[str, float]:
    """The Dice that what lies above the threshold has with a truth as these probabilities say; {} where nothing does.

    Voxels below BACKGROUND are left out.
    """
    core = probability > threshold
    count = int(np.count_nonzero(core))
    if not count:
        return {}
    inside = float(probability[core].sum(dtype=np.float64))
    around = float(probability[probability > min(BACKGROUND, threshold)].sum(dtype=np.float64))
    return {NAME: 2 * inside / (count + around)}
