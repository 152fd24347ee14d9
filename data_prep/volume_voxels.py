"""Voxels of NIfTI, NRRD and MetaImage files -> an image in HU, or masks."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.drawn import Drawn
from data_prep.errors import SeriesError
from data_prep.geometry import Grid
from data_prep.onto import Mask, MaskReport, put_onto
from data_prep.series import Volume
from data_prep.volume_files import Voxels, read_voxels, stem

MOST_LABELS = 128  # distinct values of a label map; images have more
LARGEST_LABEL = 2**16 - 1
INT16 = np.iinfo(np.int16)
DARKEST_HU = -200  # a CT of any body has air or fat below it


def read_image(path: Path) -> tuple[NDArray, Grid]:
    """HU as int16 (float32 where the data need it) with axes i, j, k, and the grid. Raises as `read_image_volume`."""
    volume = read_image_volume(path)
    return volume.array_ijk, volume.grid


def read_image_volume(path: Path) -> Volume:
    """A CT out of a NIfTI, NRRD or MetaImage file, with what has to be said about it as `repairs`.

    Values are taken as HU after the file's own slope and intercept; a range that HU can't have is said, not changed.
    Raises SeriesError or its kin (see read_voxels); SeriesError also for values that are no finite numbers.
    """
    found = read_voxels(path)
    if found.array_ijk.ndim != 3:
        raise SeriesError(f"{Path(path).name} holds layers of labels: it is no image")
    array, low, high = _rescaled(found, Path(path).name)
    notes = list(found.notes)
    if low > DARKEST_HU:
        notes.append(
            f"values lie between {low:g} and {high:g}: hardly Hounsfield units, -1000 in air; left as they are"
        )
    return Volume(array, found.grid, tuple(notes))


def _rescaled(found: Voxels, name: str) -> tuple[NDArray, float, float]:
    """The values after slope and intercept, int16 where that loses nothing; the least and the greatest."""
    raw, slope, inter = found.array_ijk, found.slope, found.inter
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        raise SeriesError(f"{name} holds voxels that are no finite numbers: set them to a HU first")
    ends = sorted(float(end) * slope + inter for end in (raw.min(), raw.max()))
    if not np.isfinite(ends).all():
        raise SeriesError(f"{name}: its slope {slope:g} and intercept {inter:g} lead beyond all numbers")
    low, high = ends[0], ends[1]
    fits = low >= INT16.min and high <= INT16.max
    if raw.dtype.kind in "iu" and slope.is_integer() and inter.is_integer() and fits:
        if slope == 1 and inter == 0:
            return raw.astype(np.int16, copy=False), low, high
        values = raw.astype(np.int64 if raw.dtype.itemsize > 2 or abs(slope) > 2**14 else np.int32)
        return (values * int(slope) + int(inter)).astype(np.int16), low, high
    scaled = raw if slope == 1 and inter == 0 else raw * slope + inter
    if fits and all((scaled[:, :, k] == np.rint(scaled[:, :, k])).all() for k in range(scaled.shape[2])):
        return scaled.astype(np.int16), low, high
    return scaled.astype(np.float32), low, high


def read_masks(path: Path, names: Mapping[int, str] | None = None) -> list[Drawn]:
    """The regions of a mask or label map in the order of their values, those that can't be used with their `problem`.

    Names: as the file gives them (3D Slicer's .seg.nrrd), as `names` does by value, else the file's stem for a mask of
    one value and `<stem>-<value>` for one of several. Raises SeriesError or its kin where the file can't be read or
    its values are no labels: whole numbers from 0, at most 128 of them.
    """
    path = Path(path)
    found = read_voxels(path)
    values = label_values(found)
    if isinstance(values, str):
        raise SeriesError(f"{path.name} is no mask: {values}")
    if segments := _segments(found.tags, found.array_ijk):
        return [_drawn(found, value, layer, name) for name, value, layer in segments]
    if found.array_ijk.ndim != 3:
        raise SeriesError(f"{path.name} holds layers, and no segments that name them")
    marked = [value for value in values if value]
    if not marked:
        return [Drawn(stem(path), None, "", _nothing, "it marks no voxel")]
    named = names or {}
    alone = len(marked) == 1
    return [
        _drawn(found, one, None, named.get(one) or (stem(path) if alone else f"{stem(path)}-{one}")) for one in marked
    ]


def label_values(found: Voxels) -> list[int] | str:
    """The distinct values of a label map, ascending; or why the voxels are none."""
    values: set[int] = set()
    for k in range(found.array_ijk.shape[2]):
        plane = found.array_ijk[:, :, k]
        if found.slope != 1 or found.inter != 0:
            plane = plane * found.slope + found.inter
        if plane.dtype.kind == "f" and not (np.isfinite(plane).all() and (plane == np.rint(plane)).all()):
            return "it holds values that are no whole numbers"
        low, high = int(plane.min()), int(plane.max())
        if low < 0 or high > LARGEST_LABEL:
            return f"it holds the value {low if low < 0 else high}"
        counts = np.bincount(plane.astype(np.uint16).ravel(order="K"))
        values.update(np.flatnonzero(counts).tolist())
        if len(values) > MOST_LABELS:
            return f"it holds more than {MOST_LABELS} values"
    return sorted(values)


def _segments(tags: Mapping[str, str], array: NDArray) -> list[tuple[str, int, int | None]]:
    """Name, label value and layer of each segment that 3D Slicer's keys describe."""
    numbers = sorted({int(found[1]) for key in tags if (found := re.fullmatch(r"Segment(\d{1,5})_\w+", key))})
    segments = []
    for n in numbers:
        value, layer = tags.get(f"Segment{n}_LabelValue", "1"), tags.get(f"Segment{n}_Layer", str(n))
        if not value.isdecimal() or not layer.isdecimal():
            raise SeriesError(f"Segment{n}_LabelValue or Segment{n}_Layer is no number")
        if array.ndim == 4 and int(layer) >= array.shape[3]:
            raise SeriesError(f"Segment{n}_Layer is {layer}, but there are {array.shape[3]} layers")
        segments.append(
            (tags.get(f"Segment{n}_Name", f"Segment_{n}"), int(value), int(layer) if array.ndim == 4 else None)
        )
    return segments


def _drawn(found: Voxels, value: int, layer: int | None, name: str) -> Drawn:
    labels = found.array_ijk if layer is None else found.array_ijk[..., layer]
    stored = (value - found.inter) / found.slope
    if not (labels == stored).any():
        return Drawn(name, value, "", _nothing, "it marks no voxel")
    return Drawn(name, value, "", partial(_fill, labels, stored, found))


def _fill(labels: NDArray, stored: float, found: Voxels, grid: Grid) -> tuple[Mask, MaskReport]:
    mask, report = put_onto(labels == stored, found.grid, grid)
    report.notes[:0] = found.notes
    return mask, report


def _nothing(grid: Grid) -> tuple[Mask, MaskReport]:
    raise SeriesError("it marks no voxel")
