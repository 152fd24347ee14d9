"""Pictures and probability maps of another size: pixels are areas, both grids cover the same."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures.grey import Picture


def resize(picture: NDArray, spatial_size: Sequence[int]) -> Picture:
    """(H, W) -> float32 of `spatial_size` (rows, columns), bilinear; what is made smaller is averaged beforehand.

    As torch's interpolate(mode="bilinear", align_corners=False, antialias=True). Sides may change their ratio: the way
    back is another `resize`. Raises ConfigError for a size that is not two whole numbers above 0.
    """
    from PIL import Image

    if len(spatial_size) != 2 or not all(int(size) == size and size > 0 for size in spatial_size):
        raise ConfigError(f"spatial_size is {spatial_size!r}; wanted two whole numbers above 0: rows and columns")
    rows, columns = (int(size) for size in spatial_size)
    values = np.ascontiguousarray(picture, np.float32)
    if values.shape == (rows, columns):
        return values
    return np.array(Image.fromarray(values).resize((columns, rows), Image.Resampling.BILINEAR))
