"""The range of grey values that matters stretched to 0 ... 1, whatever borders and burnt-in text there are."""

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures.grey import Picture

FLAT = 0.02  # of the range of grey values: less change than this is none
MANY = 0.05  # of the pixels at one end of the range: a plane of padding or collimation, no anatomy
LEAST = 0.25  # of a picture's pixels must be left to judge by
MIDDLE = (5.0, 95.0)  # percentiles of a row or column: a letter in a border makes no border of it


def normalise(picture: Picture, low: float = 1.0, high: float = 99.0, robust: bool = True) -> Picture:
    """float32 (H, W): the percentile `low` of the grey values becomes 0, `high` becomes 1, cut there.

    robust: the percentiles are those of the pixels that `worth_judging` leaves, so that neither borders nor padding nor
    letters rule the range. low 0, high 100, robust False is the plain stretch from the smallest value to the largest.
    Brightness and contrast (a picture times a plus b, a above 0) change nothing. A picture of one value becomes 0.
    Raises ConfigError unless 0 <= low < high <= 100.
    """
    if not 0 <= low < high <= 100:
        raise ConfigError(f"normalise from percentile {low!r} to {high!r}; wanted 0 <= low < high <= 100")
    values = worth_judging(picture) if robust else picture
    darkest, brightest = np.percentile(values, (low, high))
    if not brightest > darkest:  # all but a few pixels have one value
        darkest, brightest = picture.min(), picture.max()
    width = float(brightest - darkest)
    if not width > 0:
        return np.zeros(picture.shape, np.float32)
    return np.clip((picture - np.float32(darkest)) / np.float32(width), 0.0, 1.0)


def worth_judging(picture: Picture) -> NDArray[np.float32]:
    """(N,) of the grey values of `picture` that are neither border nor one plane of black or white.

    Left out are rows and columns at the edges without change (but for 5 % of their pixels at either end), then all
    pixels at the dark end of the range if they are many, and those at the bright end. What would leave less than a
    quarter is not done.
    """
    inner = inside_borders(picture)
    dark, bright = np.percentile(inner, (1, 99))
    step = FLAT * (bright - dark)
    values = inner.ravel()
    kept = np.ones(values.shape, bool)
    for at_end in (values <= dark + step, values >= bright - step):
        if np.count_nonzero(at_end) > MANY * values.size:
            kept &= ~at_end
    return values[kept] if np.count_nonzero(kept) >= LEAST * values.size else values


def inside_borders(picture: Picture) -> Picture:
    """The part of `picture` within its borders: rows and columns that hardly change, from each edge inwards."""
    dark, bright = np.percentile(picture, (1, 99))
    step = FLAT * (bright - dark)
    if not step > 0:
        return picture
    inner = picture
    for axis in (0, 1):
        first, last = np.percentile(inner, MIDDLE, axis=1 - axis)
        alive = np.flatnonzero(last - first > step)
        if len(alive) and alive[-1] + 1 - alive[0] >= LEAST * inner.shape[axis]:
            inner = inner[alive[0] : alive[-1] + 1] if axis == 0 else inner[:, alive[0] : alive[-1] + 1]
    return inner
