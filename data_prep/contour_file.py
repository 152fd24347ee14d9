"""contours.npz beside a case's image: the closed contours as they were drawn, in mm, for whoever looks at the case."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.errors import DatasetError
from data_prep.nifti import atomic_file
from data_prep.planes import FARTHEST_MM

FILE_NAME = "contours.npz"
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of the zip format's calendar: the same contours give the same bytes
UNIX = 3
KEYS = ("points_mm", "contour_start", "contour_roi")


def write_contours(path: Path, contours_by_roi: Mapping[int, Sequence[ArrayLike]]) -> None:
    """Write closed contours, (n, 3) mm in LPS each, of ROIs known by their place in the case's list of ROIs.

    The file is a plain NPZ: points_mm (N, 3) float32; contour_start (contours + 1,) int32, where each contour begins in
    points_mm; contour_roi (contours,) int32. Not compressed: that would take longer than the rasterising. Same input,
    same bytes. Contours beyond planes.FARTHEST_MM are left out, as they are of the masks. Raises OutputError.
    """
    drawn = ((roi, np.asarray(one, float)) for roi in sorted(contours_by_roi) for one in contours_by_roi[roi])
    contours = [(roi, one.astype(np.float32)) for roi, one in drawn if (np.abs(one) <= FARTHEST_MM).all()]
    starts = np.cumsum([0, *(len(points) for _, points in contours)], dtype=np.int32)
    points_mm = np.concatenate([np.empty((0, 3), np.float32), *(points for _, points in contours)])
    rois = np.array([roi for roi, _ in contours], np.int32)
    with atomic_file(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for key, array in zip(KEYS, (points_mm, starts, rois), strict=True):
            entry = zipfile.ZipInfo(f"{key}.npy", date_time=FIRST_DAY)
            entry.create_system, entry.external_attr = UNIX, 0o644 << 16
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(entry, content.getbuffer())


def read_contours(path: Path) -> dict[int, list[NDArray[np.float32]]]:
    """What write_contours wrote: place of the ROI -> its contours, (n, 3) float32 mm in LPS; ROIs without any left out.

    Raises DatasetError for a file that is missing, damaged, or whose arrays contradict each other.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            points_mm, starts, rois = (archive[key] for key in KEYS)
    except FileNotFoundError as error:
        raise DatasetError(f"{path.name} is missing") from error
    except (OSError, ValueError, TypeError, KeyError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path.name} is no readable file of contours ({type(error).__name__})") from error
    problem = _problem(points_mm, starts, rois)
    if problem:
        raise DatasetError(f"{path.name} contradicts itself: {problem}. Convert the case again.")
    found: dict[int, list[NDArray[np.float32]]] = {}
    for n, roi in enumerate(rois.tolist()):
        found.setdefault(roi, []).append(points_mm[starts[n] : starts[n + 1]])
    return found


def _problem(points_mm: NDArray, starts: NDArray, rois: NDArray) -> str | None:
    if points_mm.ndim != 2 or points_mm.shape[1] != 3 or points_mm.dtype != np.float32:
        return f"points_mm has shape {points_mm.shape} of {points_mm.dtype}, wanted (N, 3) of float32"
    if starts.dtype != np.int32 or rois.dtype != np.int32 or rois.ndim != 1 or starts.shape != (rois.size + 1,):
        return f"{starts.shape} starts for {rois.shape} contours"
    if starts[0] != 0 or starts[-1] != len(points_mm) or (np.diff(starts) < 0).any():
        return "contour_start does not ascend from 0 to the number of points"
    return None
