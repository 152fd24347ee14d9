"""Aerated lung that the network half saw: joined to the lung that it hangs on. Axes do not matter."""

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.spread import spread

TISSUE_HU = -500.0  # lung with air in it lies below
LEAST = 0.02  # of probability; chosen on made chests: benchmarks/lungs/aerated.py
JUST_LUNG = np.float32(0.51)
ROOM_HU = (-1200.0, -900.0)  # air around the body, whatever the calibration; padding is darker
ROOM_SURE = 0.9999  # of background there
ROOM_VOXELS = 1000  # fewer, and it is taken to be PURE_AIR_HU
PURE_AIR_HU = -1000.0
LIGHTER_HU = 15.0  # than the room: lung, however destroyed, holds some tissue


def regain_aerated(
    probability: NDArray[np.float32], hu: NDArray[np.float32], least: float = LEAST
) -> NDArray[np.float32]:
    """probability (3, I, J, K) with aerated voxels that touch lung raised just above one half of lung.

    Lung is where background has less than a half. Voxels below TISSUE_HU in which the two lungs together have at least
    `least` join it where they hang together with it (six neighbours): a threshold with hysteresis. Airways, gas in
    the bowel and free air stay out where the network is sure of them, and so does what is nothing but air all around,
    as in a pneumothorax; dense voxels stay as the network drew them.
    """
    import cc3d

    background = probability[0]
    seen = background < 0.5
    wanted = seen | ((background <= 1 - least) & (hu < TISSUE_HU))
    if not seen.any() or np.count_nonzero(wanted) == np.count_nonzero(seen):
        return probability
    wanted &= seen | ~_free_air(background, hu)
    pieces = cc3d.connected_components(wanted.astype(np.uint8), connectivity=6)
    holds_lung = np.zeros(int(pieces.max()) + 1, bool)
    holds_lung[np.unique(pieces[seen])] = True
    joined = holds_lung[pieces] & ~seen
    raised = probability.copy()
    lungs = probability[1:, joined]
    raised[1:, joined] = lungs * (JUST_LUNG / np.maximum(lungs.sum(axis=0), np.float32(1e-6)))
    raised[0, joined] = 1 - JUST_LUNG
    return raised


def _free_air(background: NDArray[np.float32], hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where no mean of 3 x 3 x 3 voxels beside a voxel is lighter than the room's air by LIGHTER_HU."""
    from scipy import ndimage

    room = hu[(background > ROOM_SURE) & (hu > ROOM_HU[0]) & (hu < ROOM_HU[1])]
    air_hu = float(np.median(room)) if room.size > ROOM_VOXELS else PURE_AIR_HU
    mean = ndimage.uniform_filter(np.clip(hu, ROOM_HU[0], 0), 3)
    free: NDArray[np.bool_] = spread((mean > air_hu + LIGHTER_HU).view(np.uint8), [0, 1, 2], True) == 0
    return free
