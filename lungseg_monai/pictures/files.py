"""Pictures and masks of PREPARED out of their files."""

from collections.abc import Sequence
from pathlib import Path
from struct import error as StructError  # noqa: N812 - lower case by accident

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import DatasetError, ImageError

BROKEN = (OSError, ValueError, SyntaxError, StructError)  # what Pillow raises for damaged files
FEW = (0, 1, 2)  # values of masks that this project writes of lungs: 1 right, 2 left


def read_picture(path: str | Path) -> NDArray:
    """The stored values, (H, W) or (H, W, C), uint8 or uint16. Raises ImageError where the file can't be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            unfolded = image.convert("RGBA" if "transparency" in image.info else "RGB") if image.mode == "P" else image
            values = np.asarray(unfolded)
    except FileNotFoundError as error:
        raise ImageError(f"the picture {Path(path).name} is missing") from error
    except BROKEN as error:
        raise ImageError(f"the picture {Path(path).name} can't be read: {error}. Convert it again.") from error
    if values.dtype.kind == "i":  # 16 bits, as Pillow keeps some of them
        if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            raise ImageError(f"the picture {Path(path).name} holds values outside 0 to 65535")
        return values.astype(np.uint16)
    return values


def read_masks(paths: Sequence[str | Path], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 0/1 of `shape` (rows, columns): inside where any of the masks is. None of them: all 0.

    Above the middle of 8 or 16 bits is inside; of masks that stay below it, 0 and one other value or 0, 1 and 2, all
    that is not 0. Raises ImageError for a mask of another size, or of other values below the middle.
    """
    united = np.zeros(shape, np.uint8)
    for path in paths:
        set_ = _inside(read_picture(path), Path(path).name)
        if set_.shape != tuple(shape):
            raise ImageError(
                f"the mask {Path(path).name} has {list(set_.shape)} pixels, its image {list(shape)}: convert it again"
            )
        united |= set_
    return united


def _inside(mask: NDArray, name: str) -> NDArray[np.bool_]:
    if mask.ndim == 3:  # opacity, the second or fourth channel, says nothing
        mask = mask[..., :3].max(axis=2) if mask.shape[2] > 2 else mask[..., 0]
    if mask.dtype == bool:
        return mask
    middle = np.iinfo(mask.dtype).max // 2
    if not 0 < mask.max(initial=0) <= middle:
        return np.asarray(mask > middle)
    found = np.unique(mask)
    if len(found) > 2 and not np.isin(found, FEW).all():
        listed = ", ".join(map(str, found[:5]))
        raise ImageError(
            f"the mask {name} holds {len(found)} values ({listed} ...), none above {middle}; wanted black and white, "
            "0 and one other value, or 0, 1 and 2: lungseg-prep cxr says which masks are which"
        )
    return np.asarray(mask > 0)


def picture_grid(path: Path) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """A picture's ((rows, columns, 1), affine of ones) from its header, as io.grid_of tells of volumes.

    Raises DatasetError when the file is missing or no picture.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            columns, rows = image.size
    except FileNotFoundError as error:
        raise DatasetError(f"the file {path} is missing") from error
    except BROKEN as error:
        raise DatasetError(f"{path} can't be read as a picture: {error}") from error
    return (rows, columns, 1), np.eye(4)
