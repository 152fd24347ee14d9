"""Whether what was segmented looks like a frontal chest X-ray at all: by its frame, its grey values and its lungs."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.pictures.grey import grey
from lungseg_monai.pictures.resize import resize
from lungseg_monai.pictures.sides import LEFT, RIGHT
from lungseg_monai.segment.radiographs.polarity import lift_of
from lungseg_monai.segment.result import Flag

SIDE = 128  # pixels that a picture is judged on
BLACK = 0.04  # of the range of grey: darker than that is background
RING = 0.9  # share of the outermost pixels that a slice's background takes
ISLAND = (0.15, 0.88)  # share of its own box that a body fills: an ellipse 0.79, a film in a black frame nearly all
UNSURE = 0.9  # expected Dice; X-rays like those of the training have 0.93 and more
BESIDE = 0.4  # of the lower lung's height: how much of it must lie at the other's height
LOW = 0.25  # of the picture's height: a lung lower than that is none of a chest film


def doubts(
    picture: NDArray[np.unsignedinteger], labels: NDArray[np.uint8], confidence: Mapping[str, float], inverted: bool
) -> tuple[Flag, ...]:
    """Flags of a picture (H, W) with its labels (H, W).

    "ct_slice" (alarm): a body in a black field, as a CT slice lies in it. "bright_lungs" (alarm): brighter than what is
    between and around them. "odd_lungs": not beside one another, or lower than lungs of a chest film. "unsure": the
    network is, of one lung or both. inverted: whether the negative was segmented.
    """
    flags = []
    if _is_island(picture):
        what = "a body within black on all sides, as in a CT slice: no chest X-ray, or one cut out"
        flags.append(Flag("ct_slice", what, "alarm"))
    if not labels.any():
        return tuple(flags)
    lift = lift_of(picture, (_small(labels > 0) > 0.5).astype(np.float32), (SIDE, SIDE))
    if lift is not None and (lift > 0) != inverted:
        what = "what was taken for lungs is brighter than what lies around: inverted grey values, or no chest X-ray"
        flags.append(Flag("bright_lungs", what, "alarm"))
    flags += _odd(labels)
    unsure = {name: one for name, one in confidence.items() if 0 < one < UNSURE}
    if unsure:
        listed = ", ".join(f"{name} {one:.2f}" for name, one in unsure.items())
        flags.append(Flag("unsure", f"the network is not sure ({listed}): a hard case, or no chest X-ray"))
    return tuple(flags)


def _small(values: NDArray) -> NDArray[np.float32]:
    return resize(values, (SIDE, SIDE))


def _is_island(picture: NDArray[np.unsignedinteger]) -> bool:
    from scipy.ndimage import binary_fill_holes, label

    small = _small(grey(picture))
    low, high = float(small.min()), float(np.percentile(small, 99.5))
    body = small > low + BLACK * (high - low)
    ring = np.concatenate([body[0], body[-1], body[1:-1, 0], body[1:-1, -1]])
    if 1 - ring.mean() < RING:
        return False
    pieces, _ = label(body)
    largest = pieces == 1 + int(np.bincount(pieces.ravel())[1:].argmax())
    filled = np.asarray(binary_fill_holes(largest))
    rows, columns = (np.flatnonzero(filled.any(axis)) for axis in (1, 0))
    box = (rows[-1] + 1 - rows[0]) * (columns[-1] + 1 - columns[0])
    return bool(ISLAND[0] < filled.sum() / box < ISLAND[1] and filled.mean() > ISLAND[0])


def _odd(labels: NDArray[np.uint8]) -> list[Flag]:
    spans = {}
    for side in (RIGHT, LEFT):
        rows = np.flatnonzero((labels == side).any(axis=1))
        if len(rows):
            spans[side] = (int(rows[0]), int(rows[-1]) + 1)
    heights = [stop - start for start, stop in spans.values()]
    if max(heights) < LOW * len(labels):
        what = (
            f"the lungs are {max(heights) / len(labels):.0%} of the picture's height: a chest film shows more of them"
        )
        return [Flag("odd_lungs", what)]
    if len(spans) == 2:
        (top, bottom), (other_top, other_bottom) = spans.values()
        shared = min(bottom, other_bottom) - max(top, other_top)
        if shared < BESIDE * min(heights):
            return [Flag("odd_lungs", "the lungs do not lie beside one another: turned, lateral, or no chest X-ray")]
    return []
