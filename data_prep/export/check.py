"""What was made is read back, and put in place only when that gives what went in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import OutputError, UsageError
from data_prep.export.drawing import Placed
from data_prep.export.origin import MODEL
from data_prep.export.reference import ReferenceSeries
from data_prep.files import read_header
from data_prep.geometry import Array
from data_prep.nifti import atomic_file
from data_prep.rasterize import rasterize
from data_prep.rtstruct import read_rtstruct
from data_prep.slices import text

BITS = np.array([number.bit_count() for number in range(256)], np.uint8)


@dataclass(frozen=True)
class Difference:
    """How many voxels are not the same, and the Dice coefficient."""

    voxels: int
    dice: float


@dataclass
class Draft:
    """A file that is not published yet. approved: whether it may be."""

    path: Path
    approved: bool = False


@contextmanager
def publish(path: Path, content: bytes, sop_class: str) -> Iterator[Draft]:
    """A draft of the file beside `path`; where the block approves it, it takes its place there whole.

    Raises UsageError where another's file lies at `path`, OutputError where it can't be written.
    """
    _refuse_to_replace(path, sop_class)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = TemporaryDirectory(dir=path.parent, prefix=".partial-")
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}. Choose a folder you may write to.") from error
    with aside as folder:
        draft = Draft(Path(folder) / "draft.dcm")
        with atomic_file(draft.path) as stream:
            stream.write(content)
        yield draft
        if draft.approved:
            with atomic_file(path) as stream:
                stream.write(draft.path.read_bytes())


def read_masks_back(path: Path, series: ReferenceSeries) -> list[NDArray]:
    """The masks of an RTSTRUCT's ROIs by their numbers, each (slices, rows, columns)."""
    masks = []
    for roi in read_rtstruct(path):
        if series.grid is not None:
            masks.append(rasterize(roi.contours_mm, series.grid)[0].transpose(2, 1, 0))
            continue
        by_slice: dict[int, list[Array]] = {}
        for points_mm in roi.contours_mm:  # distances differ, so each slice is a grid of its own
            k = int(np.abs(series.along_mm - np.mean(points_mm @ series.normal)).argmin())
            by_slice.setdefault(k, []).append(points_mm)
        columns, rows, slices = series.shape_ijk
        mask = np.zeros((slices, rows, columns), np.uint8)
        for k, contours_mm in by_slice.items():
            mask[k] = rasterize(contours_mm, series.slice_grid(k))[0][:, :, 0].T
        masks.append(mask)
    return masks


def difference(wanted: Placed, found: NDArray) -> Difference:
    """`found`: (slices, rows, columns)."""
    differing = int(BITS[np.packbits(found != 0) ^ wanted.packed].sum(dtype=np.int64))
    sizes = wanted.voxels + int(np.count_nonzero(found))
    return Difference(differing, (sizes - differing) / sizes)


def _refuse_to_replace(path: Path, sop_class: str) -> None:
    """A file of the same kind that was made by this tool may be replaced, no other."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; wanted a file's name")
    if not path.exists():
        return
    header = read_header(path, ["SOPClassUID", "ManufacturerModelName"])
    if header is None or header.sop_class != sop_class or text(header.dataset, "ManufacturerModelName") != MODEL:
        raise UsageError(f"{path} is there already and was not made by this command: choose another name, or move it")
