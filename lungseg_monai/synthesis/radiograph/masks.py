"""The lungs on the film, by known geometry, in three conventions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.chest import LEFT, RIGHT
from lungseg_monai.synthesis.fields import Field

LUNG_MM = 6.0  # a ray that runs so far through lung shows lung
SOLID_MM = 7.0  # a ray that runs so far through heart, great vessels or abdomen is in their shadow


@dataclass(frozen=True)
class Paths:
    """(rows, columns) each, mm of a ray within: lungs by label, heart and great vessels, abdomen under the domes."""

    lung: dict[int, Field]
    middle: Field
    abdomen: Field


def anatomical(paths: Paths) -> NDArray[np.uint8]:
    """1 where a ray runs through LUNG_MM or more of the right lung, 2 left; where both, the longer path's."""
    right, left = paths.lung[RIGHT], paths.lung[LEFT]
    label = np.where(right >= left, np.uint8(RIGHT), np.uint8(LEFT))
    return np.where(np.maximum(right, left) >= LUNG_MM, label, np.uint8(0))


def completed(paths: Paths) -> NDArray[np.uint8]:
    """The anatomical lungs above the domes alone: with what lies behind the heart, without what lies below."""
    return _one_piece(np.where(paths.abdomen < SOLID_MM, anatomical(paths), np.uint8(0)))


def visible(paths: Paths) -> NDArray[np.uint8]:
    """As a reader draws: anatomical without the shadows of heart, great vessels and abdomen, one piece a side."""
    seen = (paths.middle < SOLID_MM) & (paths.abdomen < SOLID_MM)
    return _one_piece(np.where(seen, anatomical(paths), np.uint8(0)))


def _one_piece(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    kept = np.zeros_like(labels)
    for label in (RIGHT, LEFT):
        kept[_largest(_smooth(labels == label))] = label
    return kept


def _smooth(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without slivers that no reader's hand would follow: opened by a hundred and twentieth of the film."""
    from scipy import ndimage

    radius = max(1, round(max(mask.shape) / 120))
    steps = np.arange(-radius, radius + 1)
    disk = steps[:, None] ** 2 + steps[None] ** 2 <= radius**2
    return np.asarray(ndimage.binary_opening(mask, disk), bool)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy import ndimage

    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == int(np.argmax(sizes)), bool)
