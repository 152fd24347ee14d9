"""Aerated lung that the network half saw: joined to the lung that it hangs on. Axes do not matter."""

import numpy as np
from numpy.typing import NDArray

TISSUE_HU = -500.0  # lung with air in it lies below
LEAST = 0.02  # of probability; chosen on made chests: benchmarks/lungs/aerated.py
JUST_LUNG = np.float32(0.51)


def regain_aerated(
    probability: NDArray[np.float32], hu: NDArray[np.float32], least: float = LEAST
) -> NDArray[np.float32]:
    """probability (3, I, J, K) with aerated voxels that touch lung raised just above one half of lung.

    Lung is where background has less than a half. Voxels below TISSUE_HU in which the two lungs together have at least
    `least` join it where they hang together with it (six neighbours): a threshold with hysteresis. Airways, gas in
    the bowel and free air stay out where the network is sure of them; dense voxels stay as the network drew them.
    """
    import cc3d

    background = probability[0]
    seen = background < 0.5
    wanted = seen | ((background <= 1 - least) & (hu < TISSUE_HU))
    if not seen.any() or np.count_nonzero(wanted) == np.count_nonzero(seen):
        return probability
    pieces = cc3d.connected_components(wanted.astype(np.uint8), connectivity=6)
    holds_lung = np.zeros(int(pieces.max()) + 1, bool)
    holds_lung[np.unique(pieces[seen])] = True
    joined = holds_lung[pieces] & ~seen
    raised = probability.copy()
    lungs = probability[1:, joined]
    raised[1:, joined] = lungs * (JUST_LUNG / np.maximum(lungs.sum(axis=0), np.float32(1e-6)))
    raised[0, joined] = 1 - JUST_LUNG
    return raised
