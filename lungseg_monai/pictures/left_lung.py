"""Lungs completed behind the heart and beside the spine: from the convention "visible" to "anatomical", by geometry.

`complete_left_lung` does the left one, `complete_lungs` both. How well, on made radiographs whose lungs are known, and
what it costs where the reader draws otherwise: docs/reference/xray-conventions.md.
"""

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures.sides import LEFT, RIGHT, Labels

Floats = NDArray[np.float64]
UPPER = (0.15, 0.55)  # of the left lung's height: where its medial border is seen, above the heart
NEAREST = 10.0  # percentile of its distances from the midline there
SPINE = 0.1  # of both lungs' width: the edge of the spine lies no further from the midline
FLOOR = 0.25  # of its height: how far above its lowest point the diaphragm is looked for
JUMP = 0.05  # of its height: the lower contour goes on along the heart unless it leaps by more than that
LEAST_RISE = 0.1  # of its height: a diaphragm's corner lies at least that far above the lung's lowest point
MOST_ROWS = 100  # that the slope is taken from
ENDS = 0.1  # of the rows that hold both lungs: left out at either end where lateral borders are compared
SLOPE = 0.4  # columns a row: no patient lies more askew


def complete_lungs(labels: Labels) -> Labels:
    """`complete_left_lung`, and the same mirrored for the right lung: the strip beside spine and right heart.

    Same form and errors. Of the two, what the left lung gains is the surer: few readers leave it out who draw the lung
    behind the heart; the right strip is narrower and more often left to the mediastinum.
    """
    left = complete_left_lung(labels)
    right = _exchanged(complete_left_lung(_exchanged(labels)))
    return np.where(left == 0, right, left)


def complete_left_lung(labels: Labels) -> Labels:
    """labels (H, W), 1 right and 2 left lung as the film hangs -> the left lung filled medially, the right as it is.

    Construction. Midline: a straight line, as askew as what lies half-way between the lateral borders of both lungs
    (Theil and Sen, the middle 0.8 of the rows that both have: the heart bends medial borders, not these), half-way
    between the medial borders in the left lung's upper rows (0.15 to 0.55 of its height); upright through the left
    lung's own border where there is no right lung. Medial line: parallel to it, at the 10th percentile of the left
    border's distances from it in these rows: where the lung reaches furthest beside the spine; but no further from the
    midline than 0.1 of the width of both lungs, about as far as the spine reaches, for chests whose mediastinum is wide
    all the way up. Floor: the lowest pixel of each column, as far medially as it lies within 0.25 of the height above
    the lung's lowest point. Where the contour ends there with a leap, that is the diaphragm's end, and the floor goes
    on level; where it goes on along the heart, the floor is level with the right lung's medial corner, if that is lower
    (but at least 0.1 of the height above the lowest point). Floor and medial line meet in the cardiophrenic corner.
    Filled is, row by row, what lies between the medial line and the lung's medial border, below the row of the upper
    part where the lung comes nearest to the midline, and not below the floor. Nothing is taken away and the right lung
    is not overwritten.

    A stand-in for masks drawn so, of which none came with the data. Mirrored pictures (label 2 on the left of label 1)
    are filled mirrored. Without a left lung nothing is done.
    Raises ConfigError for an array that is not two-dimensional or holds other values than 0, 1 and 2.
    """
    if labels.ndim != 2 or not np.isin(labels, (0, RIGHT, LEFT)).all():
        raise ConfigError(f"labels of shape {labels.shape}; wanted (rows, columns) of 0, 1 (right) and 2 (left)")
    if not (labels == LEFT).any():
        return labels.copy()
    if _mirrored(labels):
        return np.ascontiguousarray(complete_left_lung(labels[:, ::-1])[:, ::-1])
    out = labels.copy()
    out[_behind_the_heart(labels) & (labels == 0)] = LEFT
    return out


def _exchanged(labels: Labels) -> Labels:
    """The picture mirrored and the lungs' names exchanged: it hangs as before, the right lung in the left's place."""
    return np.ascontiguousarray(np.array([0, LEFT, RIGHT], np.uint8)[labels][:, ::-1])


def _behind_the_heart(labels: Labels) -> NDArray[np.bool_]:
    left = labels == LEFT
    rows = np.flatnonzero(left.any(axis=1))
    top, bottom = int(rows[0]), int(rows[-1])
    height = bottom - top + 1
    border = np.where(left.any(axis=1), left.argmax(axis=1), -1).astype(float)  # the medial edge: lowest column
    upper = np.array([row for row in rows if UPPER[0] * height <= row - top <= UPPER[1] * height])
    if not len(upper):
        return np.zeros(left.shape, bool)
    midline = _midline(labels, upper, border)
    distance = border - midline
    reach = float(np.percentile(distance[upper], NEAREST))
    start = int(upper[distance[upper] <= reach + 1][-1])
    medial = midline + min(reach, SPINE * _width(labels))
    floor = _floor(labels)
    row, column = np.ogrid[: left.shape[0], : left.shape[1]]
    gap = (column >= np.round(medial)[:, None]) & (column < border[:, None])
    below = np.zeros_like(left)
    if bottom > start:  # rows that the lung has no pixel in have no border to fill up to
        below[start : bottom + 1] = gap[start : bottom + 1]
    return below & (row <= floor[None])


def _width(labels: Labels) -> int:
    """Of both lungs together, in columns."""
    columns = np.flatnonzero((labels > 0).any(axis=0))
    return int(columns[-1] - columns[0] + 1)


def _midline(labels: Labels, upper: NDArray[np.intp], border: Floats) -> Floats:
    """(H,) the column of the midline in each row."""
    rows = np.arange(labels.shape[0])
    right = labels == RIGHT
    both = np.array([row for row in upper if right[row].any()], int)
    if len(both) < 2:
        return np.full(len(rows), float(np.percentile(border[upper], NEAREST)))
    opposite = labels.shape[1] - 1 - right[both, ::-1].argmax(axis=1)  # the right lung's medial edge
    middle = (opposite + border[both]) / 2
    slope = _tilt(labels)
    line: Floats = slope * rows.astype(np.float64) + float(np.median(middle - slope * both))
    return line


def _tilt(labels: Labels) -> float:
    """Columns a row by which the middle between the lateral borders moves; 0 where too few rows hold both lungs."""
    right, left = labels == RIGHT, labels == LEFT
    both = np.flatnonzero(right.any(axis=1) & left.any(axis=1))
    inner = both[round(ENDS * len(both)) : round((1 - ENDS) * len(both))]
    if len(inner) < 2:
        return 0.0
    lateral = (right[inner].argmax(axis=1) + labels.shape[1] - 1 - left[inner, ::-1].argmax(axis=1)) / 2
    return float(np.clip(_slope(inner, lateral), -SLOPE, SLOPE))


def _slope(rows: NDArray[np.intp], columns: Floats) -> float:
    """Columns a row: the median over all pairs of rows, few of which a bulge of the heart can spoil."""
    some = np.unique(np.linspace(0, len(rows) - 1, MOST_ROWS).astype(int))
    one, other = np.triu_indices(len(some), 1)
    return float(np.median(np.subtract(*columns[some][[one, other]]) / np.subtract(*rows[some][[one, other]])))


def _floor(labels: Labels) -> NDArray[np.intp]:
    """(W,) the lowest row that may be filled in each column: the lung's own lowest pixel, level on medially."""
    lowest = _lowest(labels == LEFT)
    rows = np.flatnonzero((labels == LEFT).any(axis=1))
    bottom, height = int(rows[-1]), int(rows[-1] - rows[0] + 1)
    limit = bottom - FLOOR * height
    tip = int(np.flatnonzero(lowest >= limit)[0])
    level = int(lowest[tip])
    along_heart = tip > 0 and lowest[tip - 1] >= limit - JUMP * height
    if along_heart and (labels == RIGHT).any():
        level = max(level, min(_right_corner(labels == RIGHT), round(bottom - LEAST_RISE * height)))
    lowest[: int(np.flatnonzero(lowest >= level)[0])] = level
    return lowest


def _lowest(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(W,) the lowest row that is set in each column; -1 without any."""
    return np.where(mask.any(axis=0), mask.shape[0] - 1 - mask[::-1].argmax(axis=0), -1)


def _right_corner(right: NDArray[np.bool_]) -> int:
    """The row where the right lung ends medially: the median over the medial quarter of its lower half."""
    rows = np.flatnonzero(right.any(axis=1))
    lower = right.copy()
    lower[: int(rows.mean())] = False
    columns = np.flatnonzero(lower.any(axis=0))
    medial = columns[-max(len(columns) // 4, 1) :]
    return int(np.median(_lowest(lower)[medial]))


def _mirrored(labels: Labels) -> bool:
    if not (labels == RIGHT).any():
        return bool(np.nonzero(labels == LEFT)[1].mean() < (labels.shape[1] - 1) / 2)
    return bool(np.nonzero(labels == LEFT)[1].mean() < np.nonzero(labels == RIGHT)[1].mean())
