"""DICOM X-rays: polarity, windows and tables against pydicom, spacing, and what is refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.pixels import apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from data_prep.errors import UnreadableFileError
from data_prep.radiographs import RadiographOptions, prepare
from data_prep.radiographs.dicom import CR, DX, read_dicom, refuse_kind

SALT = b"a salt that only the tests know!"
STORED = np.random.default_rng(3).integers(100, 3000, (70, 82)).astype(np.uint16)


def write(path: Path, stored: np.ndarray = STORED, bits: int = 12, **tags) -> Path:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = tags.pop("SOPClassUID", DX)
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid()
    data.Modality, data.PatientID, data.PatientName = "DX", "4711-secret", "Roe^Richard"
    data.Rows, data.Columns, data.SamplesPerPixel = *stored.shape[-2:], 1
    data.BitsAllocated, data.BitsStored, data.HighBit = stored.itemsize * 8, bits, bits - 1
    data.PixelRepresentation, data.PhotometricInterpretation = 0, "MONOCHROME2"
    data.PixelData = stored.tobytes()
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def voi(entries: np.ndarray, first: int, bits: int) -> Sequence:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTData = entries.astype("<u2").tobytes()
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    return Sequence([item])


def full_scale(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.rint((values.astype(float) - low) * 65535 / (high - low)).clip(0, 65535)


def test_stored_values_keep_their_order_over_the_full_range(tmp_path):
    image = read_dicom(write(tmp_path / "a.dcm"))
    assert image.pixels.dtype == np.uint16 and image.modality == "DX"
    assert np.array_equal(image.pixels, full_scale(STORED, 0, 4095))
    small = read_dicom(
        write(tmp_path / "b.dcm", (STORED // 16).astype(np.uint8), bits=8, SOPClassUID=CR, Modality="CR")
    )
    assert small.pixels.dtype == np.uint8 and np.array_equal(small.pixels, STORED // 16)
    assert small.modality == "CR" and small.repairs == []


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_are_pydicoms(tmp_path, function):
    tags = {"WindowCenter": 1300.5, "WindowWidth": 900, "VOILUTFunction": function}
    image = read_dicom(write(tmp_path / "a.dcm", **tags))
    data = Dataset()
    data.PhotometricInterpretation, data.BitsStored, data.PixelRepresentation = "MONOCHROME2", 12, 0
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    assert np.array_equal(image.pixels, full_scale(apply_voi_lut(STORED, data), 0, 4095))
    assert "window applied" in image.repairs


def test_a_rescaled_window(tmp_path):
    tags = {"RescaleSlope": 2, "RescaleIntercept": -50, "WindowCenter": 2600, "WindowWidth": 1800}
    image = read_dicom(write(tmp_path / "a.dcm", **tags))
    plain = read_dicom(write(tmp_path / "b.dcm", WindowCenter=1325.25, WindowWidth=900, VOILUTFunction="LINEAR_EXACT"))
    assert np.abs(image.pixels.astype(int) - plain.pixels).max() < 120  # LINEAR is half a step off LINEAR_EXACT


@pytest.mark.parametrize("bits", [8, 12])
def test_a_voi_table_is_looked_up_entry_by_entry(tmp_path, bits):
    entries = np.linspace(0, 2**bits - 1, 2000).astype(int)
    image = read_dicom(write(tmp_path / "a.dcm", VOILUTSequence=voi(entries, 500, bits)))
    wanted = [entries[min(max(int(value) - 500, 0), 1999)] for value in STORED.ravel()]
    wanted = np.array(wanted).reshape(STORED.shape)
    assert np.array_equal(image.pixels, wanted if bits == 8 else full_scale(wanted, 0, 2**bits - 1))


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted", "flagged"),
    [
        ("MONOCHROME2", None, False, False),
        ("MONOCHROME2", "IDENTITY", False, False),
        ("MONOCHROME1", None, True, False),
        ("MONOCHROME1", "INVERSE", True, False),
        ("MONOCHROME1", "IDENTITY", True, True),
        ("MONOCHROME2", "INVERSE", True, True),
    ],
)
def test_polarity(tmp_path, photometric, shape, inverted, flagged):
    plain = read_dicom(write(tmp_path / "a.dcm")).pixels
    tags = {"PhotometricInterpretation": photometric} | ({"PresentationLUTShape": shape} if shape else {})
    image = read_dicom(write(tmp_path / "b.dcm", **tags))
    assert np.array_equal(image.pixels, 65535 - plain if inverted else plain)
    assert any("inverted" in repair for repair in image.repairs) == inverted and bool(image.flags) == flagged


def test_padding_is_black_whatever_the_polarity(tmp_path):
    stored = STORED.copy()
    stored[:9, 5:] = 0
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        tags = {"PhotometricInterpretation": photometric, "PixelPaddingValue": 0}
        image = read_dicom(write(tmp_path / "a.dcm", stored, **tags))
        assert not image.pixels[:9, 5:].any() and image.pixels[9:].all()


@pytest.mark.parametrize(
    ("tags", "spacing", "name"),
    [
        ({}, None, None),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "ImagerPixelSpacing (0018,1164)"),
        ({"ImagerPixelSpacing": [0.2, 0.1], "PixelSpacing": [0.18, 0.09]}, (0.18, 0.09), "PixelSpacing (0028,0030)"),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "ImagerPixelSpacing (0018,1164)"),
    ],
)
def test_which_spacing_is_said(tmp_path, tags, spacing, name):
    image = read_dicom(write(tmp_path / "a.dcm", **tags))
    assert (image.spacing_mm, image.spacing_from) == (spacing, name)


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}, "colour"),
        ({"PixelData": b"ab"}, "damaged"),
    ],
)
def test_what_is_no_single_grey_frame_is_refused(tmp_path, tags, why):
    with pytest.raises(UnreadableFileError, match=why):
        read_dicom(write(tmp_path / "a.dcm", **tags))


def test_other_kinds_are_named():
    assert "CT slice" in str(refuse_kind("1.2.840.10008.5.1.4.1.1.2", "CT"))
    assert "Mammography" in str(refuse_kind("1.2.840.10008.5.1.4.1.1.1.2", "MG"))
    assert refuse_kind("1.2.840.10008.5.1.4.1.1.7", "CR") is None
    assert "of modality OT" in str(refuse_kind("1.2.840.10008.5.1.4.1.1.7", "OT"))


def test_a_batch_keeps_patients_together_and_their_names_out(tmp_path):
    write(tmp_path / "in/a", InstitutionName="St. Elsewhere", SeriesDescription="Chest Roe", BurnedInAnnotation="YES")
    write(tmp_path / "in/b.dcm", STORED[::-1].copy(), PatientOrientation=["R", "F"])
    write(tmp_path / "in/other/c.dcm", STORED.T.copy(), PatientID="other", PatientIdentityRemoved="YES")
    write(tmp_path / "in/ct.dcm", SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT")
    options = RadiographOptions(salt=SALT)
    result = prepare(tmp_path / "in", tmp_path / "out", options=options)
    cases = result.dataset["cases"]
    assert len(cases) == 3 and len({case["patient_id"] for case in cases}) == 2 == len({c["group"] for c in cases})
    assert [case["id"] for case in cases if not case["id"].startswith("case-")] == ["other"]
    assert [entry["where"] for entry in result.refused] == ["ct.dcm"] and result.exit_code == 1
    flags = json.dumps([case["flags"] for case in cases])
    assert "BurnedInAnnotation" in flags and "mirrored" in flags and "patient's name" in flags
    written = "".join(path.read_text("latin-1") for path in (tmp_path / "out").rglob("*.json"))
    assert "4711" not in written and "Elsewhere" not in written and "Richard" not in written
    assert prepare(tmp_path / "in", tmp_path / "out", options=options).prepared == []
