"""Masks to RTSTRUCT and back: the same voxels in any orientation, valid tags, and nothing lossy by accident."""

import subprocess
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from dicom_factory import Ct, rotation, write_ct
from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from data_prep.errors import NothingToDoError, UsageError
from data_prep.export import Refused, Region, RtstructOptions, read_reference, write_rtstruct, write_seg
from data_prep.geometry import Grid
from data_prep.rasterize import rasterize
from data_prep.rtstruct import read_rtstruct
from data_prep.series import read_series

DCIODVFY = Path("/usr/bin/dciodvfy")
MOMENT = datetime(2026, 1, 31, 12, 30, 59)
FIXED = RtstructOptions(timestamp=MOMENT)
AXES = {
    "axial": np.eye(3),
    "prone": np.diag([-1.0, -1, 1]),
    "feet first, descending": np.diag([-1.0, 1, -1]) * [1, 1, -1],
    "sagittal": np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]]),
    "coronal": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "turned in plane": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]),
    "oblique": rotation(12, -25, 40),
}


def blob(shape, seed=0, share=0.4):
    """A mask [i, j, k] of islands, holes and diagonal neighbours that touches all faces."""
    return (np.random.default_rng(seed).random(shape) < share).astype(np.uint8)


def region(ct, name="lung_left", mask=None, label=None):
    mask = blob(ct.shape) if mask is None else mask
    return Region(name, mask, Grid(mask.shape, ct.affine_lps), label)


@pytest.fixture
def chest(tmp_path):
    ct = Ct(shape=(12, 9, 5), axes=rotation(3, 5, -7))
    write_ct(tmp_path / "ct", ct)
    return ct, read_reference(tmp_path / "ct"), tmp_path / "rs.dcm"


def voxels_in_the_world(mask_ijk, grid):
    return {tuple(point) for point in np.round(grid.points_mm(np.argwhere(mask_ijk)), 2)}


@pytest.mark.parametrize("holes", ["separate", "keyhole"])
@pytest.mark.parametrize("style", ["edge", "centre"])
@pytest.mark.parametrize("axes", AXES.values(), ids=AXES.keys())
def test_round_trip_in_any_orientation(tmp_path, axes, style, holes):
    ct = Ct(shape=(12, 9, 5), axes=axes)
    files = write_ct(tmp_path / "ct", ct)
    flipped = ct.affine_lps @ np.diag([1, -1, 1, 1])
    flipped[:3, 3] = ct.points_mm([0, ct.shape[1] - 1, 0])
    mask = blob(ct.shape)
    regions = [region(ct, "lung_left", mask), Region("other", np.flip(mask, 1), Grid(ct.shape, flipped))]
    report = write_rtstruct(
        regions,
        read_reference(tmp_path / "ct"),
        tmp_path / "rs.dcm",
        RtstructOptions(contour_style=style, holes=holes),
    )
    assert [one.differing for one in report.written] == [0, 0] and report.exit_code == 0
    _, grid = read_series(files)
    truth = voxels_in_the_world(mask, Grid(ct.shape, ct.affine_lps))
    rois = read_rtstruct(tmp_path / "rs.dcm")
    assert [roi.name for roi in rois] == ["Lung_L", "other"]
    for roi in rois:
        found, ledger = rasterize(roi.contours_mm, grid)
        assert voxels_in_the_world(found, grid) == truth
        assert ledger.skipped == ledger.moved == 0


def test_contours_lie_on_the_slice_that_they_name(chest):
    ct, series, path = chest
    write_rtstruct([region(ct)], series, path)
    data = dcmread(path)
    where = {one.sop_uid: n for n, one in enumerate(series.slices)}
    for item in data.ROIContourSequence[0].ContourSequence:
        k = where[item.ContourImageSequence[0].ReferencedSOPInstanceUID]
        points = np.array(item.ContourData, float).reshape(-1, 3)
        assert len(points) == item.NumberOfContourPoints
        assert np.abs((points - series.positions_mm[k]) @ series.normal).max() < 1e-4


def test_decimal_strings_are_short_and_exact_to_a_tenth_of_a_micrometre(tmp_path):
    ct = Ct(shape=(12, 9, 5), axes=rotation(3, 5, -7), origin_mm=(-12345.678912, 9876.54321, -54321.987654))
    write_ct(tmp_path / "ct", ct)
    series = read_reference(tmp_path / "ct")
    write_rtstruct([region(ct)], series, tmp_path / "rs.dcm")
    for item in dcmread(tmp_path / "rs.dcm").ROIContourSequence[0].ContourSequence:
        raw = item.get_item("ContourData").value
        assert all(len(text) <= 16 for text in raw.decode().split("\\"))
        index = Grid(ct.shape, ct.affine_lps).index_ijk(np.array(item.ContourData, float).reshape(-1, 3))
        halves = index * [2, 2, 1]  # corners lie half-way between centres
        assert (np.abs(halves - np.round(halves)) * [0.75, 1.125, 3.5]).max() < 1e-4


def test_tags_of_patient_and_study_are_the_series_own(tmp_path):
    tags = {
        "PatientSex": "F",
        "StudyDate": "20240229",
        "StudyTime": "101112",
        "StudyID": "S7",
        "AccessionNumber": "A99",
        "StudyDescription": "Thorax",
        "SpecificCharacterSet": "ISO_IR 100",
    }
    ct = Ct(name="Müller^Jörg", identity_removed=False, tags=tags)
    write_ct(tmp_path / "ct", ct)
    report = write_rtstruct([region(ct)], read_reference(tmp_path / "ct"), tmp_path / "rs.dcm", FIXED)
    data, image = dcmread(tmp_path / "rs.dcm"), dcmread(next((tmp_path / "ct").iterdir()))
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert data[keyword].value == image[keyword].value
    for keyword in tags.keys() - {"SpecificCharacterSet"}:
        assert str(data[keyword].value) == tags[keyword]
    assert str(data.PatientName) == "Müller^Jörg" and data.SpecificCharacterSet == "ISO_IR 192"
    assert data.SeriesInstanceUID != image.SeriesInstanceUID and "InstitutionName" not in data
    assert "Müller" not in report.table() and "Müller" not in repr(report.as_dict())


def test_values_that_dicom_does_not_allow_are_left_empty_and_named(tmp_path):
    def edit(data, k):
        for keyword, value in {
            "PatientBirthDate": b"1953-02-17",
            "PatientSex": b"male",
            "StudyTime": b"25:99 ",
        }.items():
            tag = Tag(keyword)
            data[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)
        return data

    ct = Ct()
    write_ct(tmp_path / "ct", ct, edit=edit)
    series = read_reference(tmp_path / "ct")
    report = write_rtstruct([region(ct)], series, tmp_path / "rs.dcm")
    assert sorted(note.split()[0] for note in report.notes) == ["PatientBirthDate", "PatientSex", "StudyTime"]
    assert not any("1953" in note or "male" in note for note in report.notes)
    write_seg([region(ct)], series, tmp_path / "seg.dcm")
    for name in ("rs.dcm", "seg.dcm"):
        data = dcmread(tmp_path / name)
        assert not (data.PatientBirthDate or data.PatientSex or data.StudyTime) and data.PatientName == "Doe^Jane"


def test_structure_set_says_what_it_must(chest):
    ct, series, path = chest
    names = ["lung_left", "lung_right", "lungs", "gtv", "Liver!"]
    regions = [region(ct, name, blob(ct.shape, n)) for n, name in enumerate(names)]
    write_rtstruct(regions, series, path, FIXED)
    data = dcmread(path)
    assert data.file_meta.TransferSyntaxUID.is_implicit_VR
    assert data.StructureSetDate == "20260131" and data.StructureSetTime == "123059"
    assert data.ApprovalStatus == "UNAPPROVED" and len(data.StructureSetLabel) <= 16
    assert all(uid.startswith("2.25.") for uid in (data.SOPInstanceUID, data.SeriesInstanceUID))
    (frame,) = data.ReferencedFrameOfReferenceSequence
    images = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].ContourImageSequence
    assert [one.ReferencedSOPInstanceUID for one in images] == [f"{ct.series_uid}.{k + 1}" for k in range(5)]
    assert [roi.ROIName for roi in data.StructureSetROISequence] == ["Lung_L", "Lung_R", "Lungs", "GTV", "Liver!"]
    assert {roi.ROIGenerationAlgorithm for roi in data.StructureSetROISequence} == {"AUTOMATIC"}
    assert len({tuple(roi.ROIDisplayColor) for roi in data.ROIContourSequence}) == 5
    kinds = [one.RTROIInterpretedType for one in data.RTROIObservationsSequence]
    assert kinds == ["ORGAN", "ORGAN", "ORGAN", "GTV", ""]


def test_the_same_input_at_the_same_time_gives_the_same_bytes(chest):
    ct, series, path = chest
    contents = []
    for n, options in enumerate([FIXED, FIXED, RtstructOptions(timestamp=MOMENT, holes="keyhole")]):
        write_rtstruct([region(ct)], series, path.with_name(f"{n}.dcm"), options)
        contents.append(path.with_name(f"{n}.dcm").read_bytes())
    write_rtstruct([region(ct, mask=blob(ct.shape, 1))], series, path, FIXED)
    assert contents[0] == contents[1] != contents[2]
    uids = [dcmread(path.with_name(name)).SOPInstanceUID for name in ("0.dcm", "2.dcm", "rs.dcm")]
    assert len(set(uids)) == 3


def test_contours_longer_than_an_explicit_length_can_say(tmp_path):
    ct = Ct(shape=(200, 120, 1), spacing_mm=(0.7, 0.9, 3.0))
    write_ct(tmp_path / "ct", ct, stored=np.zeros(ct.shape, int))
    saw = np.zeros(ct.shape, np.uint8)
    saw[0] = saw[:, 1::4] = saw[::2, ::4] = 1  # saws on one stem, teeth up
    report = write_rtstruct([region(ct, "saw", saw)], read_reference(tmp_path / "ct"), tmp_path / "rs.dcm")
    (item,) = dcmread(tmp_path / "rs.dcm").ROIContourSequence[0].ContourSequence
    assert item.NumberOfContourPoints > 10_000 and len(item.get_item("ContourData").value) > 65_534
    assert report.written[0].differing == 0


def test_points_left_out_cost_voxels_only_if_that_is_allowed(chest):
    ct, series, path = chest
    box = np.zeros(ct.shape, np.uint8)
    box[3:8, 2:7, 1:4] = 1
    regions = [region(ct, "box", box), region(ct, "rough", blob(ct.shape, 3, 0.6))]
    report = write_rtstruct(regions, series, path, RtstructOptions(simplify_mm=2.0))
    assert [one.name for one in report.written] == ["box"] and report.exit_code == 1
    assert "voxels differ" in report.refused[0].reason and report.refused[0].name == "rough"
    assert [roi.name for roi in read_rtstruct(path)] == ["box"]
    report = write_rtstruct(regions, series, path, RtstructOptions(simplify_mm=2.0, allow_loss=True))
    rough = report.written[1]
    found, _ = rasterize(read_rtstruct(path)[1].contours_mm, series.grid)
    wrong = int((found != regions[1].mask_ijk).sum())
    assert rough.differing == wrong > 0
    assert rough.dice == pytest.approx(2 * (found & regions[1].mask_ijk).sum() / (found.sum() + rough.voxels))
    with pytest.raises(NothingToDoError, match="voxels differ"):
        write_rtstruct(regions[1:], series, path, RtstructOptions(simplify_mm=2.0))


def test_one_bad_mask_costs_only_itself(chest):
    ct, series, path = chest
    elsewhere = Region("far", blob(ct.shape), Grid(ct.shape, ct.affine_lps @ np.diag([1.2, 1, 1, 1])))
    regions = [Refused("torn", "it is torn"), elsewhere, region(ct, "none", np.zeros(ct.shape)), region(ct, "good")]
    report = write_rtstruct(regions, series, path)
    assert [one.name for one in report.written] == ["good"] and report.exit_code == 1
    assert [one.name for one in report.refused] == ["torn", "far", "none"]
    assert "empty" in report.refused[2].reason and "not the series' own" in report.refused[1].reason
    path.unlink()
    with pytest.raises(NothingToDoError, match="torn: it is torn"):
        write_rtstruct(regions[:3], series, path)
    assert not path.exists()


def test_resampled_on_request_it_says_so(chest):
    ct, series, path = chest
    coarse = Grid((6, 5, 3), ct.affine_lps @ np.diag([2, 2, 2, 1]))
    report = write_rtstruct(
        [Region("lung", blob((6, 5, 3)), coarse)], series, path, RtstructOptions(resample="nearest")
    )
    assert "resampled to the nearest voxel" in report.written[0].notes[0] and report.exit_code == 0


def test_names_that_clash_or_are_too_long(chest):
    ct, series, path = chest
    names = ["lung_left", "Lung_L", "Ösophagus", "a\\b", "x" * 80, "y" * 20]
    report = write_rtstruct([region(ct, name) for name in names], series, path)
    assert [one.name for one in report.written] == ["Lung_L", "Lung_L-2", "Ösophagus", "a b", "x" * 64, "y" * 20]
    assert [roi.name for roi in read_rtstruct(path)] == [one.name for one in report.written]
    assert "16" in report.written[5].notes[0]
    short = write_rtstruct([region(ct, name) for name in names], series, path, RtstructOptions(short_names=True))
    assert max(len(one.name) for one in short.written) == 16
    known = [region(ct, "Lt Lung"), region(ct, "GTV-1"), region(ct, "whatever")]
    for policy, wanted in {"tg263": ["Lung_L", "GTV", "whatever"], "auto": ["Lt Lung", "GTV-1", "whatever"]}.items():
        report = write_rtstruct(known, series, path, RtstructOptions(names=policy))
        assert [one.name for one in report.written] == wanted


def test_nobody_elses_file_is_replaced(chest):
    ct, series, path = chest
    image = series.slices[0].path
    before = image.read_bytes()
    for occupied in (image, path.parent):
        with pytest.raises(UsageError):
            write_rtstruct([region(ct)], series, occupied)
    assert image.read_bytes() == before
    write_rtstruct([region(ct)], series, path)
    write_rtstruct([region(ct, mask=blob(ct.shape, 5))], series, path)  # our own may be
    assert sorted(one.name for one in path.parent.iterdir()) == ["ct", "rs.dcm"]


@pytest.mark.parametrize("options", [{"simplify_mm": -1.0}, {"simplify_mm": float("nan")}, {"label": "x" * 17}])
def test_options_that_make_no_sense(chest, options):
    ct, series, path = chest
    with pytest.raises(UsageError):
        write_rtstruct([region(ct)], series, path, RtstructOptions(**options))


def tilted(data, k):
    data.ImagePositionPatient = [-31.25, 17.5 + 0.8 * k, -203.75 + 3.5 * k]
    return data


def uneven(data, k):
    data.ImagePositionPatient = [-31.25, 17.5, -203.75 + [0, 3, 9, 12, 18][k]]
    return data


def test_tilted_gantry(tmp_path):
    ct = Ct(shape=(12, 9, 5))
    write_ct(tmp_path / "ct", ct, edit=tilted)
    series = read_reference(tmp_path / "ct")
    affine = ct.affine_lps
    affine[1, 2] = 0.8
    report = write_rtstruct([Region("lung", blob(ct.shape), Grid(ct.shape, affine))], series, tmp_path / "rs.dcm")
    assert report.written[0].differing == 0
    for roi in read_rtstruct(tmp_path / "rs.dcm"):
        assert np.array_equal(rasterize(roi.contours_mm, Grid(ct.shape, affine))[0], blob(ct.shape))


def test_uneven_slices_take_masks_of_their_even_parts(tmp_path):
    ct = Ct(shape=(12, 9, 5), spacing_mm=(1.5, 2.25, 3.0))
    write_ct(tmp_path / "ct", ct, edit=uneven)
    series = read_reference(tmp_path / "ct")
    mask = blob((12, 9, 2))
    affine = ct.affine_lps
    affine[2, 3] += 9.0
    report = write_rtstruct([Region("lung", mask, Grid(mask.shape, affine))], series, tmp_path / "rs.dcm")
    assert report.written[0].differing == 0
    per_slice = mask.sum(axis=(0, 1)) * 1.5 * 2.25 / 1000
    assert report.written[0].volume_ml == pytest.approx(per_slice @ [4.5, 4.5], abs=1e-3)
    named = {
        item.ContourImageSequence[0].ReferencedSOPInstanceUID
        for item in dcmread(tmp_path / "rs.dcm").ROIContourSequence[0].ContourSequence
    }
    assert named == {f"{ct.series_uid}.3", f"{ct.series_uid}.4"}
    with pytest.raises(NothingToDoError, match=r"3\.000 to 6\.000 mm"):
        write_rtstruct([region(ct)], series, tmp_path / "rs.dcm")


@pytest.mark.skipif(not DCIODVFY.exists(), reason="dciodvfy (Debian package dicom3tools) is not installed")
@pytest.mark.parametrize("holes", ["separate", "keyhole"])
def test_dciodvfy_has_nothing_against_it(tmp_path, holes):
    ct = Ct(shape=(12, 9, 5), tags={"StudyID": "1", "StudyDate": "20240229", "StudyTime": "101112"})
    write_ct(tmp_path / "ct", ct)
    regions = [region(ct, name, blob(ct.shape, n)) for n, name in enumerate(["lung_left", "gtv", "what else"])]
    options = RtstructOptions(holes=holes, names="tg263")
    write_rtstruct(regions, read_reference(tmp_path / "ct"), tmp_path / "rs.dcm", options)
    said = subprocess.run([DCIODVFY, tmp_path / "rs.dcm"], capture_output=True, text=True, check=False)
    assert "RTStructureSet" in said.stderr + said.stdout
    assert not [line for line in (said.stderr + said.stdout).splitlines() if line.startswith(("Error", "Warning"))]
