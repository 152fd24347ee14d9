"""CT series and RTSTRUCTs complete enough for every tool to read: all type 1 and 2 tags, UIDs that never change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RTStructureSetStorage
from pydicom.uid import generate_uid as _uid
from pydicom.valuerep import format_number_as_ds

INTERCEPT_HU = -1024
Edit = Callable[[Dataset, int], Dataset | None]


def uid(*what: object) -> str:
    return _uid(entropy_srcs=["benchmarks.peers", *map(str, what)])


def decimals(values: object) -> list[str]:
    return [format_number_as_ds(float(value) + 0.0) for value in np.ravel(values)]  # + 0.0: no "-0"


@dataclass(frozen=True)
class Series:
    """A CT to write. axes: columns are directions (LPS) of i, j, k; positions_mm: (slices, 3), centre of voxel 0, 0."""

    case: str
    shape_ij: tuple[int, int]
    spacing_mm: tuple[float, float]  # of columns i, of rows j
    positions_mm: np.ndarray
    axes: np.ndarray = field(default_factory=lambda: np.eye(3))
    name: str = "ct"
    tags: Mapping[str, object] = field(default_factory=dict)

    def points_mm(self, k: int) -> np.ndarray:
        """(columns, rows, 3): centres of the voxels of slice k."""
        i, j = (np.arange(n) * step for n, step in zip(self.shape_ij, self.spacing_mm, strict=True))
        return self.positions_mm[k] + i[:, None, None] * self.axes[:, 0] + j[None, :, None] * self.axes[:, 1]

    @property
    def along_mm(self) -> np.ndarray:
        """(slices,): where each slice lies along the normal of the planes."""
        return self.positions_mm @ np.cross(self.axes[:, 0], self.axes[:, 1])

    @property
    def thickness_mm(self) -> np.ndarray:
        """(slices,): half the way to each neighbour; at the ends as far again."""
        order = np.argsort(self.along_mm)
        half = np.diff(self.along_mm[order]) / 2
        thickness = np.empty(len(order))
        thickness[order] = np.concatenate([half[:1], half]) + np.concatenate([half, half[-1:]])
        return thickness


def slice_dataset(series: Series, k: int, stored_ij: np.ndarray) -> Dataset:
    """Slice k of `series`. stored_ij: (columns, rows) 0 to 4095; HU = stored - 1024."""
    data = _common(series.case, "CT", series.name)
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, uid(series.case, series.name, k)
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.InstanceNumber, data.AcquisitionNumber = k + 1, 1
    data.ImagePositionPatient = decimals(series.positions_mm[k])
    data.ImageOrientationPatient = decimals(series.axes[:, :2].T)
    data.PixelSpacing = decimals(series.spacing_mm[::-1])
    data.SliceThickness = decimals([np.median(series.thickness_mm)])[0]
    data.SliceLocation = decimals([series.along_mm[k]])[0]
    data.PatientPosition, data.KVP, data.ConvolutionKernel = "HFS", "120", "B30f"
    data.Columns, data.Rows = series.shape_ij
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = str(INTERCEPT_HU), "1", "HU"
    data.PixelData = stored_ij.T.astype("<u2").tobytes()
    data["PixelData"].VR = "OW"
    for keyword, value in series.tags.items():
        setattr(data, keyword, value)
    return data


def write_series(folder: Path, series: Series, stored: Callable[[int], np.ndarray], edit: Edit | None = None) -> None:
    """Write each slice k of `stored(k)`; `edit(data, k)` changes it, or leaves it out by returning None."""
    order = np.random.default_rng(1).permutation(len(series.positions_mm))
    for k in range(len(order)):
        data: Dataset | None = slice_dataset(series, k, stored(k))
        if edit is not None:
            data = edit(data, k)
        if data is not None:
            save(data, folder / f"{series.name}-{order[k]:04d}.dcm")


@dataclass(frozen=True)
class Contour:
    """A closed outline. k: the slice that it names; points_mm: (n, 3), or the text of ContourData as it is."""

    k: int
    points_mm: np.ndarray | bytes


def write_rtstruct(
    path: Path,
    series: Series,
    rois: Sequence[tuple[str, Sequence[Contour]]],
    edit: Callable[[Dataset], None] | None = None,
) -> None:
    """Write an RTSTRUCT on `series`. Implicit VR: an explicit one can't hold contours longer than 65534 bytes."""
    data = _common(series.case, "RTSTRUCT", "rtstruct")
    data.SOPClassUID, data.SOPInstanceUID = RTStructureSetStorage, uid(series.case, "rtstruct", 0)
    data.StructureSetLabel, data.StructureSetDate, data.StructureSetTime = "TRUTH", "20000101", "000000"
    data.InstanceNumber, data.OperatorsName, data.ApprovalStatus = 1, "", "UNAPPROVED"
    frame = uid(series.case, "frame")
    one, study, reference = Dataset(), Dataset(), Dataset()
    one.SeriesInstanceUID = uid(series.case, series.name)
    one.ContourImageSequence = [_image(series, k) for k in range(len(series.positions_mm))]
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", data.StudyInstanceUID
    study.RTReferencedSeriesSequence = [one]
    reference.FrameOfReferenceUID, reference.RTReferencedStudySequence = frame, [study]
    data.ReferencedFrameOfReferenceSequence = [reference]
    data.StructureSetROISequence, data.ROIContourSequence, data.RTROIObservationsSequence = [], [], []
    for number, (name, contours) in enumerate(rois, start=1):
        roi, drawn, observed = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame
        roi.ROIGenerationAlgorithm = "MANUAL"
        drawn.ROIDisplayColor, drawn.ReferencedROINumber = [255, 40 * number % 256, 0], number
        drawn.ContourSequence = [_contour(series, contour) for contour in contours]
        observed.ObservationNumber = observed.ReferencedROINumber = number
        observed.RTROIInterpretedType, observed.ROIInterpreter = "ORGAN", ""
        data.StructureSetROISequence.append(roi)
        data.ROIContourSequence.append(drawn)
        data.RTROIObservationsSequence.append(observed)
    if edit is not None:
        edit(data)
    save(data, path, ImplicitVRLittleEndian)


def save(data: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> None:
    """Write one file, in the transfer syntax that its file_meta names, if it has one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not hasattr(data, "file_meta"):
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = (
        data.SOPClassUID,
        data.SOPInstanceUID,
    )
    data.save_as(path, enforce_file_format=True)


def _image(series: Series, k: int) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CTImageStorage, uid(series.case, series.name, k)
    return image


def _contour(series: Series, contour: Contour) -> Dataset:
    item = Dataset()
    item.ContourImageSequence = [_image(series, contour.k)]
    item.ContourGeometricType = "CLOSED_PLANAR"
    text = contour.points_mm
    if not isinstance(text, bytes):
        text = "\\".join(map("%.4f".__mod__, (np.ravel(text) + 0.0).tolist())).encode()
    item.NumberOfContourPoints = (text.count(b"\\") + 1) // 3
    text += b" " * (len(text) % 2)
    # Encoded for this file already: pydicom would make an object of each number first, which takes seconds.
    item.set_original_encoding(True, True, default_encoding)
    item[Tag("ContourData")] = RawDataElement(Tag("ContourData"), "DS", len(text), text, 0, True, True)
    return item


def _common(case: str, modality: str, series: str) -> Dataset:
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    data.StudyDate = data.SeriesDate = data.ContentDate = data.AcquisitionDate = "20000101"
    data.StudyTime = data.SeriesTime = data.ContentTime = data.AcquisitionTime = "000000"
    data.AccessionNumber = data.ReferringPhysicianName = data.PatientBirthDate = data.PatientSex = ""
    data.Modality, data.Manufacturer, data.ManufacturerModelName = modality, "lungseg-monai", "made case"
    data.SeriesDescription = f"made {series}"
    data.PatientName = data.PatientID = case
    data.PatientIdentityRemoved, data.DeidentificationMethod = "YES", "Made by computer: there is no patient"
    data.StudyInstanceUID, data.SeriesInstanceUID = uid(case, "study"), uid(case, series)
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = uid(case, "frame"), ""
    data.StudyID, data.SeriesNumber = "1", {"CT": 2, "RTSTRUCT": 3}[modality]
    return data
