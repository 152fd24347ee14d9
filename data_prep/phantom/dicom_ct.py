"""The phantom as a CT series: one file a slice (PS3.3 A.3), names in no order, 12 bits stored, HU = stored - 1024."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from data_prep.geometry import Array
from data_prep.phantom.dicom_common import DATE, TIME, common, decimals, save, uid
from data_prep.phantom.patient import Patient

INTERCEPT_HU = -1024
NAMES = 5  # stream of random numbers that file names are drawn from


def write_ct(patient: Patient, folder: Path) -> None:
    """Write the slices that exist as Explicit VR Little Endian files. Raises OSError."""
    folder.mkdir(parents=True)
    shared = _series(patient)
    order = np.random.default_rng([patient.seed, patient.number, NAMES]).permutation(patient.grid.shape_ijk[2])
    names = {k: f"1-{order[k] + 1:03d}.dcm" for k in patient.slices}
    for start, slab in patient.slabs_hu():
        for k in patient.slices:
            if start <= k < start + slab.shape[2]:
                save(_slice(patient, shared, k, slab[:, :, k - start]), folder / names[k])


def slice_uid(patient: Patient, k: int) -> str:
    return uid(patient, "slice", k)


def _series(patient: Patient) -> Dataset:
    """Image Plane, Image Pixel and CT Image modules, as far as all slices share them (PS3.3 C.7.6, C.8.2.1)."""
    columns, rows, _ = patient.grid.shape_ijk
    step_x, step_y, step_z = patient.grid.spacing_mm
    data = common(patient, "CT")
    data.SOPClassUID = CTImageStorage
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.SeriesDescription = "thorax phantom"
    data.BodyPartExamined = "CHEST"
    data.AcquisitionDate = data.ContentDate = DATE
    data.AcquisitionTime = data.ContentTime = TIME
    data.PatientPosition = "HFS"
    data.PatientOrientation = ""
    data.KVP = "120"
    data.ConvolutionKernel = "PHANTOM"
    data.AcquisitionNumber = 1
    data.SliceThickness = decimals([step_z])[0]
    # The distance of rows first, then of columns (PS3.3 10.7.1.3): the other way round than the axes i, j.
    data.PixelSpacing = decimals([step_y, step_x])
    data.ImageOrientationPatient = decimals([*_direction(patient, 0), *_direction(patient, 1)])
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = rows, columns
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = str(INTERCEPT_HU), "1", "HU"
    data.WindowCenter, data.WindowWidth = "40", "400"
    data.BurnedInAnnotation, data.LossyImageCompression = "NO", "00"
    return data


def _slice(patient: Patient, shared: Dataset, k: int, hu_ij: NDArray[np.int16]) -> Dataset:
    """Slice k. hu_ij: (columns, rows). InstanceNumber counts from the head down, against the order of k."""
    position_mm = patient.grid.points_mm((0, 0, k))
    data = Dataset()
    data.update(shared)
    data.SOPInstanceUID = slice_uid(patient, k)
    data.InstanceNumber = patient.grid.shape_ijk[2] - k
    data.ImagePositionPatient = decimals(position_mm.tolist())
    data.SliceLocation = decimals([float(position_mm @ _direction(patient, 2))])[0]
    data.PixelData = (hu_ij.T - INTERCEPT_HU).astype("<u2").tobytes()
    data["PixelData"].VR = "OW"
    return data


def _direction(patient: Patient, axis: int) -> Array:
    """(3,) unit vector along an axis of the grid."""
    return patient.grid.affine_lps[:3, axis] / patient.grid.spacing_mm[axis]
