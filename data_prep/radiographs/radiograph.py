"""One X-ray as it is written, and what is checked of every one, whatever it was read from."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import UnreadableFileError

SMALLEST_SIDE = 64  # pixels; less is an icon or a preview
LARGEST_SIDE = 12000  # no detector has more
WIDEST = 4.0  # longer side to shorter one; no film of a chest comes near
FEWEST_VALUES = 16  # a picture with fewer is a drawing or a mask
TINY_SHARE = 1 / 64  # of the range of 16 bits: 10 bits of it


@dataclass(eq=False)
class Radiograph:
    """pixels: (rows, columns) uint8 or uint16, dense is bright. repairs: what was changed. flags: what needs a look.

    spacing_mm: between rows and between columns, None where unknown; spacing_from: the attribute that says it.
    orientation: PatientOrientation (0020,0020), along a row and down a column, "" where unknown. turned: EXIF
    orientation that was obeyed, 1 for none. about: facts for `source` of dataset.json.
    """

    pixels: NDArray
    repairs: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    spacing_mm: tuple[float, float] | None = None
    spacing_from: str | None = None
    modality: str = "CR"
    orientation: str = ""
    turned: int = 1
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.pixels.shape[0], self.pixels.shape[1]


def check(image: Radiograph) -> None:
    """Raise UnreadableFileError for what can be no X-ray; note in `flags` what is odd but kept.

    Refused: too small or large, a strip, one value alone, fewer than FEWEST_VALUES (drawings, masks).
    """
    rows, columns = image.shape
    if min(rows, columns) < SMALLEST_SIDE or max(rows, columns) > LARGEST_SIDE:
        raise UnreadableFileError(
            f"has {rows} rows and {columns} columns; wanted {SMALLEST_SIDE} to {LARGEST_SIDE} of each"
        )
    if max(rows, columns) > WIDEST * min(rows, columns):
        raise UnreadableFileError(f"has {rows} rows and {columns} columns: a strip, no chest X-ray")
    low, high = int(image.pixels.min()), int(image.pixels.max())
    if low == high:
        raise UnreadableFileError(f"is blank: every pixel is {low}")
    values = int(np.count_nonzero(np.bincount(image.pixels.ravel())))
    if values < FEWEST_VALUES:
        raise UnreadableFileError(
            f"has {values} grey values only: a mask or a drawing, no X-ray. Put masks into a folder `masks`, "
            "or name them <image>_mask, or say with --pairs which is which"
        )
    if image.pixels.dtype == np.uint16 and high - low < TINY_SHARE * 2**16:
        image.flags.append(
            f"16-bit pixels span only {low} to {high}: kept as they are, so scale by the range found (values), "
            "not by 65535"
        )


def pixels_sha256(pixels: NDArray) -> str:
    """SHA-256, hexadecimal, of shape, type and values of (rows, columns): the same in files of any kind."""
    head = f"{pixels.shape[0]}x{pixels.shape[1]} {pixels.dtype.name}\n".encode()
    return sha256(head + np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes()).hexdigest()
