"""A decoded picture of any kind -> one grey channel, or the reason why not. Every step that changes it is named."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import UnreadableFileError

if TYPE_CHECKING:
    from PIL.Image import Image

NEAR_GREY = 16  # levels between channels that JPEG's coarse colours make of grey
FEW = 0.02  # share of pixels that may be coloured: markers and text on a grey picture
OPAQUE_SHARE = 0.999
WEIGHTS = (299, 587, 114)  # of red, green, blue in grey, thousandths (ITU-R BT.601, as Pillow)


@dataclass(eq=False)
class Grey:
    """pixels: (rows, columns) uint8 or uint16. alpha: uint8 of the same shape where there is any."""

    pixels: NDArray
    alpha: NDArray[np.uint8] | None = None
    repairs: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)


def to_grey(picture: "Image") -> Grey:
    """One channel of a Pillow image, 8 or 16 bits, as stored.

    Three equal channels are grey; nearly equal ones, and grey with a few coloured pixels, become their brightness.
    Raises UnreadableFileError for real colour, floating point, and values beyond 16 bits.
    """
    mode = picture.mode
    if mode in ("P", "PA"):
        wide = "transparency" in picture.info or mode == "PA"
        grey = to_grey(picture.convert("RGBA" if wide else "RGB"))
        grey.repairs.insert(0, "colours of a palette looked up")
        return grey
    if mode == "1":
        return Grey(np.asarray(picture.convert("L")))
    if mode == "L":
        return Grey(np.asarray(picture))
    if mode.startswith("I"):
        return Grey(_whole_numbers(np.asarray(picture)))
    if mode in ("LA", "La"):
        both = np.asarray(picture.convert("LA"))
        return _without_alpha(Grey(both[..., 0], both[..., 1]))
    if mode in ("RGBA", "RGBa"):
        channels = np.asarray(picture.convert("RGBA"))
        grey = _one_channel(channels[..., :3])
        grey.alpha = channels[..., 3]
        return _without_alpha(grey)
    if mode == "RGB":
        return _one_channel(np.asarray(picture))
    raise UnreadableFileError(f"holds pixels of the kind {mode}; wanted grey of 8 or 16 bits")


def _whole_numbers(values: NDArray) -> NDArray[np.uint16]:
    if values.min() < 0 or values.max() >= 2**16:
        raise UnreadableFileError(f"holds values from {values.min()} to {values.max()}; wanted 0 to 65535")
    return values.astype(np.uint16)


def _one_channel(rgb: NDArray[np.uint8]) -> Grey:
    red, green, blue = (rgb[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return Grey(np.ascontiguousarray(red), repairs=["three equal channels taken as one"])
    apart = rgb.max(-1).astype(np.int16) - rgb.min(-1)
    share = float((apart > NEAR_GREY).mean())
    if share > FEW:
        raise UnreadableFileError(
            f"is a colour picture ({share:.0%} of its pixels are coloured); wanted grey. A photo is no X-ray; "
            "a tinted scan must be made grey first"
        )
    brightness = (rgb.astype(np.int32) @ np.array(WEIGHTS) + 500) // 1000
    grey = Grey(brightness.astype(np.uint8), repairs=["three nearly equal channels taken as their brightness"])
    if share:
        grey.flags.append(f"{share:.2%} of the pixels are coloured (a marker, text?): taken as their brightness")
    return grey


def _without_alpha(grey: Grey) -> Grey:
    """The channel on black where it is transparent; what that changes is named."""
    alpha = grey.alpha
    if alpha is None or alpha.min() == 255:
        grey.repairs.append("alpha channel without effect dropped")
        return grey
    clear = float((alpha < 255).mean())
    grey.pixels = ((grey.pixels.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)
    grey.repairs.append("transparent picture laid on black")
    if clear > 1 - OPAQUE_SHARE:
        grey.flags.append(f"{clear:.1%} of the pixels are transparent")
    return grey
