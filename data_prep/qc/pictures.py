"""The pictures of a case: three planes through what matters most, its border close up, a walk through the slices."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Grid
from data_prep.qc.body import Body
from data_prep.qc.masks import Packed
from data_prep.qc.outlines import on_slices, paths
from data_prep.qc.pixels import WINDOW_HU, Colour, grey, jpeg_uri, mask_uri, png_uri
from data_prep.qc.views import (
    PLANES,
    SliceView,
    View,
    nearest_plane,
    patient_view,
    sample_index,
    slice_view,
    tilt_deg,
)

WIDTH_PX, LEVEL_PX, DETAIL_VOXELS = 320, 224, 72
QUALITY, LEVEL_QUALITY = 72, 60
MARGIN_MM = 10.0
MOST_ROIS = 254  # a byte a pixel; ROIs beyond have outlines, but are not filled
LEVEL_TOLERANCE_MM = 0.15
COLOURS: dict[str | None, Colour] = {  # told apart by colour-blind readers too; after Okabe and Ito
    "lung_left": (86, 180, 233),
    "lung_right": (0, 190, 140),
    "lungs": (0, 190, 140),
    "gtv": (255, 110, 30),
    "gtv_nodes": (255, 190, 60),
    "heart": (225, 130, 190),
    "spinal_cord": (240, 228, 66),
}
OTHER_COLOURS: tuple[Colour, ...] = ((190, 150, 255), (255, 150, 150), (150, 220, 90), (120, 220, 230), (210, 180, 140))


@dataclass(frozen=True)
class Picture:
    """One plane. title: for people. uri, mask_uri: PNG or JPEG. outlines: (roi, SVG path). size_mm: width, height."""

    title: str
    size_mm: tuple[float, float]
    letters: tuple[str, str, str, str]
    uri: str
    mask_uri: str | None
    outlines: list[tuple[int, str]]
    pixelated: bool = False


@dataclass(frozen=True, eq=False)
class Scene:
    """All that is drawn. masks, contours: by the ROI's place in the case's list."""

    image_ijk: NDArray
    grid: Grid
    body: Body
    masks: Mapping[int, Packed]
    labels: Sequence[str | None]
    contours: Mapping[int, Sequence[NDArray[np.float32]]]

    def target(self) -> int | None:
        """The ROI that is looked at: the largest tumour, else the largest lung, else the largest of all."""
        for wanted in (("gtv",), ("lung_left", "lung_right"), ("lungs",), tuple({*self.labels})):
            found = [roi for roi in self.masks if self.labels[roi] in wanted]
            if found:
                return max(found, key=lambda roi: int(self.masks[roi].slice_voxels.sum()))
        return None


def colours_of(labels: Sequence[str | None]) -> list[Colour]:
    """One colour a ROI: by its label, others in turn."""
    turn = iter(range(len(labels)))
    return [COLOURS[label] if label in COLOURS else OTHER_COLOURS[next(turn) % len(OTHER_COLOURS)] for label in labels]


def draw(scene: Scene, levels: int) -> dict[str, Any]:
    """`planes` (three and, where there is a mask, a close-up) and `levels` pictures, as plain values."""
    painter = _Painter(scene)
    return {
        "planes": [asdict(picture) for picture in painter.planes()],
        "levels": [asdict(painter.level(k)) for k in painter.level_slices(levels)],
    }


class _Painter:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.colours = dict(enumerate(colours_of(scene.labels), start=1))
        # Large ones first, so that small ones lie on top.
        drawable = [roi for roi in scene.masks if roi < MOST_ROIS]
        self.order = sorted(drawable, key=lambda roi: -int(scene.masks[roi].slice_voxels.sum()))
        self.by_slice = on_slices(scene.contours, scene.grid)
        self.low, self.high = self._box()
        self.whole = slice_view(scene.grid, _pair(self.low), _pair(self.high))
        self.name = nearest_plane(scene.grid)
        self.tilt = tilt_deg(scene.grid)

    def _box(self) -> tuple[NDArray, NDArray]:
        """Voxels worth a look: the body and all masks, with a margin; the whole image without either."""
        shape = np.array(self.scene.grid.shape_ijk)
        boxes = [(mask.low, mask.low + mask.size) for mask in self.scene.masks.values()]
        body = self.scene.body.box()
        if body is not None:
            boxes.append((body[0], body[1] + 1))
        if body is None:
            return np.zeros(3, int), shape
        margin = np.ceil(MARGIN_MM / np.array(self.scene.grid.spacing_mm)).astype(int)
        low, high = np.min([box[0] for box in boxes], axis=0), np.max([box[1] for box in boxes], axis=0)
        return np.maximum(low - margin, 0), np.minimum(high + margin, shape)

    def centre(self) -> tuple[int, int, int]:
        target = self.scene.target()
        if target is None:
            i, j, k = (int(n) for n in (self.low + self.high) // 2)
            return i, j, k
        mask = self.scene.masks[target]
        return *mask.centre_of_slice(mask.largest_slice), mask.largest_slice

    def planes(self) -> list[Picture]:
        centre = self.centre()
        found = {
            name: self._patient_plane(name, np.array(centre)) if name != self.name else self._slice(centre[2])
            for name in PLANES
        }
        target = self.scene.target()
        close = [] if target is None else [self._close_up(target, centre)]
        return [*found.values(), *close]

    def level_slices(self, levels: int) -> list[int]:
        """Evenly over the slices that hold masks, or over the image."""
        masks = self.scene.masks.values()
        first = min((int(mask.low[2]) for mask in masks), default=int(self.low[2]))
        last = max((int(mask.low[2]) + mask.size[2] - 1 for mask in masks), default=int(self.high[2]) - 1)
        return sorted({round(k) for k in np.linspace(first, last, levels + 2)[1:-1]})

    def level(self, k: int) -> Picture:
        return self._slice(k, LEVEL_PX, LEVEL_QUALITY, LEVEL_TOLERANCE_MM)

    def _slice(self, k: int, width_px: int = WIDTH_PX, quality: int = QUALITY, tolerance_mm: float = 0.0) -> Picture:
        view = self.whole
        picture = grey(view.turn(self.scene.image_ijk[:, :, k]))
        which = self._which(view, k)
        return Picture(
            self._title(k),
            _rounded(view.view.size_mm),
            view.view.letters,
            jpeg_uri(picture, _fit(view.view, width_px), quality),
            mask_uri(which, self.colours),
            paths(self.by_slice.get(k, []), view.view, tolerance_mm),
        )

    def _close_up(self, target: int, centre: tuple[int, int, int]) -> Picture:
        """Voxel by voxel: around the target if it fits, else around a point of its border."""
        i, j, k = centre
        plane = self.scene.masks[target].plane(k, self.scene.grid.shape_ijk[:2])
        if plane is not None:
            size = np.ptp(np.argwhere(plane), axis=0)
            if size.max() < DETAIL_VOXELS:
                i, j = (int(n) for n in np.argwhere(plane).min(axis=0) + size // 2)
            else:
                i = int(np.flatnonzero(plane[:, j])[-1])
        half = DETAIL_VOXELS // 2
        low = np.clip([i - half, j - half], 0, None)
        high = np.minimum(low + DETAIL_VOXELS, self.scene.grid.shape_ijk[:2])
        view = slice_view(self.scene.grid, _pair(low), _pair(high))
        return Picture(
            f"close up, slice {k + 1}",
            _rounded(view.view.size_mm),
            view.view.letters,
            png_uri(grey(view.turn(self.scene.image_ijk[:, :, k]))),
            mask_uri(self._which(view, k), self.colours),
            paths(self.by_slice.get(k, []), view.view),
            pixelated=True,
        )

    def _which(self, view: SliceView, k: int) -> NDArray[np.uint8]:
        which = np.zeros(self.scene.grid.shape_ijk[:2], np.uint8)
        for roi in self.order:
            plane = self.scene.masks[roi].plane(k, self.scene.grid.shape_ijk[:2])
            if plane is not None:
                which[plane] = roi + 1
        return view.turn(which)

    def _patient_plane(self, name: str, centre: NDArray) -> Picture:
        """Sampled along the patient's own axes: upright and in proportion for oblique volumes, too."""
        from scipy import ndimage

        grid = self.scene.grid
        view = patient_view(grid, name, self.low, self.high)
        index = sample_index(grid, view, grid.points_mm(centre), _fit(view, WIDTH_PX))
        values = ndimage.map_coordinates(self.scene.image_ijk, np.moveaxis(index, -1, 0), np.float32, 1, mode="nearest")
        values[((index < -0.5) | (index > np.array(grid.shape_ijk) - 0.5)).any(axis=-1)] = WINDOW_HU[0]
        nearest = np.rint(index).astype(np.intp)
        which = np.zeros(nearest.shape[:2], np.uint8)
        for roi in self.order:
            which[self.scene.masks[roi].at(nearest)] = roi + 1
        height, width = values.shape
        return Picture(
            name,
            _rounded(view.size_mm),
            view.letters,
            jpeg_uri(grey(values), (width, height), QUALITY),
            mask_uri(which, self.colours),
            [],
        )

    def _title(self, k: int) -> str:
        tilt = f", {self.tilt:.0f}° oblique" if self.tilt >= 0.5 else ""
        return f"{self.name}, slice {k + 1} of {self.scene.grid.shape_ijk[2]}{tilt}"


def _fit(view: View, width_px: int) -> tuple[int, int]:
    """(width, height) in pixels: the longer side is `width_px`."""
    scale = width_px / max(view.size_mm)
    width, height = (max(1, round(side * scale)) for side in view.size_mm)
    return width, height


def _pair(index: NDArray) -> tuple[int, int]:
    return int(index[0]), int(index[1])


def _rounded(size_mm: tuple[float, float]) -> tuple[float, float]:
    return round(size_mm[0], 3), round(size_mm[1], 3)
