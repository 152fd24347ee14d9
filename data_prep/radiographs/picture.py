"""Picture files (PNG, JPEG, TIFF, BMP, GIF) -> a Radiograph. What they are is read from the file, not from its name."""

import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import UnreadableFileError
from data_prep.radiographs.grey import Grey, to_grey
from data_prep.radiographs.jpeg import jpeg_damage
from data_prep.radiographs.png import png_header
from data_prep.radiographs.radiograph import Radiograph

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF")
STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"GIF8")
EXIF_ORIENTATION = 0x0112
QUARTERS = (5, 6, 7, 8)  # EXIF orientations that swap rows and columns
FLAT_ROWS = 16  # two rows of JPEG's blocks


def is_picture(start: bytes) -> bool:
    """Whether a file that begins with `start` is one of FORMATS."""
    return start.startswith(STARTS)


def read_picture(path: Path) -> Radiograph:
    """A grey X-ray as stored, (rows, columns) uint8 or uint16, turned as EXIF says.

    Raises UnreadableFileError for a file that is damaged, cut short, coloured, or holds several pictures.
    """
    grey, turned, kind = decode(path)
    image = Radiograph(turn(grey.pixels, turned), grey.repairs, grey.flags, turned=turned, about={"format": kind})
    if turned != 1:
        image.repairs.append(f"turned as EXIF orientation {turned} says")
    if kind == "JPEG" and _ends_flat(grey.pixels):
        image.flags.append("the lowest rows are one even grey: the file may be cut short or damaged")
    return image


def decode(path: Path) -> tuple[Grey, int, str]:
    """One grey channel as it lies in the file, its EXIF orientation (1 for none) and the format's name."""
    from PIL import Image

    try:
        with warnings.catch_warnings(), Image.open(path, formats=FORMATS) as picture:
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if getattr(picture, "n_frames", 1) > 1:
                raise UnreadableFileError(f"holds {picture.n_frames} pictures; wanted one")  # type: ignore[attr-defined]
            picture.load()
            turned = _orientation(picture)
            kind = str(picture.format)
            grey = to_grey(picture)
    except UnreadableFileError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UnreadableFileError("claims more pixels than any X-ray has: not decoded") from error
    except Exception as error:  # Pillow raises whatever damaged bytes lead to; it costs one file
        raise UnreadableFileError(_what_happened(error)) from error
    _check_file(path, kind, grey)
    return grey, turned, kind


def _orientation(picture: "Image") -> int:
    found = picture.getexif().get(EXIF_ORIENTATION, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _what_happened(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "can't be opened: check its permissions"
    if "truncated" in str(error) or isinstance(error, EOFError | struct.error):
        return "is cut short"
    return f"is damaged, or no picture of {', '.join(FORMATS)} ({type(error).__name__})"


def _check_file(path: Path, kind: str, grey: Grey) -> None:
    """What Pillow does not say of the file: damage within a JPEG, and bits of a PNG that it drops."""
    if kind == "JPEG":
        damage = jpeg_damage(path.read_bytes())
        if damage:
            raise UnreadableFileError(f"is a damaged JPEG: {damage}")
    header = png_header(path) if kind == "PNG" else None
    if header is not None and header.bits == 16 and header.channels > 1:
        grey.repairs.append(f"8 of 16 bits taken of each of {header.channels} channels")


def turn(pixels: NDArray, orientation: int) -> NDArray:
    """`pixels` (rows, columns) as EXIF orientation 1 to 8 wants them shown (EXIF 2.32, 4.6.4 A)."""
    if orientation in QUARTERS:
        pixels = pixels.T
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _ends_flat(pixels: NDArray) -> bool:
    """Whether the lowest rows hold one value that is neither black nor white: what decoders make of missing data."""
    value = pixels[-1, 0]
    return 0 < value < np.iinfo(pixels.dtype).max and bool((pixels[-FLAT_ROWS:] == value).all())
