"""Any stored picture as grey values from 0 to 1."""

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ImageError

Picture = NDArray[np.float32]
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601-7, 2.5.1; what Pillow and OpenCV take for grey


def grey(picture: NDArray) -> Picture:
    """(H, W), (H, W, 3) or (H, W, 4), of bool, unsigned integers or floats -> float32 (H, W).

    Integers are divided by the most that their type can hold, so that 8 and 16 bits mean the same; floats stay as they
    are; colours become luminance; a fourth channel (opacity) is left out. Raises ImageError for other shapes and kinds
    and for values that are no finite numbers.
    """
    if picture.ndim == 3 and picture.shape[2] in (3, 4):
        return np.ascontiguousarray(_scaled(picture[..., :3]) @ LUMINANCE)
    if picture.ndim != 2 or 0 in picture.shape:
        raise ImageError(
            f"a picture of shape {picture.shape}; wanted one radiograph: (rows, columns), or with 3 or 4 channels last"
        )
    return _scaled(picture)


def _scaled(picture: NDArray) -> Picture:
    if picture.dtype.kind == "u":
        return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max)
    if picture.dtype.kind not in "bf":
        raise ImageError(f"a picture of {picture.dtype} values; wanted unsigned integers or floats")
    values = picture.astype(np.float32)
    wrong = int(np.count_nonzero(~np.isfinite(values)))
    if wrong:
        raise ImageError(f"the picture has {wrong} pixels that are no finite numbers (NaN or infinite): write it again")
    return values
