"""The box around the lungs that a search for tumours is restricted to. Indices, stop exclusive."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import UsageError

Span = tuple[int, int]
Box = tuple[Span, Span, Span]


def lung_box(mask: NDArray[np.bool_], spacing_mm: Sequence[float], margin_mm: float = 20.0) -> Box | None:
    """((i0, i1), (j0, j1), (k0, k1)) around what is not 0 in `mask` (I, J, K), `margin_mm` or more larger on each side.

    Ends at the image's border. None where the mask is empty. Raises UsageError for a margin below 0 and a spacing that
    is not positive.
    """
    if not margin_mm >= 0 or not all(step > 0 for step in spacing_mm):
        raise UsageError(f"margin_mm must be 0 or more and spacing_mm positive, got {margin_mm} and {list(spacing_mm)}")
    spans = []
    for axis, step in enumerate(spacing_mm):
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero(mask.any(axis=others))
        if not len(found):
            return None
        margin = int(np.ceil(margin_mm / step - 1e-6))
        spans.append((max(int(found[0]) - margin, 0), min(int(found[-1]) + 1 + margin, mask.shape[axis])))
    return spans[0], spans[1], spans[2]


def scaled_box(box: Box, shape_from: Sequence[int], shape_to: Sequence[int]) -> Box:
    """The box on another grid over the same field of view: no smaller, whole voxels."""
    spans = []
    for (start, stop), old, new in zip(box, shape_from, shape_to, strict=True):
        spans.append((start * new // old, min(-(-stop * new // old), new)))
    return spans[0], spans[1], spans[2]
