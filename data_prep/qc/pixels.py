"""Arrays -> PNG and JPEG in data URIs."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOW_HU = (-1350.0, 150.0)  # the usual lung window: level -600, width 1500
FILL_ALPHA = 70  # of 255: the mask underneath
Colour = tuple[int, int, int]


def grey(plane_hu: NDArray) -> NDArray[np.uint8]:
    """HU -> 0 to 255 in the lung window; what is no number becomes black."""
    low, high = WINDOW_HU
    scaled = (np.nan_to_num(np.asarray(plane_hu, np.float32), nan=low) - low) * (255 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def jpeg_uri(picture: NDArray[np.uint8], size_px: tuple[int, int], quality: int) -> str:
    """(rows, columns) grey -> JPEG of `size_px` (width, height)."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture))
    if image.size != size_px:
        image = image.resize(size_px, Image.Resampling.LANCZOS)
    return _uri(image, "jpeg", quality=quality)


def png_uri(picture: NDArray[np.uint8]) -> str:
    """(rows, columns) grey -> PNG, every pixel as it is."""
    from PIL import Image

    return _uri(Image.fromarray(np.ascontiguousarray(picture)), "png", optimize=True)


def mask_uri(which: NDArray[np.uint8], colours: dict[int, Colour]) -> str | None:
    """(rows, columns), 0 for nothing, else a key of `colours` -> translucent PNG, pixel for pixel; None if empty."""
    from PIL import Image

    keys = [int(key) for key in np.unique(which) if key]
    if not keys:
        return None
    table = np.zeros(256, np.uint8)
    table[keys] = np.arange(1, len(keys) + 1)
    image = Image.fromarray(table[which])
    image.putpalette([0, 0, 0, *(value for key in keys for value in colours[key])])
    # One bit a pixel where that is enough: a fifth of the bytes.
    return _uri(image, "png", transparency=bytes([0, *[FILL_ALPHA] * len(keys)]), bits=_bits(len(keys)))


def _bits(colours: int) -> int:
    return next(bits for bits in (1, 2, 4, 8) if colours < 1 << bits)


def _uri(image: Any, kind: str, **options: Any) -> str:
    stream = io.BytesIO()
    image.save(stream, kind.upper(), **options)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
