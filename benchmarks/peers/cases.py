"""What a made case holds, and the pieces that cases are made of: an even CT whose HU tell the place, spheres on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import Dataset

from benchmarks.peers.dicom import Contour, Edit, Series, write_rtstruct, write_series
from benchmarks.peers.shapes import Inside, circle

SLOPE_HU = np.array([5.0, 7.0, 9.0])  # a mm along x, y, z: HU = SLOPE_HU . p + offset
LOWEST_HU = -1000
SHAPE, SPACING_MM, STEP_MM = (96, 96, 30), (1.5, 1.5), 3.0
ORIGIN_MM = np.array([-61.3, 12.7, -203.9])
EDGE_MM = 1e-3  # of rounding, in positions that are written with a few digits
ENOUGH = 0.93  # Dice: rounded vertices pass (accuracy.py measures those), lost planes do not


@dataclass(frozen=True)
class Roi:
    """A ROI and its truth. inside None: no voxel may be drawn. reference_mm3: on the voxels of the case's grid."""

    name: str
    inside: Inside | None
    reference_mm3: float = 0.0
    volume_mm3: float = 0.0
    enough: float = ENOUGH


@dataclass(frozen=True)
class Volume:
    """A series that is there: its HU at p are SLOPE_HU . p + offset_hu."""

    offset_hu: float
    series: Series

    @property
    def volume_mm3(self) -> float:
        return volume_mm3(self.series)

    def inside(self, points_mm: np.ndarray, rim: float = 0.0) -> np.ndarray:
        """Between the centres of the outer voxels, and `rim` voxels beyond. (..., 3) -> bool."""
        series = self.series
        normal = np.cross(series.axes[:, 0], series.axes[:, 1])
        first, last = series.positions_mm[np.argsort(series.along_mm)[[0, -1]]]
        up = (last - first) / ((last - first) @ normal)  # a mm along the normal; askew in a tilted series
        height = (points_mm - first) @ normal
        flat = points_mm - first - height[..., None] * up
        step = np.median(series.thickness_mm)
        within = (height > -rim * step - EDGE_MM) & (height < (last - first) @ normal + rim * step + EDGE_MM)
        for axis, (count, pixel) in enumerate(zip(series.shape_ij, series.spacing_mm, strict=True)):
            along = flat @ series.axes[:, axis]
            within &= (along > -rim * pixel - EDGE_MM) & (along < (count - 1 + rim) * pixel + EDGE_MM)
        return within


@dataclass(frozen=True)
class Case:
    """name: its folder. trap: what is awkward about it, for the table. in_hu: values are at stake, not places."""

    name: str
    trap: str
    volumes: tuple[Volume, ...]
    rois: tuple[Roi, ...]
    in_hu: bool = False


@dataclass
class Draft:
    """A case to write. spheres: ROI name; centre in mm from voxel 0, 0, 0 along i, j, k; radius; radius of a hole."""

    name: str
    trap: str
    series: Series | None = None
    spheres: Sequence[tuple[str, tuple[float, float, float], float, float]] = (
        ("Lung-Left", (45, 60, 40), 27, 0),
        ("Lung-Right", (98, 70, 45), 20, 0),
    )
    edit_slice: Edit | None = None
    edit_struct: Callable[[Dataset], None] | None = None
    edit_contours: Callable[[str, list[Contour]], list[Contour]] = lambda name, contours: contours
    absent: Sequence[str] = ()  # ROIs that may not have a voxel
    enough: dict[str, float] = field(default_factory=dict)
    stored: Callable[[Series, int], np.ndarray] | None = None
    beyond: int = 0  # planes with contours beyond the first slice
    in_hu: bool = False

    def write(self, root: Path) -> Case:
        """Write root/<name>/{ct,rtstruct/rs.dcm}."""
        series = self.series or even(self.name)
        offset = offset_hu(series)
        stored = self.stored or (lambda series, k: stored_values(series, k, offset))
        write_series(root / self.name / "ct", series, lambda k: stored(series, k), self.edit_slice)
        rois, truth = [], []
        for name, centre_ijk_mm, radius, hole in self.spheres:
            centre = series.positions_mm[0] + _axes(series) @ centre_ijk_mm
            contours = ball(series, centre, radius, self.beyond) + (ball(series, centre, hole) if hole else [])
            rois.append((name, self.edit_contours(name, contours)))
            inside = shell(centre, radius, hole)
            enough = self.enough.get(name, ENOUGH)
            truth.append(
                Roi(name, None) if name in self.absent else Roi(name, inside, on_grid(series, inside), enough=enough)
            )
        write_rtstruct(root / self.name / "rtstruct" / "rs.dcm", series, rois, self.edit_struct)
        return Case(self.name, self.trap, (Volume(offset, series),), tuple(truth), self.in_hu)


def even(
    case: str,
    shape: tuple[int, int, int] = SHAPE,
    spacing_mm: tuple[float, float] = SPACING_MM,
    step_mm: float = STEP_MM,
    axes: np.ndarray | None = None,
    **more: object,
) -> Series:
    """An even series from ORIGIN_MM on. axes: columns are directions of i, j, k."""
    axes = np.eye(3) if axes is None else axes
    positions = ORIGIN_MM + np.arange(shape[2])[:, None] * step_mm * axes[:, 2]
    return Series(case, shape[:2], spacing_mm, positions, axes, **more)  # type: ignore[arg-type]


def at(case: str, along_mm: np.ndarray) -> Series:
    """An axial series with slices at `along_mm` above ORIGIN_MM."""
    return Series(case, SHAPE[:2], SPACING_MM, ORIGIN_MM + np.asarray(along_mm)[:, None] * [0, 0, 1.0])


def offset_hu(series: Series) -> float:
    """Makes the darkest voxel LOWEST_HU."""
    lowest = min(float((series.points_mm(k) @ SLOPE_HU).min()) for k in (0, len(series.positions_mm) - 1))
    return LOWEST_HU - lowest


def stored_values(series: Series, k: int, offset: float) -> np.ndarray:
    return np.rint(series.points_mm(k) @ SLOPE_HU + offset + 1024)


def volume_mm3(series: Series) -> float:
    return float(series.thickness_mm.sum() * np.prod(series.shape_ij) * np.prod(series.spacing_mm))


def on_grid(series: Series, inside: Inside) -> float:
    """mm3 of the voxels whose centres lie inside."""
    pixel_mm2 = np.prod(series.spacing_mm)
    counts = [np.count_nonzero(inside(series.points_mm(k))) for k in range(len(series.positions_mm))]
    return float(counts @ series.thickness_mm * pixel_mm2)


def shell(centre: np.ndarray, radius: float, hole: float) -> Inside:
    def inside(points_mm: np.ndarray) -> np.ndarray:
        squared = ((points_mm - centre) ** 2).sum(axis=-1)
        return (squared < radius**2) & (squared >= hole**2)

    return inside


def ball(series: Series, centre: np.ndarray, radius: float, beyond: int = 0) -> list[Contour]:
    """Circles where the planes of `series` cut a sphere; `beyond` more planes before the first."""
    normal = np.cross(series.axes[:, 0], series.axes[:, 1])
    step = series.positions_mm[1] - series.positions_mm[0]
    contours = []
    for k in range(-beyond, len(series.positions_mm)):
        position = series.positions_mm[0] + k * step if k < 0 else series.positions_mm[k]
        away = float((position - centre) @ normal)
        if radius**2 - away**2 > 0.01:
            flat = circle(0, 0, float(np.sqrt(radius**2 - away**2)))
            contours.append(Contour(max(k, 0), centre + away * normal + flat @ series.axes[:, :2].T))
    return contours


def _axes(series: Series) -> np.ndarray:
    return np.column_stack([series.axes[:, :2], np.cross(series.axes[:, 0], series.axes[:, 1])])
