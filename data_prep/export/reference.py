"""The DICOM series that an export refers to: where its slices lie, and whose they are. Headers only."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_prep.errors import GeometryError, NothingToDoError, SeriesError, UsageError
from data_prep.files import quiet_pydicom
from data_prep.geometry import Array, Grid, slice_normal
from data_prep.scan import Scan, scan
from data_prep.series import arrange
from data_prep.slices import SliceHeader, text
from data_prep.stack import patient_axes, position_tolerance_mm

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True, eq=False)
class ReferenceSeries:
    """A series' slices in order along their normal, each where its own header says.

    positions_mm: (n, 3) centre of the first voxel, LPS. steps_mm: (2, 3) from a voxel to the next along i, along j.
    grid: the one grid they form, tilted ones sheared, or None where their distances differ.
    header: what the first file says about patient and study. notes: what was assumed.
    """

    slices: list[SliceHeader]
    positions_mm: Array
    steps_mm: Array
    grid: Grid | None
    header: "Dataset"
    notes: tuple[str, ...] = ()

    @property
    def shape_ijk(self) -> tuple[int, int, int]:
        return int(self.slices[0].columns or 0), int(self.slices[0].rows or 0), len(self.slices)

    @property
    def normal(self) -> Array:
        """(3,) unit vector along which the slices ascend."""
        normal = np.cross(*self.steps_mm)
        return normal / np.linalg.norm(normal)

    @property
    def along_mm(self) -> Array:
        """(n,) where the slices lie along the normal."""
        return self.positions_mm @ self.normal

    @property
    def thickness_mm(self) -> Array:
        """(n,) what each slice stands for: half the way to either neighbour."""
        if len(self.slices) == 1:
            return np.array([self.slices[0].thickness_mm or 1.0])
        gaps = np.diff(self.along_mm)
        return (np.concatenate([gaps[:1], gaps]) + np.concatenate([gaps, gaps[-1:]])) / 2

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Along i and j."""
        di, dj = np.linalg.norm(self.steps_mm, axis=1)
        return float(di), float(dj)

    @property
    def multi_frame(self) -> bool:
        """Whether the slices are frames of files."""
        return any(one.frame for one in self.slices) or int(self.header.get("NumberOfFrames") or 1) > 1

    def points_mm(self, k: int, points_ij: Array) -> Array:
        """(m, 2) continuous i, j on slice k -> (m, 3) in LPS."""
        return self.positions_mm[k] + points_ij @ self.steps_mm

    def slice_grid(self, k: int) -> Grid:
        """Slice k alone."""
        affine = np.eye(4)
        affine[:3, :3] = np.column_stack([*self.steps_mm, self.normal * self.thickness_mm[k]])
        affine[:3, 3] = self.positions_mm[k]
        return Grid((*self.shape_ijk[:2], 1), affine)


def read_reference(source: Path, series: str | None = None) -> ReferenceSeries:
    """The CT series below `source`, a folder or one file.

    series: which one where there are several, by SeriesInstanceUID or SeriesNumber. Raises UsageError naming the
    series where that is not clear, NothingToDoError where there is none, SeriesError where it can't be referred to.
    """
    found = scan(Path(source))
    if not found.series:
        reasons = "; ".join(found.secrets.hide(f"{one.where}: {one.reason}") for one in found.refused[:4])
        raise NothingToDoError(f"no CT series that can be referred to in {source} ({reasons or 'other DICOM only'})")
    return reference_of(_choose(found, series))


def reference_of(slices: Sequence[SliceHeader]) -> ReferenceSeries:
    """The slices of one series, in any order, as what an export refers to.

    Uneven distances and a tilted gantry are no obstacle: contours and segments state their slice each. Raises
    SeriesError where slices don't fit together, or name no frame of reference.
    """
    try:
        arranged = arrange(slices)
        places, grid, notes = arranged.places, arranged.grid, arranged.notes
    except GeometryError as error:
        places, grid, notes = [[one] for one in _in_order(slices, error)], None, ()
    kept = [place[0] for place in places]
    double = sum(len(place) - 1 for place in places)
    if double:
        notes = (*notes, f"{double} slice(s) at the place of another: the first of each is referred to")
    if not kept[0].frame_uid:
        raise SeriesError("FrameOfReferenceUID (0020,0052) is missing: an export would say nothing about where it lies")
    if any(not one.sop_uid or not one.study_uid for one in kept):
        raise SeriesError("SOPInstanceUID or StudyInstanceUID (0008,0018; 0020,000D) is missing: nothing to refer to")
    axes = patient_axes(np.mean([one.orientation or () for one in kept], axis=0))
    between_rows, between_columns = np.mean([one.pixel_spacing_mm or () for one in kept], axis=0)
    positions = np.array([one.position_mm for one in kept], float)
    steps = np.array([axes[0] * between_columns, axes[1] * between_rows])
    if grid is None:
        grid = _sheared(positions, steps, (int(kept[0].columns or 0), int(kept[0].rows or 0), len(kept)))
    return ReferenceSeries(kept, positions, steps, grid, read_whole_header(kept[0].path), notes)


def read_whole_header(path: Path) -> "Dataset":
    """All of a DICOM file but its pixels. Raises SeriesError."""
    from pydicom import dcmread

    try:
        with quiet_pydicom():
            data = dcmread(path, stop_before_pixels=True, force=True)
            data.walk(lambda dataset, element: None)  # damage shows on access
    except Exception as error:  # pydicom raises whatever damaged bytes lead to
        raise SeriesError(f"the header of {path.name} can't be read ({type(error).__name__})") from error
    return data


def _choose(found: Scan, wanted: str | None) -> list[SliceHeader]:
    if wanted is None and len(found.series) == 1:
        return next(iter(found.series.values()))
    numbers = {uid: text(read_whole_header(slices[0].path), "SeriesNumber") for uid, slices in found.series.items()}
    chosen = [uid for uid, number in numbers.items() if wanted is not None and wanted in (uid, number)]
    if len(chosen) == 1:
        return found.series[chosen[0]]
    listed = "; ".join(
        f"number {numbers[uid] or '-'}, {uid}, {len(slices)} slices, "
        f"{found.secrets.hide(slices[0].description or 'no description')}"
        for uid, slices in sorted(found.series.items())
    )
    what = f"{len(chosen)} of {len(numbers)} series are meant by {wanted}" if wanted else f"{len(numbers)} CT series"
    raise UsageError(f"{what} in {found.source}: {listed}. Choose one with --series UID-or-number.")


def _in_order(slices: Sequence[SliceHeader], problem: GeometryError) -> list[SliceHeader]:
    """Slices of uneven distances or a tilted gantry, ascending; raises `problem` again where they lie at one place."""
    if len(slices) < 2:
        raise problem
    normal = slice_normal(np.mean([one.orientation or () for one in slices], axis=0))
    along = np.array([one.position_mm for one in slices], float) @ normal
    if np.diff(np.sort(along)).min() < 0.01:
        raise problem
    return [slices[n] for n in np.argsort(along)]


def _sheared(positions_mm: Array, steps_mm: Array, shape: tuple[int, int, int]) -> Grid | None:
    """The grid of slices at one distance whose positions run along a line, wherever it points."""
    index = np.arange(len(positions_mm))
    step, start = np.polyfit(index, positions_mm, 1)
    off_mm = np.linalg.norm(positions_mm - (start + index[:, None] * step), axis=1).max()
    if off_mm > position_tolerance_mm(float(np.linalg.norm(step))):
        return None
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([*steps_mm, step])
    affine[:3, 3] = start
    return Grid(shape, affine)
