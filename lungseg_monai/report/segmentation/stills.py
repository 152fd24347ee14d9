"""Still pictures of a case: axial, coronal and both lungs sagittal, outlined; for lists, and where WebGL is missing.

All are turned the radiological way: seen from the feet and the front, the patient's right on the left; sagittal with
the front on the left.
"""

import base64
import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.report.segmentation.volumes import Preview

WINDOW_HU = (-1350.0, 150.0)  # the usual lung window: level -600, width 1500
# Okabe and Ito's orange and sky blue, told apart by colour-blind readers too; the viewer takes them from here.
COLOURS = {1: (230, 159, 0), 2: (86, 180, 233)}
OTHER = (204, 121, 167)
GREYS = 48
WHITE, FIRST_COLOUR = GREYS, GREYS + 1
# Uncertainty in percent: less is not drawn, more is of the last colour. From dark violet to light yellow, as inferno.
HEAT_FROM, HEAT_TO = 5, 40
HEAT = ((87, 16, 110), (136, 34, 106), (187, 55, 84), (227, 89, 51), (249, 140, 10), (249, 201, 50), (252, 255, 164))
FIRST_HEAT = FIRST_COLOUR + len(COLOURS) + 1
STILL_PX, THUMB_PX, GAP_PX = 800, 144, 6
PLANES = ((0, 1), (0, 2), (1, 2), (1, 2))  # axes of columns and rows: axial, coronal, sagittal right and left
EDGES = (("R", "L"), ("R", "L"), ("A", "P"), ("A", "P"))


@dataclass(frozen=True)
class Stills:
    """thumb, still: PNG as data URIs. centre: the fraction along R, A and S where the largest cuts lie."""

    thumb: str
    still: str
    centre: tuple[float, float, float]


def draw(preview: Preview, spread: NDArray[np.uint8] | None = None) -> Stills:
    """The pictures of a case, cut where the masks are largest, or in the middle where there are none.

    spread: uncertainty in percent on the preview's grid, drawn below the outlines.
    """
    hu, labels, spacing_mm = _ras(preview)
    heat = None if spread is None else _ras(replace(preview, labels=spread))[1]
    cuts = _cuts(labels)
    sizes_mm = [(hu.shape[c] * spacing_mm[c], hu.shape[r] * spacing_mm[r]) for c, r in PLANES]
    scale = (STILL_PX - GAP_PX) / (max(sizes_mm[0][0], sizes_mm[2][0]) + max(sizes_mm[1][0], sizes_mm[3][0]))
    panes = [
        _pane(hu, labels, plane, cut, _size(mm, scale), heat)
        for plane, cut, mm in zip(PLANES, cuts, sizes_mm, strict=True)
    ]
    small = _pane(hu, labels, PLANES[1], cuts[1], _size(sizes_mm[1], THUMB_PX / max(sizes_mm[1])))
    centre = [(cut + 0.5) / hu.shape[axis] for cut, axis in ((cuts[2], 0), (cuts[1], 1), (cuts[0], 2))]
    return Stills(_png(small), _png(_montage(panes)), (centre[0], centre[1], centre[2]))


def _ras(preview: Preview) -> tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.float64]]:
    """Image, labels and spacing along the axes nearest to R, A and S."""
    from nibabel.orientations import apply_orientation, io_orientation

    turn = io_orientation(preview.affine_ras)
    spacing_mm = np.empty(3)
    spacing_mm[turn[:, 0].astype(int)] = np.linalg.norm(preview.affine_ras[:3, :3], axis=0)
    return apply_orientation(preview.hu, turn), apply_orientation(preview.labels, turn), spacing_mm


def _cuts(labels: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Where to cut for each of PLANES."""

    def largest(mask: NDArray[np.bool_], axis: int) -> int:
        areas = mask.sum(axis=tuple({0, 1, 2} - {axis}))
        return int(areas.argmax()) if areas.any() else mask.shape[axis] // 2

    other = labels > len(COLOURS)
    if other.any():  # a tumour, whatever lungs are shown beside it
        return largest(other, 2), largest(other, 1), largest(other, 0), largest(labels == 2, 0)
    both = labels > 0
    return largest(both, 2), largest(both, 1), largest(labels == 1, 0), largest(labels == 2, 0)


def _size(size_mm: tuple[float, float], scale: float) -> tuple[int, int]:
    return max(1, round(size_mm[0] * scale)), max(1, round(size_mm[1] * scale))


def _pane(
    hu: NDArray[Any],
    labels: NDArray[np.uint8],
    plane: tuple[int, int],
    cut: int,
    size_px: tuple[int, int],
    heat: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """(rows, columns) of indices into the palette: grey, on it what is uncertain, and the outlines."""
    from PIL import Image

    (axis,) = {0, 1, 2} - set(plane)
    where = tuple(cut if one == axis else slice(None) for one in range(3))

    def picture_of(values: NDArray[Any]) -> NDArray[np.float32]:
        # R, A and S grow along the axes; a picture has R or A on its left and S or A on top.
        turned = np.ascontiguousarray(values.T[::-1, ::-1], np.float32)
        return np.asarray(Image.fromarray(turned).resize(size_px, Image.Resampling.BILINEAR))

    low, high = WINDOW_HU
    picture = np.rint(np.clip((picture_of(hu[where]) - low) / (high - low), 0, 1) * (GREYS - 1)).astype(np.uint8)
    if heat is not None:
        percent = picture_of(heat[where])
        picture = np.where(percent >= HEAT_FROM, FIRST_HEAT + heat_level(percent), picture).astype(np.uint8)
    here = labels[where]
    for label in np.unique(here[here > 0]).tolist():
        mask = picture_of(here == label) > 0.5
        picture[mask & ~_shrunk(mask)] = FIRST_COLOUR + min(label - 1, len(COLOURS))
    return picture


def heat_level(percent: NDArray[np.floating]) -> NDArray[np.intp]:
    """Which colour of HEAT a percentage of HEAT_FROM or more has."""
    share = (percent - HEAT_FROM) / (HEAT_TO - HEAT_FROM)
    return np.clip(share * len(HEAT), 0, len(HEAT) - 1).astype(np.intp)


def _shrunk(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`mask` without the pixels that touch what is outside along rows and columns."""
    padded = np.pad(mask, 1)
    return padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def _montage(panes: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Two by two, each in the middle of its cell, with the patient's sides at its edges."""
    from PIL import Image, ImageDraw

    widths = [max(panes[n].shape[1], panes[n + 2].shape[1]) for n in (0, 1)]
    heights = [max(panes[n].shape[0], panes[n + 1].shape[0]) for n in (0, 2)]
    picture = Image.new("L", (sum(widths) + GAP_PX, sum(heights) + GAP_PX))
    pencil = ImageDraw.Draw(picture)
    for n, (pane, (first, last)) in enumerate(zip(panes, EDGES, strict=True)):
        rows, columns = pane.shape
        left = (n % 2) * (widths[0] + GAP_PX) + (widths[n % 2] - columns) // 2
        top = (n // 2) * (heights[0] + GAP_PX) + (heights[n // 2] - rows) // 2
        picture.paste(Image.fromarray(pane), (left, top))
        pencil.text((left + 4, top + rows // 2), first, fill=WHITE, anchor="lm")
        pencil.text((left + columns - 4, top + rows // 2), last, fill=WHITE, anchor="rm")
    return np.asarray(picture)


def _png(picture: NDArray[np.uint8]) -> str:
    from PIL import Image

    image = Image.fromarray(picture).convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    greys = np.repeat(np.linspace(0, 255, GREYS).round()[:, None], 3, axis=1)
    colours = np.array([(255, 255, 255), *COLOURS.values(), OTHER, *HEAT])
    image.putpalette(np.concatenate([greys, colours]).astype(np.uint8).tobytes())
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
