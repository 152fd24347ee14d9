"""What the CT slices and the RTSTRUCT of one phantom share: patient, study, frame of reference, identifiers."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from data_prep.phantom.patient import Patient

VERSION = "1"  # of the phantom: raise it when the same seed gives other bytes
DATE, TIME = "20000101", "000000"  # fixed, so that the same seed gives the same bytes


def uid(patient: Patient, *what: object) -> UID:
    """The same UID for the same patient, options and `what`; another one for any other."""
    options = json.dumps(asdict(patient.options), sort_keys=True)
    sources = ["lungseg-monai phantom", VERSION, patient.seed, patient.number, options, *what]
    return generate_uid(entropy_srcs=[json.dumps(sources)])


def decimals(values: Sequence[float]) -> list[str]:
    """DS values: at most 16 characters each (PS3.5 6.2), as exact as that allows."""
    return [format_number_as_ds(float(value) + 0.0) for value in values]


def common(patient: Patient, modality: str) -> Dataset:
    """Patient, General Study, Series, Frame of Reference, Equipment and SOP Common modules (PS3.3 C.7, C.12)."""
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 100"
    data.StudyDate = data.SeriesDate = DATE
    data.StudyTime = data.SeriesTime = TIME
    data.InstanceCreationDate, data.InstanceCreationTime = DATE, TIME
    data.AccessionNumber = ""
    data.Modality = modality
    data.Manufacturer = "lungseg-monai"
    data.ManufacturerModelName = "thorax phantom"
    data.SoftwareVersions = VERSION
    data.ReferringPhysicianName = ""
    data.PatientName = data.PatientID = patient.patient_id
    data.PatientBirthDate = data.PatientSex = ""
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = "Made by computer: there is no patient"
    data.StudyInstanceUID = uid(patient, "study")
    data.SeriesInstanceUID = uid(patient, "series", modality)
    data.FrameOfReferenceUID = uid(patient, "frame of reference")
    data.PositionReferenceIndicator = ""
    data.StudyID = "1"
    data.SeriesNumber = {"CT": 2, "RTSTRUCT": 3}[modality]
    return data


def save(data: Dataset, path: Path, syntax: UID = ExplicitVRLittleEndian) -> None:
    """Write one DICOM file with a file meta group that never changes from one day to the next."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["lungseg-monai phantom"])
    meta.ImplementationVersionName = "LUNGSEG_MONAI"
    data.file_meta = meta
    data.save_as(path, enforce_file_format=True)
