"""Small CT series and RTSTRUCTs of known truth, in any orientation, as DICOM files with shuffled names."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RTStructureSetStorage
from pydicom.valuerep import format_number_as_ds

ROOT = "1.2.826.0.1.3680043.10.9999."
CODED_SLOPE, CODED_INTERCEPT = 1, -1024


def decimals(values: np.ndarray) -> list[str]:
    """As decimal strings of 16 characters at most."""
    return [format_number_as_ds(float(value)) for value in np.ravel(values)]


def rotation(*degrees: float) -> np.ndarray:
    """Turn about x, then y, then z; columns are the directions of i, j, k."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[[a, b], [a, b]] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


@dataclass
class Ct:
    """A series to write. axes: columns are directions (LPS) of i, j, k; origin_mm: centre of voxel 0, 0, 0.

    By default off-centre, anisotropic, not square.
    """

    shape: tuple[int, int, int] = (20, 14, 7)
    spacing_mm: tuple[float, float, float] = (1.5, 2.25, 3.5)
    axes: np.ndarray = field(default_factory=lambda: np.eye(3))
    origin_mm: tuple[float, float, float] = (-31.25, 17.5, -203.75)
    patient: str = "P1"
    name: str = "Doe^Jane"
    identity_removed: bool = True
    series: str = "1"
    study: str = "1"
    frame: str = "1"
    tags: Mapping[str, object] = field(default_factory=dict)

    @property
    def affine_lps(self) -> np.ndarray:
        affine = np.eye(4)
        affine[:3, :3] = self.axes * self.spacing_mm
        affine[:3, 3] = self.origin_mm
        return affine

    @property
    def series_uid(self) -> str:
        return f"{ROOT}2.{self.patient_number}.{self.series}"

    @property
    def patient_number(self) -> int:
        return sum(ord(letter) * 7**n for n, letter in enumerate(self.patient)) or 1

    def points_mm(self, index_ijk: np.ndarray) -> np.ndarray:
        return np.asarray(index_ijk, float) @ self.affine_lps[:3, :3].T + self.affine_lps[:3, 3]

    def coded(self) -> np.ndarray:
        """Stored values [i, j, k] that name their own voxel."""
        return np.arange(np.prod(self.shape)).reshape(self.shape)


def ct_slice(ct: Ct, k: int, stored: np.ndarray, dtype: str = "<u2") -> Dataset:
    """Slice k of `stored` [i, j, k] as a data set."""
    data = Dataset()
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = f"{ct.series_uid}.{k + 1}"
    data.StudyInstanceUID = f"{ROOT}1.{ct.patient_number}.{ct.study}"
    data.SeriesInstanceUID = ct.series_uid
    data.FrameOfReferenceUID = f"{ROOT}3.{ct.patient_number}.{ct.frame}"
    data.Modality = "CT"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.Manufacturer = "Maker"
    data.ConvolutionKernel = "B30f"
    _identify(data, ct)
    data.ImagePositionPatient = decimals(ct.points_mm([0, 0, k]))
    data.ImageOrientationPatient = decimals(ct.axes[:, :2].T)
    data.PixelSpacing = [ct.spacing_mm[1], ct.spacing_mm[0]]
    data.SliceThickness = ct.spacing_mm[2]
    data.Columns, data.Rows = ct.shape[:2]
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit = 15
    data.PixelRepresentation = int(np.dtype(dtype).kind == "i")
    data.RescaleSlope, data.RescaleIntercept = CODED_SLOPE, CODED_INTERCEPT
    data.PixelData = stored[:, :, k].T.astype(dtype).tobytes()
    for keyword, value in ct.tags.items():
        setattr(data, keyword, value)
    return data


def _identify(data: Dataset, ct: Ct) -> None:
    data.PatientName, data.PatientID = ct.name, ct.patient
    data.PatientBirthDate = "19530217"
    data.InstitutionName = "Saint Elsewhere"
    data.ReferringPhysicianName = "Westphall^Donald"
    data.PatientIdentityRemoved = "YES" if ct.identity_removed else "NO"


def save(data: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.save_as(path, enforce_file_format=True)
    return path


def write_ct(
    folder: Path,
    ct: Ct,
    stored: np.ndarray | None = None,
    edit: Callable[[Dataset, int], Dataset | None] | None = None,
    syntax: str = ExplicitVRLittleEndian,
    dtype: str = "<u2",
) -> list[Path]:
    """Write a series under shuffled names. `edit(data, k)` changes slice k, or leaves it out by returning None."""
    stored = ct.coded() if stored is None else stored
    names = random.Random(1).sample(range(1000), ct.shape[2])
    paths = []
    for k in range(ct.shape[2]):
        data: Dataset | None = ct_slice(ct, k, stored, dtype)
        if edit is not None:
            data = edit(data, k)
        if data is not None:
            paths.append(save(data, folder / f"{ct.patient}-{names[k]:03d}", syntax))
    return paths


def square(ct: Ct, k: float, low: tuple[float, float], high: tuple[float, float]) -> np.ndarray:
    """(4, 3) mm: the rectangle from `low` to `high`, continuous i, j, on plane k."""
    (a, b), (c, d) = low, high
    return ct.points_mm(np.array([[a, b, k], [c, b, k], [c, d, k], [a, d, k]]))


def write_rtstruct(
    path: Path,
    ct: Ct,
    rois: Mapping[str, Sequence[np.ndarray]],
    number: int = 1,
    edit: Callable[[Dataset], None] | None = None,
    syntax: str = ImplicitVRLittleEndian,
) -> Path:
    """Write an RTSTRUCT on `ct` whose ROI numbers run against the order of the list of contours."""
    frame, series = f"{ROOT}3.{ct.patient_number}.{ct.frame}", Dataset()
    data = Dataset()
    data.SOPClassUID = RTStructureSetStorage
    data.SOPInstanceUID = f"{ROOT}4.{ct.patient_number}.{number}"
    data.StudyInstanceUID = f"{ROOT}1.{ct.patient_number}.{ct.study}"
    data.SeriesInstanceUID = f"{ROOT}5.{ct.patient_number}.{number}"
    data.Modality = "RTSTRUCT"
    data.SpecificCharacterSet = "ISO_IR 192"
    _identify(data, ct)
    series.SeriesInstanceUID = ct.series_uid
    study, reference = Dataset(), Dataset()
    study.RTReferencedSeriesSequence = [series]
    reference.FrameOfReferenceUID, reference.RTReferencedStudySequence = frame, [study]
    data.ReferencedFrameOfReferenceSequence = [reference]
    data.StructureSetROISequence, data.ROIContourSequence = [], []
    for n, (name, contours) in enumerate(rois.items()):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = 10 + n, name, frame
        drawn.ReferencedROINumber = 10 + n
        drawn.ContourSequence = [contour_item(points) for points in contours]
        data.StructureSetROISequence.append(roi)
        data.ROIContourSequence.insert(0, drawn)
    if edit is not None:
        edit(data)
    return save(data, path, syntax)


def contour_item(points_mm: np.ndarray, kind: str = "CLOSED_PLANAR") -> Dataset:
    item = Dataset()
    item.ContourGeometricType = kind
    item.NumberOfContourPoints = len(points_mm)
    item.ContourData = decimals(points_mm)
    return item


def boxes(ct: Ct, i: int, slices: Sequence[int] = (2, 3, 4)) -> list[np.ndarray]:
    """Contours of a box: columns i to i + 3, rows 3 to 8 of each slice."""
    return [square(ct, k, (i - 0.5, 2.5), (i + 3.5, 8.5)) for k in slices]


def make_patient(
    folder: Path,
    ct: Ct,
    rois: Mapping[str, Sequence[np.ndarray]] | None = None,
    edit: Callable[[Dataset], None] | None = None,
    number: int = 1,
) -> None:
    """A series and an RTSTRUCT with two lungs, or with `rois`."""
    write_ct(folder / f"{ct.patient} {ct.series}", ct)
    rois = {"Lung-Left": boxes(ct, 2), "Lung-Right": boxes(ct, 10)} if rois is None else rois
    write_rtstruct(folder / f"rs-{ct.patient}-{ct.series}", ct, rois, edit=edit, number=number)


def tree(folder: Path) -> dict[str, bytes]:
    """All files below `folder`, by relative path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
