"""Whether a picture's grey values are inverted, told by what the network finds in it and in its negative."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.pictures.grey import grey
from lungseg_monai.pictures.resize import resize
from lungseg_monai.segment.radiographs.certainty import sure_share

Floats = NDArray[np.float32]
UNSURE = 0.85  # below this expected Dice the negative is looked at too
SURER = 0.03  # a negative must be surer by so much to take the picture's place where brightness tells nothing
LEAST = 0.02  # of the picture: less lung than this tells nothing of brightness


@dataclass(frozen=True)
class Seen:
    """probability: (h, w) on the network's grid. sure: the expected Dice. lift: how much brighter the lungs are than
    what lies between and around them, as a share of the picture's range; below 0 in an X-ray as it should be."""

    probability: Floats
    sure: float
    lift: float | None

    @classmethod
    def of(cls, picture: NDArray[Any], probability: Floats, spatial_size: Sequence[int]) -> "Seen":
        return cls(probability, sure_share(probability), lift_of(picture, probability, spatial_size))

    @property
    def lungs_are_bright(self) -> bool:
        return self.lift is not None and self.lift > 0


def lift_of(picture: NDArray[Any], probability: Floats, spatial_size: Sequence[int]) -> float | None:
    """The mean inside less the mean outside, in the box around the lungs, over the range of grey (1st to 99th
    percentile); None where there is too little lung, or nothing beside it."""
    inside = probability > 0.5
    if inside.mean() < LEAST:
        return None
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if inside[box].all():
        return None
    values = resize(grey(picture), spatial_size)
    low, high = np.percentile(values, (1, 99))
    if not high > low:
        return None
    return float((values[box][inside[box]].mean() - values[box][~inside[box]].mean()) / (high - low))


def inverted(picture: NDArray[Any]) -> NDArray[Any]:
    """The negative within the picture's own range: its lowest value becomes its highest."""
    if picture.dtype == bool:
        return ~picture
    if picture.ndim == 3:
        picture = grey(picture)
    negative: NDArray[Any] = picture.max() - (picture - picture.min())
    return negative


def truly_inverted(first: Seen, negative: Seen) -> bool:
    """Whether the negative is what the picture should have been: its lungs are dark, and the network is surer of it."""
    if negative.lift is None or negative.lift >= 0:
        return False
    if first.lungs_are_bright:
        return negative.sure >= first.sure - SURER
    return first.lift is None and negative.sure > first.sure + SURER
