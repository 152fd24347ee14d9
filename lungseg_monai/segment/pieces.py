"""Which separate pieces of a lung stay: pockets near it do, whatever their size; far small ones do not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.airways import GAS_HU
from lungseg_monai.segment.spread import Labels, grow

NEAR_MM = 15.0
SURE = 0.6  # mean probability of a pocket near the lung
FAR_SURE, FAR_ML = 0.8, 40.0  # of a part further off: a lung in parts, behind an effusion
AT_EDGE_ML = 3.0  # the same where the image's side cuts it: the rest of that lung is not in the image
CORE_SHARE = 0.25  # of the largest piece: pieces above this need no reason to stay
WITHIN = 0.5  # of a piece: less, and it lies outside the body


@dataclass(frozen=True)
class Dropped:
    pieces: int
    ml: float


def keep_pieces(
    labels: Labels,
    lung_probability: NDArray[np.float32],
    hu: NDArray[np.float32],
    spacing_mm: float,
    min_pocket_ml: float,
) -> tuple[Labels, Dropped]:
    """labels (1 right, 2 left) without stray pieces. (I, J, K) each; lung_probability: of either lung."""
    import cc3d

    mask = (labels > 0).astype(np.uint8)
    pieces = cc3d.connected_components(mask, connectivity=26)
    voxels = np.bincount(pieces.ravel())
    voxels[0] = 0
    if np.count_nonzero(voxels) <= 1:
        return labels, Dropped(0, 0.0)
    sure = np.bincount(pieces.ravel(), lung_probability.ravel()) / np.maximum(voxels, 1)
    mean_hu = np.bincount(pieces.ravel(), hu.ravel()) / np.maximum(voxels, 1)
    main = (voxels > CORE_SHARE * voxels.max()) & (mean_hu > GAS_HU - 15)
    main[np.argmax(np.where(mean_hu > GAS_HU - 15, voxels, 0))] = True
    near = np.zeros(len(voxels), bool)
    reached = grow(main[pieces].astype(np.uint8), NEAR_MM, (spacing_mm,) * 3)
    near[np.unique(pieces[reached > 0])] = True
    ml = voxels * spacing_mm**3 / 1000
    heights = _heights(pieces, len(voxels))
    low, high = _range(heights, main)
    beside = (heights[:, 1] >= low) & (heights[:, 0] <= high)
    lungs = mean_hu > GAS_HU
    stays = main | (near & (ml >= min_pocket_ml) & (sure >= SURE) & lungs)
    far_ml = np.where(_at_sides(pieces, len(voxels)), AT_EDGE_ML, FAR_ML)
    stays |= (ml >= far_ml) & (sure >= FAR_SURE) & lungs & beside
    stays[0] = False
    gone = ~stays & (voxels > 0)
    return labels * stays[pieces].astype(np.uint8), Dropped(int(gone.sum()), float(ml[gone].sum()))


def between_body(body: Labels) -> Labels:
    """1 where the body (of body_of; axes LPS) lies on both sides: to right and left, or in front and behind.

    Lung that the image cuts still lies so; foam, cloth and pillows beside or under the body do not.
    """
    between = np.zeros_like(body)
    for axis in (0, 1):
        back = np.flip(np.maximum.accumulate(np.flip(body, axis), axis), axis)
        between |= np.maximum.accumulate(body, axis) & back
    return between


def within_body(mask: Labels, between: Labels) -> Labels:
    """mask without the pieces that lie mostly outside `between`, which is of between_body.

    All of it where less is known of the body than of the lungs: an image of lung alone.
    """
    import cc3d

    if np.count_nonzero(between) < np.count_nonzero(mask):
        return mask
    pieces = cc3d.connected_components(mask, connectivity=6)
    drawn = pieces[mask > 0]
    inside = np.bincount(drawn[between[mask > 0] > 0], minlength=int(pieces.max()) + 1)
    stays = inside >= WITHIN * np.bincount(drawn, minlength=len(inside))
    stays[0] = False
    return stays[pieces].view(np.uint8)


def _at_sides(pieces: NDArray[np.unsignedinteger], count: int) -> NDArray[np.bool_]:
    """(count,) whether each piece touches the image's right, left, front or back edge."""
    found = np.zeros(count, bool)
    for plane in (pieces[:2], pieces[-2:], pieces[:, :2], pieces[:, -2:]):
        found[np.unique(plane)] = True
    return found


def _heights(pieces: NDArray[np.unsignedinteger], count: int) -> NDArray[np.int64]:
    """(count, 2): first and last slice of each piece."""
    import cc3d

    heights = np.zeros((count, 2), np.int64)
    for n, box in enumerate(cc3d.statistics(pieces)["bounding_boxes"][:count]):
        heights[n] = box[2].start, box[2].stop - 1
    return heights


def _range(heights: NDArray[np.int64], main: NDArray[np.bool_]) -> tuple[int, int]:
    return int(heights[main, 0].min()), int(heights[main, 1].max())
