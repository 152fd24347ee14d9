"""The case that is timed: CT 512x512x200 of the thorax phantom, 6 ROIs, 590 contours, 250,000 points."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.dicom import Contour, Series, write_rtstruct, write_series

SHAPE, SPACING_MM = (512, 512, 200), (0.9766, 0.9766, 1.83)
POINTS, CONTOURS = 250_000, 590
CONTOUR_DATA = 0x30060050
CORD, HEART, ESOPHAGUS = 150, 41, 40  # contours; the others are the phantom's


def make(folder: Path) -> Path:
    """Write the case to folder/{ct,rtstruct}, once. Takes half a minute."""
    if folder.exists():
        return folder
    from data_prep.phantom import PhantomOptions, make_patient

    patient = make_patient(0, 1, PhantomOptions(size="full", spacing_mm=SPACING_MM))
    grid = patient.grid
    if grid.shape_ijk != SHAPE:
        raise RuntimeError(f"the phantom has {grid.shape_ijk} voxels now, wanted {SHAPE}: choose another spacing")
    partial = folder.with_name(f".{folder.name}-{os.getpid()}")
    positions = np.array([grid.points_mm((0, 0, k)) for k in range(SHAPE[2])])
    series = Series("speed", SHAPE[:2], (grid.spacing_mm[0], grid.spacing_mm[1]), positions)
    volume = np.concatenate([slab for _, slab in patient.slabs_hu()], axis=2) + 1024
    write_series(partial / "ct", series, lambda k: volume[:, :, k])
    write_rtstruct(partial / "rtstruct" / "rs.dcm", series, _rois(patient))
    partial.rename(folder)
    return folder


def copies(case: Path, folder: Path, count: int) -> list[Path]:
    """The same patient under `count` folders and names, so that no tool takes them for one."""
    from pydicom import dcmread

    made = []
    for number in range(count):
        copy = folder / f"p{number}"
        made.append(copy)
        if copy.exists():
            continue
        partial = folder / f".p{number}-{os.getpid()}"
        shutil.copytree(case, partial)
        for path in partial.rglob("*.dcm"):
            data = dcmread(path)
            data.PatientID = data.PatientName = f"speed{number}"
            _renumber(data, f".{number + 1}")
            data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
            data.save_as(path)
        partial.rename(copy)
    return made


def _renumber(data: Any, suffix: str) -> None:
    """Give all UIDs that name an object of this patient another ending, in sequences too."""
    for tag in data.keys() - {CONTOUR_DATA}:  # which would take seconds to parse
        element = data[tag]
        if element.VR == "SQ":
            for item in element.value:
                _renumber(item, suffix)
        elif element.VR == "UI" and not element.value.startswith("1.2.840.10008."):
            element.value = f"{element.value[: 64 - len(suffix)]}{suffix}"


def _rois(patient: Any) -> list[tuple[str, list[Contour]]]:
    """The phantom's own contours and ellipses for heart and esophagus, vertices added along the edges."""
    drawn = {label: list(patient.contours(label)) for label in patient.labels}
    grid = patient.grid
    drawn["Spinal-Cord"] = drawn["Spinal-Cord"][-CORD:]
    middle = grid.points_mm(((SHAPE[0] - 1) / 2, (SHAPE[1] - 1) / 2, 0))
    for name, radii, first, count in (("Heart", (55, 45), 60, HEART), ("Esophagus", (10, 7), 80, ESOPHAGUS)):
        drawn[name] = [_ellipse(grid, k, middle, radii) for k in range(first, first + count)]
    total = sum(len(contour.points_mm) for contours in drawn.values() for contour in contours)
    return [
        (name, [Contour(one.k, _denser(one.points_mm, round(len(one.points_mm) * POINTS / total))) for one in contours])
        for name, contours in drawn.items()
    ]


def _ellipse(grid: Any, k: int, middle_mm: np.ndarray, radii_mm: tuple[float, float]) -> Contour:
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    z = grid.points_mm((0, 0, k))[2]
    x, y = middle_mm[0] + radii_mm[0] * np.cos(angle), middle_mm[1] - 20 + radii_mm[1] * np.sin(angle)
    return Contour(k, np.column_stack([x, y, np.full(300, z)]))


def _denser(points_mm: np.ndarray, count: int) -> np.ndarray:
    """`count` points evenly along the closed polygon."""
    closed = np.vstack([points_mm, points_mm[:1]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, length[-1], max(3, count), endpoint=False)
    return np.column_stack([np.interp(at, length, closed[:, axis]) for axis in range(3)])
