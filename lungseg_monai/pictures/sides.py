"""Left and right lung of a frontal radiograph told apart by where they lie.

As a film hangs (PA and AP alike) the patient's right lung is on the picture's left.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.result import Flag

RIGHT, LEFT = 1, 2  # as everywhere in lungseg_monai
NAMES = {RIGHT: "lung_right", LEFT: "lung_left"}
Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]
NARROW = 0.5  # of the lower of two humps: a valley of the column profile that deep parts two lungs
LEAST_SHARE = 0.2  # of a merged piece that either lung must have
MIDDLE = (0.25, 0.75)  # of the piece's width: where two lungs can meet
WIDE = 0.45  # of the picture's width: no single lung is that wide
OVERLAP = 0.5  # of the narrower piece's width: pieces above one another are one lung


@dataclass(frozen=True)
class Sides:
    """labels: (H, W) uint8, 1 the patient's right lung, 2 the left one."""

    labels: Labels
    flags: tuple[Flag, ...]


def tell_sides(pieces: Sequence[Mask], flipped: bool | None = None) -> Sides:
    """`labels` of pieces (H, W), the largest first.

    Two pieces beside one another: the one further left in the picture is the right lung. A piece that holds both is cut
    at its narrowest column (`narrowest_column`). What can't be told by another lung is told by the picture's midline.
    flipped: True for pictures that hang mirrored (the patient's right at the picture's right); None: not known, taken
    as not mirrored, and said. Flags: "lungs_parted", "one_lung_by_midline", "side_assumed".
    """
    flags: list[Flag] = []
    shape = pieces[0].shape if pieces else (0, 0)
    labels = np.zeros(shape, np.uint8)
    if not pieces:
        return Sides(labels, ())
    cut = narrowest_column(pieces[0])
    if cut is not None:
        column = np.arange(shape[1])[None] < cut
        for piece in pieces:
            on_left = column if piece is pieces[0] else np.full((1, 1), _centre(piece) < cut)
            labels[piece] = np.where(np.broadcast_to(on_left, shape)[piece], RIGHT, LEFT)
        flags.append(Flag("lungs_parted", f"both lungs were one piece, cut at its narrowest, column {cut}", "check"))
    elif len(pieces) > 1 and not _above_one_another(pieces[0], pieces[1]):
        middle = (_centre(pieces[0]) + _centre(pieces[1])) / 2
        for piece in pieces:
            labels[piece] = RIGHT if _centre(piece) < middle else LEFT
    else:
        for piece in pieces:
            labels[piece] = RIGHT if _centre(pieces[0]) < (shape[1] - 1) / 2 else LEFT
        flags.append(Flag("one_lung_by_midline", "the side of a single lung was told by the picture's midline"))
    if flipped:
        labels = np.array([0, LEFT, RIGHT], np.uint8)[labels]
    if flipped is None:
        what = "the picture does not say which side hangs where: taken for the patient's right on the picture's left"
        flags.append(Flag("side_assumed", what, "note"))
    return Sides(labels, tuple(flags))


def narrowest_column(piece: Mask) -> int | None:
    """Where a piece that holds both lungs is cut: the first column of the right part; None for a piece of one lung.

    That is the column of fewest pixels in the middle half of the piece, the middle one of several in a row. The piece
    holds both lungs when it is wider than 0.45 of the picture, that column is at most half as high as the highest
    column on either side of it, and either side has at least 0.2 of its pixels.
    """
    profile = piece.sum(axis=0)
    there = np.flatnonzero(profile)
    if not len(there) or there[-1] + 1 - there[0] < WIDE * piece.shape[1]:
        return None
    first, last = int(there[0]), int(there[-1])
    low, high = (round(first + share * (last - first)) for share in MIDDLE)
    inner = profile[low : high + 1]
    least = low + np.flatnonzero(inner == inner.min())
    cut = int(least[len(least) // 2])
    humps = min(int(profile[first:cut].max(initial=0)), int(profile[cut:].max(initial=0)))
    shares = min(int(profile[:cut].sum()), int(profile[cut:].sum())) / int(profile.sum())
    return cut if profile[cut] <= NARROW * humps and shares >= LEAST_SHARE else None


def _centre(piece: Mask) -> float:
    """The mean column of a piece."""
    profile = piece.sum(axis=0)
    return float((profile * np.arange(len(profile))).sum() / profile.sum())


def _above_one_another(one: Mask, other: Mask) -> bool:
    spans = [np.flatnonzero(piece.any(axis=0)) for piece in (one, other)]
    shared = min(span[-1] for span in spans) - max(span[0] for span in spans) + 1
    return bool(shared > OVERLAP * min(int(np.ptp(span)) + 1 for span in spans))
