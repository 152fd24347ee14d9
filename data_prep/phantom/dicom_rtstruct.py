"""The phantom's structures as an RTSTRUCT (PS3.3 A.19): closed planar contours in mm, holes as such of their own."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID, CTImageStorage, ImplicitVRLittleEndian, RTStructureSetStorage

from data_prep.phantom.contours import Contour
from data_prep.phantom.dicom_common import DATE, TIME, common, save, uid
from data_prep.phantom.dicom_ct import slice_uid
from data_prep.phantom.patient import Patient

STUDY_MANAGEMENT = UID("1.2.840.10008.3.1.2.3.1")  # retired; what treatment planning systems still write here
COLORS = {"Lung-Left": (0, 200, 255), "Lung-Right": (0, 255, 120), "Spinal-Cord": (255, 230, 0)}
TUMOUR_COLOR = (255, 40, 40)


def write_rtstruct(patient: Patient, path: Path) -> None:
    """Write the contours of `patient.labels` on the slices that exist. Raises OSError.

    Implicit VR Little Endian: in an explicit one a contour longer than 65534 bytes would not fit its element.
    """
    path.parent.mkdir(parents=True)
    numbers = roi_numbers(patient)
    data = common(patient, "RTSTRUCT")
    data.SOPClassUID, data.SOPInstanceUID = RTStructureSetStorage, rtstruct_uid(patient)
    data.SeriesDescription = "truth of the thorax phantom"
    data.OperatorsName = ""
    data.InstanceNumber = 1
    data.StructureSetLabel = "TRUTH"
    data.StructureSetDate, data.StructureSetTime = DATE, TIME
    data.ReferencedFrameOfReferenceSequence = Sequence([_frame_of_reference(patient)])
    data.StructureSetROISequence = Sequence(_roi(patient, label, number) for label, number in numbers.items())
    # Listed by number, which is another order than above: readers must pair by number, not by place.
    by_number = sorted(numbers.items(), key=lambda item: item[1])
    data.ROIContourSequence = Sequence(_roi_contour(patient, label, number) for label, number in by_number)
    data.RTROIObservationsSequence = Sequence(_observation(label, number) for label, number in by_number)
    data.ApprovalStatus = "UNAPPROVED"
    save(data, path, ImplicitVRLittleEndian)


def rtstruct_uid(patient: Patient) -> UID:
    return uid(patient, "rtstruct")


def roi_numbers(patient: Patient) -> dict[str, int]:
    """ROI numbers in the order of the ROI list: never 1, 2, 3, and never rising all the way."""
    random = np.random.default_rng([patient.seed, patient.number, 6])
    numbers = sorted((3 + random.permutation(30)[: len(patient.labels)]).tolist())
    return dict(zip(patient.labels, [*numbers[1:], numbers[0]], strict=True))


def _frame_of_reference(patient: Patient) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = uid(patient, "series", "CT")
    series.ContourImageSequence = Sequence(_image(patient, k) for k in patient.slices)
    study = Dataset()
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = STUDY_MANAGEMENT, uid(patient, "study")
    study.RTReferencedSeriesSequence = Sequence([series])
    frame = Dataset()
    frame.FrameOfReferenceUID = uid(patient, "frame of reference")
    frame.RTReferencedStudySequence = Sequence([study])
    return frame


def _image(patient: Patient, k: int) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CTImageStorage, slice_uid(patient, k)
    return image


def _roi(patient: Patient, label: str, number: int) -> Dataset:
    roi = Dataset()
    roi.ROINumber, roi.ROIName = number, label
    roi.ReferencedFrameOfReferenceUID = uid(patient, "frame of reference")
    roi.ROIGenerationAlgorithm = "AUTOMATIC"
    return roi


def _roi_contour(patient: Patient, label: str, number: int) -> Dataset:
    roi = Dataset()
    roi.ReferencedROINumber = number
    roi.ROIDisplayColor = list(COLORS.get(label, TUMOUR_COLOR))
    roi.ContourSequence = Sequence(_contour(patient, contour) for contour in patient.contours(label))
    return roi


def _contour(patient: Patient, contour: Contour) -> Dataset:
    item = Dataset()
    item.ContourImageSequence = Sequence([_image(patient, contour.k)])
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(contour.points_mm)
    # The finished bytes, marked as encoded for this file already: pydicom would turn each of some 100,000 numbers
    # into an object first, which takes seconds.
    text = contour_data((contour.points_mm.ravel() + 0.0).tolist())
    item.set_original_encoding(True, True, default_encoding)
    item[Tag("ContourData")] = RawDataElement(Tag("ContourData"), "DS", len(text), text, 0, True, True)
    return item


def contour_data(values_mm: Iterable[float]) -> bytes:
    """ContourData to 0.001 mm, at most 16 characters a number, of even length (PS3.5 6.2)."""
    text = "\\".join(map("%.3f".__mod__, values_mm)).encode("ascii")
    return text + b" " * (len(text) % 2)


def _observation(label: str, number: int) -> Dataset:
    observation = Dataset()
    observation.ObservationNumber = observation.ReferencedROINumber = number
    observation.RTROIInterpretedType = "GTV" if label.startswith("GTV") else "ORGAN"
    observation.ROIInterpreter = ""
    return observation
