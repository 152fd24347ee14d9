"""Colour pictures that are X-rays all the same: tinted films and screenshots become grey, photos are refused."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import UnreadableFileError
from data_prep.radiographs.grey import WEIGHTS
from data_prep.radiographs.jpeg import jpeg_damage
from data_prep.radiographs.picture import FORMATS, read_picture, turn
from data_prep.radiographs.radiograph import Radiograph

COLOURS = ("RGB", "RGBA", "P", "CMYK", "YCbCr")
FOR_COLOURS = ("is a colour picture", "holds pixels of the kind")  # how data_prep begins its reason
ONE_TINT = 12.0  # levels: how far colours may lie from what their brightness has on average
STEPS = 32  # of brightness
SAMPLES = 250_000
EXIF_ORIENTATION = 0x0112


def read_any_picture(path: Path) -> Radiograph:
    """As data_prep's read_picture; a picture in one tint, whatever its colour, becomes its brightness, with a flag.

    Raises UnreadableFileError for a picture of many colours (a photo), and as read_picture does.
    """
    try:
        return read_picture(path)
    except UnreadableFileError as error:
        if not str(error).startswith(FOR_COLOURS):
            raise
        rgb, turned, kind = _colours(path)
        if rgb is None or _is_grey(rgb):
            raise  # it was refused for another reason
        if spread(rgb) > ONE_TINT:
            raise
    brightness = ((rgb.astype(np.int32) @ np.array(WEIGHTS) + 500) // 1000).astype(np.uint8)
    image = Radiograph(turn(brightness, turned), turned=turned, about={"format": kind})
    image.repairs.append("a tinted picture taken as its brightness")
    image.flags.append("a colour picture in one tint: taken as its brightness")
    return image


def _colours(path: Path) -> tuple[NDArray[np.uint8] | None, int, str]:
    """Red, green and blue if these are its channels, its EXIF orientation, its format. Raises for a damaged JPEG."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as picture:
            if picture.mode not in COLOURS or getattr(picture, "n_frames", 1) > 1:
                return None, 1, ""
            damage = jpeg_damage(path.read_bytes()) if picture.format == "JPEG" else None
            if damage:
                raise UnreadableFileError(f"is a damaged JPEG: {damage}")
            turned = picture.getexif().get(EXIF_ORIENTATION, 1)
            rgb = np.asarray(picture.convert("RGB"))
            return rgb, turned if turned in range(1, 9) else 1, str(picture.format)
    except UnreadableFileError:
        raise
    except Exception:  # noqa: BLE001 - Pillow raises whatever damaged bytes lead to; it has been said already
        return None, 1, ""


def _is_grey(rgb: NDArray[np.uint8]) -> bool:
    return bool((rgb.max(-1) == rgb.min(-1)).all())


def spread(rgb: NDArray[np.uint8]) -> float:
    """How many levels the differences of colours lie from their mean at the same brightness: small for one tint."""
    flat = rgb.reshape(-1, 3)
    flat = flat[:: max(1, len(flat) // SAMPLES)].astype(np.float64)
    bright = flat @ np.array(WEIGHTS) / 1000
    place = np.minimum((bright / 256 * STEPS).astype(int), STEPS - 1)
    counts = np.maximum(np.bincount(place, minlength=STEPS), 1)
    total = 0.0
    for channel in (0, 2):
        apart = flat[:, channel] - bright
        means = np.bincount(place, apart, minlength=STEPS) / counts
        total += float(((apart - means[place]) ** 2).mean())
    return float(np.sqrt(total))
