"""The picture with the lungs outlined in colour, sides and convention named: for people, not for measuring."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.pictures.grey import grey
from lungseg_monai.pictures.resize import resize
from lungseg_monai.report.segmentation.stills import COLOURS

LONGEST = 1000  # pixels of the longer side
SHORTEST = 400  # smaller pictures are enlarged: names must be readable
GREYS = 250
WHITE, FIRST = GREYS, GREYS + 1
TITLES = {"lung_right": "right lung", "lung_left": "left lung", "lungs": "lungs"}
LINE = 0.0035  # of the longer side: width of a contour
BAND = 26  # pixels below the picture
SPACE = 5  # between words


def draw(
    pixels: NDArray[np.unsignedinteger], labels: NDArray[np.uint8], names: Mapping[int, str], convention: str
) -> tuple[NDArray[np.uint8], list[int]]:
    """(rows, columns) of indices into a palette, and the palette, as Pillow's putpalette takes it.

    pixels, labels: (H, W) alike. Contours lie on the inside of each label; the patient's right is on the left of a film
    as it hangs. At most LONGEST pixels wide and high, with a line of text below.
    """
    size = _size(pixels.shape)
    values = resize(grey(pixels), size)
    low, high = (float(one) for one in np.percentile(values, (0.2, 99.8)))
    span = high - low if high > low else 1.0
    shown = np.rint(np.clip((values - low) / span, 0, 1) * (GREYS - 1)).astype(np.uint8)
    width = max(1, round(LINE * max(size)))
    for label in names:
        inside = resize(labels == label, size) > 0.5
        shown[inside & ~_shrunk(inside, width)] = FIRST + (label - 1) % len(COLOURS)
    return _with_legend(shown, names, convention), palette()


def palette() -> list[int]:
    greys = [round(one * 255 / (GREYS - 1)) for one in range(GREYS) for _ in range(3)]
    return [*greys, 255, 255, 255, *(part for colour in COLOURS.values() for part in colour)]


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    longest = max(shape[:2])
    scale = min(LONGEST / longest, max(1.0, SHORTEST / longest))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _shrunk(mask: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    """`mask` without the `times` outermost pixels, along rows and columns; the picture's edge is no outside."""
    for _ in range(times):
        padded = np.pad(mask, 1, constant_values=True)
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def _with_legend(shown: NDArray[np.uint8], names: Mapping[int, str], convention: str) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw

    rows, columns = shown.shape
    canvas = Image.new("L", (columns, rows + BAND))
    canvas.paste(Image.fromarray(shown), (0, 0))
    pencil = ImageDraw.Draw(canvas)
    pencil.fontmode = "1"  # colours of a palette don't mix
    at, line = 8, rows + BAND // 2
    for label, name in names.items():
        pencil.rectangle((at, line - 5, at + 10, line + 5), fill=FIRST + (label - 1) % len(COLOURS))
        at = _written(pencil, at + 16, line, TITLES.get(name, name)) + 10
    _written(pencil, at, line, f"({convention})")
    return np.asarray(canvas)


def _written(pencil: Any, at: int, line: int, text: str) -> int:
    """Write `text` from column `at`, and tell where it ends; without smoothing its spaces would be too narrow."""
    for word in text.split():
        pencil.text((at, line), word, fill=WHITE, anchor="lm")
        at += round(pencil.textlength(word)) + SPACE
    return at
