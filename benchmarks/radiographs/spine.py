"""Readers of made radiographs who draw the lung behind the heart and stop beside the spine."""

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.pictures.sides import Labels
from lungseg_monai.synthesis.radiograph import Radiograph


def to_the_spine(film: Radiograph, stops_mm: float) -> Labels:
    """`completed` without what lies nearer than `stops_mm` to the midline, but for what is visible."""
    away = abs(np.arange(film.image.shape[1])[None] - midline(film.anatomical)[:, None]) * film.spacing_mm
    return np.where(film.visible > 0, film.visible, np.where(away >= stops_mm, film.completed, 0)).astype(np.uint8)


def midline(anatomical: Labels) -> NDArray[np.float64]:
    """(H,) column half-way between the lungs' nearest points, a straight line through all rows that hold both."""
    right, left = anatomical == 1, anatomical == 2
    rows = np.flatnonzero(right.any(axis=1) & left.any(axis=1))
    if len(rows) < 2:
        return np.full(len(anatomical), (anatomical.shape[1] - 1) / 2)
    nearest = anatomical.shape[1] - 1 - right[rows, ::-1].argmax(axis=1)
    line = np.polyfit(rows, (nearest + left[rows].argmax(axis=1)) / 2, 1)
    return np.asarray(np.polyval(line, np.arange(len(anatomical))), float)
