"""CT slices -> one volume: which file goes where, and what stands in the way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import GeometryError, PrepError, SeriesError, UnreadableFileError
from data_prep.files import quiet_pydicom, read_header
from data_prep.geometry import Array, Grid, slice_normal
from data_prep.multiframe import FRAME_TAGS, expand_frames
from data_prep.options import StackOptions
from data_prep.pixels import AIR_HU, PADDING_HU, believes_padding, hounsfield, loss_notes, read_hu_into, read_stored
from data_prep.regrid import Regrid
from data_prep.slices import MULTI_FRAME_CT, SLICE_TAGS, PixelFormat, SliceHeader, no_slice, slice_header
from data_prep.stack import REFUSE, fit_stack, position_tolerance_mm, single_slice

SAME_COSINE = 1e-4  # two roundings of one direction
SAME_SPACING_MM = 1e-4


@dataclass(frozen=True, eq=False)
class Series:
    """One CT series, ready to be read.

    grid: of the image. planes: the grid of the slices themselves, on which contours are rasterised; the same object
    unless `regrid` makes the image's slices from them (uneven slices, a tilted gantry). places: for each slice of
    `planes`, ascending along the normal, the files that lie there (several if duplicated). deviation_mm: how far the
    worst slice lies from its place. notes: what was assumed or changed. dropped: slices that were left out.
    """

    grid: Grid
    planes: Grid
    places: list[list[SliceHeader]]
    deviation_mm: float
    notes: tuple[str, ...]
    regrid: Regrid | None = None
    dropped: tuple[SliceHeader, ...] = ()

    def to_grid(self, mask_ijk: NDArray) -> NDArray:
        """A mask on `planes` -> the mask on `grid`, as the image goes: itself where nothing is resampled.

        Masks of bool or integers come back 0/1, set where at least half is inside; floats (coverage) linearly.
        """
        return mask_ijk if self.regrid is None else self.regrid.mask(mask_ijk)


@dataclass(frozen=True, eq=False)
class Volume:
    """array_ijk: HU, int16 (float32 where the data need it), axes i, j, k of `grid`. repairs: what was changed."""

    array_ijk: NDArray
    grid: Grid
    repairs: tuple[str, ...]


def read_series(files: Sequence[Path], options: StackOptions = REFUSE) -> tuple[NDArray, Grid]:
    """Read the files of one CT series, in any order. `options`: what to do with gaps and tilt, refused by default.

    Multi-frame files (Enhanced CT and its legacy form) count as their frames, but for localizers among them.
    Returns HU as int16 (float32 where the data need it) with axes i, j, k, and the grid that says where they are.
    Raises SeriesError, GeometryError or UnreadableFileError; the message says what stands in the way.
    """
    slices = [one for path in files for one in _headers(Path(path))]
    if not slices:
        raise SeriesError("no files given")
    if len({one.series_uid for one in slices}) > 1:
        raise SeriesError("the files belong to several series (0020,000E): read one at a time")
    volume = read_volume(arrange(slices, options))
    return volume.array_ijk, volume.grid


def _headers(path: Path) -> list[SliceHeader]:
    """The slices that one file holds."""
    header = read_header(path, (*SLICE_TAGS, *FRAME_TAGS))
    if header is None:
        raise UnreadableFileError(f"{path.name} is no DICOM file")
    try:
        with quiet_pydicom():  # values in sequences are parsed only now
            if header.sop_class not in MULTI_FRAME_CT:
                return [slice_header(path, header)]
            return [one for one in expand_frames(path, header) if no_slice(one) is None]
    except PrepError:
        raise
    except Exception as error:  # pydicom raises whatever damaged bytes lead to
        raise UnreadableFileError(f"{path.name} is damaged or truncated DICOM ({type(error).__name__})") from error


def read_volume(series: Series) -> Volume:
    """Read the pixels of an arranged series: one volume in memory and one slice, two volumes where it is resampled.

    Raises SeriesError or UnreadableFileError naming the tag, the encoding, or the file that is cut short.
    """
    columns, rows, count = series.planes.shape_ijk
    planes: NDArray = np.empty((count, rows, columns), np.int16)
    padded = 0
    for k, place in enumerate(series.places):
        for double in place[1:]:
            _refuse_different(place[0], double)
        changed = read_hu_into(place[0], planes[k]) if planes.dtype == np.int16 else None
        if changed is None:  # int16 can't hold these HU
            planes = planes.astype(np.float32, copy=False)
            planes[k], changed = hounsfield(read_stored(place[0]), place[0].pixels)
        padded += changed
    dropped = sum(len(place) - 1 for place in series.places)
    firsts = [place[0] for place in series.places]
    repairs = _repairs(padded, dropped, planes.dtype) + loss_notes(firsts)
    if not all(believes_padding(one.pixels) for one in firsts):
        repairs += (f"PixelPaddingValue (0028,0120) lies above {AIR_HU} HU, where tissue is: taken as ordinary pixels",)
    array = planes.transpose(2, 1, 0)
    if series.regrid is not None:
        array = series.regrid.image(array, PADDING_HU)
    return Volume(array, series.grid, series.notes + repairs)


def _repairs(padded: int, dropped: int, dtype: np.dtype) -> tuple[str, ...]:
    found = []
    if dropped:
        found.append(f"{dropped} slice(s) dropped that repeat the position and the pixels of another")
    if padded:
        found.append(f"PixelPaddingValue (0028,0120): {padded} voxels set to {PADDING_HU} HU")
    if dtype != np.int16:
        found.append("written as float32: the HU are no whole numbers, or exceed int16")
    return tuple(found)


def same_pixels(one: SliceHeader, other: SliceHeader, stored: NDArray | None = None) -> bool:
    """Whether two slices hold the same HU, by their stored values. stored: those of `one` where they were read before.

    Raises SeriesError or UnreadableFileError as `read_stored`.
    """
    if _rescale(one.pixels) != _rescale(other.pixels):
        return False
    return np.array_equal(read_stored(one) if stored is None else stored, read_stored(other))


def _rescale(pixels: PixelFormat) -> tuple[Any, ...]:
    return pixels.slope, pixels.intercept, pixels.lookup


def _refuse_different(first: SliceHeader, second: SliceHeader) -> None:
    if not same_pixels(first, second):
        at = ", ".join(f"{value:.2f}" for value in first.position_mm or ())
        raise SeriesError(
            f"two slices with different pixels at one position ({at}): {first.path.name} and {second.path.name}. "
            "The series holds several acquisitions or phases; convert them apart from each other."
        )


def same_place_mm(along_mm: Array) -> float:
    """How near to each other slices lie that are at one place. along_mm: (n,) positions along the normal."""
    gaps = np.diff(np.sort(along_mm))
    apart = gaps[gaps > 0.01]
    return position_tolerance_mm(float(np.median(apart))) if len(apart) else 0.01


@np.errstate(over="ignore", invalid="ignore")  # impossible numbers are refused by name, not warned of
def arrange(slices: Sequence[SliceHeader], options: StackOptions = REFUSE) -> Series:
    """Sort the slices of one series along their normal and fit one grid to them.

    Raises SeriesError or GeometryError naming what is missing, what differs between slices, where gaps are, and how far
    the gantry is tilted, unless `options` allow for them.
    """
    _require(slices, "ImagePositionPatient (0020,0032)", lambda s: s.position_mm)
    _require(slices, "ImageOrientationPatient (0020,0037)", lambda s: s.orientation)
    _require(slices, "PixelSpacing (0028,0030)", lambda s: s.pixel_spacing_mm and min(s.pixel_spacing_mm) > 0)
    _require(slices, "Rows (0028,0010) or Columns (0028,0011)", lambda s: s.rows and s.columns)
    _require_same(slices, "Rows and Columns", lambda s: (s.rows, s.columns), 0)
    _require_same(slices, "PixelSpacing", lambda s: s.pixel_spacing_mm, SAME_SPACING_MM)
    _require_same(slices, "ImageOrientationPatient", lambda s: s.orientation, SAME_COSINE)
    frames = {s.frame_uid for s in slices}
    if len(frames) > 1:
        raise SeriesError(f"slices lie in {len(frames)} different frames of reference (0020,0052): not one volume")
    orientation = np.mean([s.orientation or () for s in slices], axis=0)
    spacing = np.mean([s.pixel_spacing_mm or () for s in slices], axis=0)
    shape = int(slices[0].columns or 0), int(slices[0].rows or 0)
    places = _places(slices, slice_normal(orientation))
    positions = np.array([place[0].position_mm for place in places])
    if len(places) == 1:
        stack = single_slice(positions[0], orientation, spacing, shape, places[0][0].thickness_mm)
    else:
        stack = fit_stack(positions, orientation, spacing, shape, options)
    kept = [place for k, place in enumerate(places) if k in stack.kept]
    dropped = tuple(one for k, place in enumerate(places) if k not in stack.kept for one in place)
    return Series(stack.grid, stack.planes, kept, stack.deviation_mm, stack.notes, stack.regrid, dropped)


def _places(slices: Sequence[SliceHeader], normal: Array) -> list[list[SliceHeader]]:
    """Slices in order along the normal, those at one and the same position together."""
    positions = np.array([s.position_mm for s in slices], float)
    along = positions @ normal
    order = sorted(range(len(slices)), key=lambda n: (round(float(along[n]), 6), slices[n].sop_uid, slices[n].path))
    same_mm = same_place_mm(along)
    places: list[list[SliceHeader]] = []
    last: int | None = None
    for n in order:
        if last is None or along[n] - along[last] > same_mm:
            places.append([slices[n]])
            last = n
            continue
        if np.linalg.norm(positions[n] - positions[last]) > same_mm:
            raise GeometryError(
                f"two slices lie in one plane, {along[n]:.2f} mm along the normal, but at different positions in it: "
                "the series holds more than one stack"
            )
        places[-1].append(slices[n])
    return places


def _require(slices: Sequence[SliceHeader], tag: str, value: Callable[[SliceHeader], Any]) -> None:
    missing = [s for s in slices if not value(s)]
    if missing:
        raise SeriesError(
            f"{tag} is missing or unusable in {len(missing)} of {len(slices)} slices, first in {missing[0].path.name}"
        )


def _require_same(
    slices: Sequence[SliceHeader], what: str, value: Callable[[SliceHeader], Any], tolerance: float
) -> None:
    values = np.array([value(s) for s in slices], float)
    if np.ptp(values, axis=0).max() > tolerance:
        kinds, counts = np.unique(values, axis=0, return_counts=True)
        named = "; ".join(f"{kind.tolist()} in {count}" for kind, count in list(zip(kinds, counts, strict=True))[:4])
        raise SeriesError(f"{what} differ between slices: {named}. Convert the parts apart from each other.")
