"""How ragged a mask's border is: its surface against that of the mask smoothed."""

import numpy as np
from numpy.typing import NDArray

FINEST = 1.5  # steps are this long or longer, in the unit of `spacing`, so that large images cost no more
SMOOTH = 3.0  # sigma, in steps of FINEST
MARGIN = 3


def raggedness(mask: NDArray[np.bool_], spacing: tuple[float, ...], finest: float = FINEST) -> float | None:
    """Surface over surface after smoothing, about 1 for a smooth border, without a dimension.

    None for a mask that is empty, or so small that smoothing leaves nothing of it. mask: 2 or 3 axes, any spacing. It
    is looked at in steps of about `finest` and smoothed by a Gaussian of three such steps, cut at one half. A surface
    counts the faces between voxels; the image's own edge is none.
    """
    from scipy.ndimage import gaussian_filter

    box = _box(mask)
    if box is None:
        return None
    factors = [max(1, round(finest / step)) for step in spacing]
    small = mask[tuple(slice(one.start, one.stop, factor) for one, factor in zip(box, factors, strict=True))]
    steps = [step * factor for step, factor in zip(spacing, factors, strict=True)]
    sigmas = [SMOOTH * finest / step for step in steps]
    smooth = gaussian_filter(small.astype(np.float32), sigmas, mode="nearest", truncate=3.0) > 0.5
    surface = _surface(smooth, steps)
    return _surface(small, steps) / surface if surface else None


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """Round what is set, with a margin that smoothing needs, as far as the image reaches."""
    found = []
    for axis, size in enumerate(mask.shape):
        where = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not len(where):
            return None
        found.append(slice(max(int(where[0]) - MARGIN, 0), min(int(where[-1]) + 1 + MARGIN, size)))
    return tuple(found)


def _surface(mask: NDArray[np.bool_], steps: list[float]) -> float:
    total = 0.0
    for axis, step in enumerate(steps):
        total += np.count_nonzero(np.diff(mask, axis=axis)) * float(np.prod(steps)) / step
    return total
