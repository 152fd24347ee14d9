"""Contrast limited adaptive histogram equalisation: each part of the picture uses all grey values."""

from collections.abc import Sequence

import numpy as np

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures.grey import Picture

BINS = 256


def clahe(picture: Picture, clip_limit: float = 2.0, tiles: Sequence[int] = (8, 8)) -> Picture:
    """float32 (H, W) in 0 ... 1, by scikit-image's equalize_adapthist (Zuiderveld, Graphics Gems IV, 1994).

    clip_limit: how often a grey value may count in a tile, in multiples of what it would if all of the 256 were equally
    frequent (as OpenCV counts; scikit-image's own unit is 1 / 256 of it): 1 changes little, 40 hardly limits.
    tiles: rows and columns of tiles. 2.0 and 8 x 8 are the usual values; the paper gives none. A picture of one value
    becomes 0. Raises ConfigError for clip_limit below 1, or tiles that are fewer than 1 or finer than two pixels.
    """
    from skimage.exposure import equalize_adapthist

    fits = len(tiles) == 2 and all(1 <= n <= size // 2 for n, size in zip(tiles, picture.shape, strict=True))
    if not 1 <= clip_limit <= BINS or not fits:
        raise ConfigError(
            f"CLAHE with clip_limit {clip_limit!r} and tiles {tuple(tiles)} of a picture of {picture.shape}; wanted "
            "clip_limit from 1 to 256 and two numbers of tiles, from 1 to half as many as there are pixels"
        )
    if float(picture.max()) <= float(picture.min()):
        return np.zeros(picture.shape, np.float32)
    kernel = [-(-size // int(n)) for n, size in zip(tiles, picture.shape, strict=True)]
    equalised = equalize_adapthist(picture, kernel_size=kernel, clip_limit=clip_limit / BINS, nbins=BINS)
    return equalised.astype(np.float32)
