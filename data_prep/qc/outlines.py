"""Contours in mm -> paths of a vector drawing, lying on the picture to a hundredth of a millimetre."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Grid
from data_prep.qc.views import View

UNITS_PER_MM = 50  # paths are written in whole units: short, and never off by more than 0.01 mm
HALF_STEP = 0.5 + 1e-3


def on_slices(
    contours_by_roi: Mapping[int, Sequence[NDArray[np.float32]]], grid: Grid
) -> dict[int, list[tuple[int, NDArray[np.float32]]]]:
    """Slice index k -> (roi, contour) there. Contours with a point further off than half a step are left out."""
    found: dict[int, list[tuple[int, NDArray[np.float32]]]] = {}
    for roi, contours in contours_by_roi.items():
        for points_mm in contours:
            if len(points_mm) < 3 or not np.isfinite(points_mm).all():
                continue
            planes = grid.index_ijk(points_mm)[:, 2]
            k = round(float(planes.mean()))
            if 0 <= k < grid.shape_ijk[2] and np.abs(planes - k).max() <= HALF_STEP:
                found.setdefault(k, []).append((roi, points_mm))
    return found


def paths(
    contours: Iterable[tuple[int, NDArray[np.float32]]], view: View, tolerance_mm: float = 0.0
) -> list[tuple[int, str]]:
    """(roi, SVG path) in units of 1 / UNITS_PER_MM mm, one for each ROI; contours wholly off the picture left out.

    Points that lie within `tolerance_mm` of the line between their neighbours may be left out.
    """
    drawn: dict[int, list[str]] = {}
    for roi, points_mm in contours:
        flat = view.flat(points_mm)
        if (flat.max(axis=0) < 0).any() or (flat.min(axis=0) > view.size_mm).any():
            continue
        if tolerance_mm:
            flat = _thinned(flat, tolerance_mm)
        drawn.setdefault(roi, []).append(_path(np.rint(flat * UNITS_PER_MM).astype(int)))
    return [(roi, "".join(parts)) for roi, parts in drawn.items()]


def _path(units: NDArray[np.int_]) -> str:
    """Relative steps, as few characters as SVG allows; a minus sign separates, too."""
    steps = np.diff(units, axis=0).ravel().tolist()
    text = "".join(f"{step}" if step < 0 else f" {step}" for step in steps)
    return f"M{units[0, 0]} {units[0, 1]}l{text.lstrip()}z"


def _thinned(flat: NDArray, tolerance_mm: float) -> NDArray:
    """Every second point dropped where it lies on the line between its neighbours, a few times over."""
    for _ in range(3):
        if len(flat) < 8:
            break
        before, after = np.roll(flat, 1, axis=0), np.roll(flat, -1, axis=0)
        line, offset = after - before, flat - before
        length = np.hypot(*line.T)
        away = np.abs(line[:, 0] * offset[:, 1] - line[:, 1] * offset[:, 0]) / np.maximum(length, 1e-9)
        drop = (away < tolerance_mm) & (np.arange(len(flat)) % 2 == 1) & (length > 1e-9)
        drop[-1] = False
        flat = flat[~drop]
    return flat
