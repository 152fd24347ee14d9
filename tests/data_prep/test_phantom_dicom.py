"""The phantom's files: valid DICOM, the same bytes again, one geometry in CT and RTSTRUCT, nothing half-written."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from SimpleITK import GetArrayFromImage, ImageSeriesReader, ReadImage

from data_prep.errors import OutputError, UsageError
from data_prep.geometry import LPS_TO_RAS
from data_prep.phantom import PhantomOptions, cohort, make_patient, write_cohort

OPTIONS = PhantomOptions(spacing_mm=(8.0, 6.0, 18.0), oblique_deg=(7.0, -5.0, 11.0))
GAPS = PhantomOptions(spacing_mm=(8.0, 6.0, 18.0), missing_slices=5)
NUMBER = 2


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(folder of PHANTOM-002, the patient it was made from)"""
    out = tmp_path_factory.mktemp("phantom")
    folders = write_cohort(out, patients=NUMBER, seed=5, options=OPTIONS)
    assert folders == [out / "PHANTOM-001", out / "PHANTOM-002"]
    return folders[1], make_patient(5, NUMBER, OPTIONS)


@pytest.fixture(scope="module")
def slices(written):
    return [pydicom.dcmread(path) for path in sorted((written[0] / "ct").iterdir())]


@pytest.fixture(scope="module")
def structures(written):
    return pydicom.dcmread(written[0] / "rtstruct" / "1-1.dcm")


def test_same_seed_same_bytes_for_any_number_of_patients(written, tmp_path):
    (again,) = write_cohort(tmp_path, patients=1, seed=5, options=OPTIONS)
    assert files(again) == files(written[0].parent / "PHANTOM-001")
    assert files(again) != files(written[0])


def test_simpleitk_reads_the_grid_and_the_voxels(written):
    folder, patient = written
    image = ReadImage(ImageSeriesReader.GetGDCMSeriesFileNames(str(folder / "ct")))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    assert image.GetSize() == patient.grid.shape_ijk
    np.testing.assert_allclose(affine, patient.grid.affine_lps, atol=1e-6)
    np.testing.assert_allclose(LPS_TO_RAS @ affine, patient.grid.affine_ras, atol=1e-6)
    assert np.array_equal(GetArrayFromImage(image).transpose(2, 1, 0), patient.volume_hu())


def test_ct_tags(written, slices):
    grid = written[1].grid
    for data in slices:
        assert data.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert data.SOPClassUID == pydicom.uid.CTImageStorage == data.file_meta.MediaStorageSOPClassUID
        assert (data.Columns, data.Rows) == grid.shape_ijk[:2]
        # PS3.3 10.7.1.3: rows' distance first
        assert list(data.PixelSpacing) == pytest.approx([grid.spacing_mm[1], grid.spacing_mm[0]])
        assert data.SliceThickness == pytest.approx(grid.spacing_mm[2])
        assert (data.RescaleSlope, data.RescaleIntercept, data.RescaleType) == (1, -1024, "HU")
        assert (data.BitsStored, data.HighBit, data.PixelRepresentation) == (12, 11, 0)
        assert data.PatientPosition == "HFS"
        assert data.PatientID == str(data.PatientName) == "PHANTOM-002"
        assert data.PatientIdentityRemoved == "YES"
        assert data.DeidentificationMethod
        assert data.PatientBirthDate == data.AccessionNumber == str(data.ReferringPhysicianName) == ""
    for tag in ("SOPInstanceUID", "InstanceNumber", "SliceLocation"):
        assert len({str(data[tag].value) for data in slices}) == len(slices)
    for tag in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert len({data[tag].value for data in slices}) == 1


def test_file_names_say_nothing_about_the_order(slices):
    heights = [float(data.SliceLocation) for data in slices]  # by file name
    steps = np.diff(heights) > 0
    assert 0.2 < steps.mean() < 0.8


def test_structures_refer_to_the_slices(slices, structures):
    instances = {data.SOPInstanceUID for data in slices}
    frame = structures.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert frame.FrameOfReferenceUID == slices[0].FrameOfReferenceUID
    assert series.SeriesInstanceUID == slices[0].SeriesInstanceUID
    assert {image.ReferencedSOPInstanceUID for image in series.ContourImageSequence} == instances
    heights = {data.SOPInstanceUID: float(data.SliceLocation) for data in slices}
    iop = np.array(slices[0].ImageOrientationPatient, float)
    normal = np.cross(iop[:3], iop[3:])
    for roi in structures.ROIContourSequence:
        for contour in roi.ContourSequence:
            points = np.reshape(np.array(contour.ContourData, float), (-1, 3))
            assert len(points) == contour.NumberOfContourPoints
            off = points @ normal - heights[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            assert np.abs(off).max() < 0.002


def test_structures_hold_the_contours_under_their_numbers(written, structures):
    patient = written[1]
    names = {int(roi.ROINumber): roi.ROIName for roi in structures.StructureSetROISequence}
    assert sorted(names.values()) == sorted(patient.labels)
    assert list(names) != sorted(names)  # by place, one would pair the wrong ones
    for roi in structures.ROIContourSequence:
        contours = patient.contours_mm(names[int(roi.ReferencedROINumber)])
        assert len(contours) == len(roi.ContourSequence)
        for written_one, points_mm in zip(roi.ContourSequence, contours, strict=True):
            assert written_one.ContourGeometricType == "CLOSED_PLANAR"
            np.testing.assert_allclose(np.array(written_one.ContourData, float), points_mm.ravel(), atol=6e-4)
    assert {o.ReferencedROINumber for o in structures.RTROIObservationsSequence} == set(names)
    observed = {names[int(o.ReferencedROINumber)]: o.RTROIInterpretedType for o in structures.RTROIObservationsSequence}
    assert all((kind == "GTV") == name.startswith("GTV") for name, kind in observed.items())


def test_decimal_strings_fit(written, slices):
    raw = (written[0] / "rtstruct" / "1-1.dcm").read_bytes()
    marker = b"\x06\x30\x50\x00"  # ContourData, implicit little endian
    values = [raw[at + 8 : at + 8 + int.from_bytes(raw[at + 4 : at + 8], "little")] for at in _positions(raw, marker)]
    assert values
    assert all(len(number.strip()) <= 16 for value in values for number in value.split(b"\\"))
    for data in slices:
        for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            assert all(len(str(value)) <= 16 for value in data[tag].value)


def _positions(raw, marker):
    at = raw.find(marker)
    while at >= 0:
        yield at
        at = raw.find(marker, at + 4)


def test_missing_slices_are_missing_from_files_and_references(tmp_path):
    (folder,) = write_cohort(tmp_path, patients=1, seed=5, options=GAPS)
    data = [pydicom.dcmread(path, stop_before_pixels=True) for path in (folder / "ct").iterdir()]
    heights = np.sort([float(d.SliceLocation) for d in data])
    gaps = np.round(np.diff(heights) / 18.0).astype(int)
    assert gaps.sum() - len(gaps) == 5
    structures = pydicom.dcmread(folder / "rtstruct" / "1-1.dcm")
    instances = {d.SOPInstanceUID for d in data}
    named = {c.ContourImageSequence[0].ReferencedSOPInstanceUID for roi in structures.ROIContourSequence
             for c in roi.ContourSequence}  # fmt: skip
    assert named <= instances


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian package dicom3tools) is not installed")
def test_the_standards_own_checker_finds_no_error(written):
    folder = written[0]
    for path in [next((folder / "ct").iterdir()), folder / "rtstruct" / "1-1.dcm"]:
        told = subprocess.run(["dciodvfy", path], capture_output=True, text=True)
        assert "Error" not in told.stdout + told.stderr


def test_a_second_run_keeps_what_is_there_and_makes_what_is_not(written):
    folder = written[0]
    shutil.rmtree(folder.parent / "PHANTOM-001")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    both = write_cohort(folder.parent, patients=2, seed=5, options=OPTIONS)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert all((one / "rtstruct").is_dir() for one in both)


def test_other_things_are_never_overwritten(written, tmp_path):
    out = written[0].parent
    before = files(out)
    for seed, options in [(6, OPTIONS), (5, GAPS)]:
        with pytest.raises(UsageError, match="something else"):
            write_cohort(out, patients=1, seed=seed, options=options)
    assert files(out) == before
    mine = tmp_path / "PHANTOM-001"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="something else"):
        write_cohort(tmp_path, patients=1, seed=5, options=OPTIONS)
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]


def test_bad_requests(tmp_path):
    with pytest.raises(UsageError, match="at least 1"):
        write_cohort(tmp_path, patients=0, seed=0)
    with pytest.raises(UsageError, match="seed"):
        write_cohort(tmp_path, patients=1, seed=-1)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        write_cohort(tmp_path / "file", patients=1, seed=0)
    with pytest.raises(OutputError, match="can't write"):
        write_cohort(tmp_path / "file" / "below", patients=1, seed=0, options=OPTIONS)


@pytest.mark.parametrize(("error", "seen"), [(OSError(28, "No space left on device"), OutputError),
                                             (KeyboardInterrupt(), KeyboardInterrupt)])  # fmt: skip
def test_nothing_is_left_half_written(tmp_path, monkeypatch, error, seen):
    def fail(*_):
        raise error

    monkeypatch.setattr("data_prep.phantom.dicom_rtstruct.write_rtstruct", fail)
    with pytest.raises(seen):
        cohort.write_cohort(tmp_path, patients=1, seed=5, options=OPTIONS)
    assert list(tmp_path.iterdir()) == []
