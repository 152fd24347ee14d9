"""One slice as a picture: radiological orientation, true proportions, HU window, masks in colour, PNG in a data URI."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.evaluation.masks import Volume
from lungseg_monai.evaluation.metrics import BoolArray

WINDOW_HU = (-1350.0, 150.0)  # the usual lung window: level -600, width 1500
LONGEST_SIDE_PX = 320
OPPOSITE = dict(zip("LRAPSI", "RLPAIS", strict=True))

# Okabe and Ito's colours, told apart by colour-blind readers too: (red, green, blue) and opacity.
TRUTH = ((0, 158, 115), 0.45)  # and where the prediction agrees
FALSE_POSITIVE = ((230, 120, 0), 0.85)
MISSED = ((204, 121, 240), 0.85)
GREYS = 64  # each of them bare and under each colour makes the 256 colours of a PNG's palette


@dataclass(frozen=True)
class View:
    """How a slice of a volume is turned for display.

    transpose, flip_rows, flip_columns: what makes rows out of the slice's (I, J). right, left: the patient's side at
    the picture's right and left edge (L, R, A, P, S or I). size_mm: (width, height).
    """

    transpose: bool
    flip_rows: bool
    flip_columns: bool
    left: str
    right: str
    size_mm: tuple[float, float]

    def apply(self, plane: NDArray) -> NDArray:
        """(I, J) -> (rows, columns)."""
        rows = plane.T if self.transpose else plane
        return rows[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


def view_of(volume: Volume) -> View:
    """The radiological view of a volume's slices (third axis): seen from the feet, the patient's left on the right.

    Coronal slices likewise, head up; sagittal slices with the front on the left.
    """
    from nibabel.orientations import aff2axcodes

    codes = aff2axcodes(volume.affine_ras)[:2]
    columns = next(axis for sides in ("LR", "AP") for axis in (0, 1) if codes[axis] in sides)
    rows = 1 - columns
    flip_columns = codes[columns] not in "LP"
    extent_mm = [volume.voxels.shape[axis] * volume.spacing_mm[axis] for axis in (columns, rows)]
    right = OPPOSITE[codes[columns]] if flip_columns else codes[columns]
    return View(
        transpose=columns == 0,
        flip_rows=codes[rows] not in "PI",
        flip_columns=flip_columns,
        left=OPPOSITE[right],
        right=right,
        size_mm=(extent_mm[0], extent_mm[1]),
    )


def grey(plane_hu: NDArray) -> NDArray[np.float64]:
    """HU -> grey (..., 3) from 0 to 255, clipped to WINDOW_HU."""
    low, high = WINDOW_HU
    scaled = np.clip((np.asarray(plane_hu, float) - low) / (high - low), 0, 1) * 255
    return np.repeat(scaled[..., None], 3, axis=-1)


def paint(picture: NDArray[np.float64], mask: BoolArray, colour: tuple[tuple[int, int, int], float]) -> None:
    """Lay a colour over the picture where the mask is set, in place."""
    rgb, opacity = colour
    picture[mask] = (1 - opacity) * picture[mask] + opacity * np.array(rgb)


def slice_pictures(image: Volume, truth: BoolArray, predicted: BoolArray, k: int) -> tuple[str, str, str]:
    """Image, truth and prediction of slice k as data URIs; masks are (I, J, K) on the image's grid."""
    view = view_of(image)
    base = grey(view.apply(image.voxels[:, :, k]))
    t, p = view.apply(truth[:, :, k]), view.apply(predicted[:, :, k])
    with_truth, with_prediction = base.copy(), base.copy()
    paint(with_truth, t, TRUTH)
    for mask, colour in ((t & p, TRUTH), (p & ~t, FALSE_POSITIVE), (t & ~p, MISSED)):
        paint(with_prediction, mask, colour)
    return tuple(png_uri(picture, view.size_mm) for picture in (base, with_truth, with_prediction))  # type: ignore[return-value]


def png_uri(picture: NDArray[np.float64], size_mm: tuple[float, float]) -> str:
    """(rows, columns, 3) from 0 to 255 -> data URI of a PNG with square pixels."""
    from PIL import Image

    scale = LONGEST_SIDE_PX / max(size_mm)
    size_px = max(1, round(size_mm[0] * scale)), max(1, round(size_mm[1] * scale))
    resized = Image.fromarray(picture.round().astype(np.uint8)).resize(size_px, Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    palette = Image.new("P", (1, 1))
    palette.putpalette(_palette().tobytes())
    resized.quantize(palette=palette, dither=Image.Dither.NONE).save(stream, format="PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _palette() -> NDArray[np.uint8]:
    """(256, 3): the greys, bare and under each colour, so that a few wrong voxels keep their colour."""
    greys = np.repeat(np.linspace(0, 255, GREYS)[:, None], 3, axis=1)
    rows = [greys]
    for colour in (TRUTH, FALSE_POSITIVE, MISSED):
        painted = greys.copy()
        paint(painted, np.ones(GREYS, bool), colour)
        rows.append(painted)
    return np.concatenate(rows).round().astype(np.uint8)
