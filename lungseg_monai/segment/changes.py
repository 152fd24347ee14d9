"""Small changes of what a network is shown, and its answer's way back: how much the answer hangs on them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
SHARE = 0.95  # of the size, where an image is made smaller


@dataclass(frozen=True)
class Change:
    """mirrored: left and right exchanged. corner: made smaller by 5 % into the first (0) or the last (1) corner, so
    that it is shifted as well and nothing leaves the frame; None: not. grey: added to all values.
    """

    name: str
    mirrored: bool = False
    corner: int | None = None
    grey: float = 0.0

    def forth(self, values: Floats, across: int) -> Floats:
        """What the network is shown in place of `values`, of the same shape. across: the axis from side to side."""
        if self.mirrored:
            return np.ascontiguousarray(np.flip(values, across))
        if self.corner is not None:
            return _resampled(values, 1 / SHARE, [-self.corner * one / SHARE for one in _slack(values.shape)])
        return values + np.float32(self.grey)

    def back(self, answer: Floats, across: int) -> Floats:
        """The answer, (C, ...) probabilities by label, as if `values` had been shown; labels of sides are exchanged by
        the caller. across: as before, not counting the labels' axis."""
        if self.mirrored:
            return np.flip(answer, across + 1)
        if self.corner is not None:
            offsets = [self.corner * one for one in _slack(answer.shape[1:])]
            return np.stack([_resampled(one, SHARE, offsets) for one in answer])
        return answer


def changes(grey: float) -> tuple[Change, ...]:
    """Those that a network is asked with besides the image itself. grey: how much brighter and darker it is made."""
    return (
        Change("mirrored", mirrored=True),
        Change("smaller, first corner", corner=0),
        Change("smaller, last corner", corner=1),
        Change("brighter", grey=grey),
        Change("darker", grey=-grey),
    )


def _slack(shape: tuple[int, ...]) -> list[float]:
    """How far the last voxel moves along each axis where an image is made smaller."""
    return [(size - 1) * (1 - SHARE) for size in shape]


def _resampled(values: Floats, step: float, offsets: list[float]) -> Floats:
    """values at step * index + offset along each axis, linearly; the outermost value goes on outside."""
    from scipy.ndimage import affine_transform

    out: Floats = affine_transform(values, [step] * values.ndim, offsets, order=1, mode="nearest")
    return out
