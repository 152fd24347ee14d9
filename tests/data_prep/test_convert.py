"""The whole conversion: what comes out, what each bad input costs, interruption, the same bytes twice."""

import csv
import errno
import itertools
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import CODED_INTERCEPT, Ct, boxes, make_patient, rotation, square, tree, write_ct, write_rtstruct

import data_prep.case
import data_prep.masks
import data_prep.nifti
from data_prep.convert import ConvertOptions, convert
from data_prep.dataset import check_files, read_dataset
from data_prep.errors import NothingToDoError, OutputError, UsageError

OPTIONS = ConvertOptions(salt=b"a salt that only the tests know!")
CT = Ct(axes=rotation(5, -8, 21))


def reasons(result):
    return {entry["what"]: entry["reason"] for entry in result.refused}


@pytest.fixture
def source(tmp_path):
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_image_masks_and_dataset(source, out):
    make_patient(source, CT)
    result = convert(source, out, options=OPTIONS)
    assert result.exit_code == 0 and not result.refused
    (case,) = read_dataset(out)["cases"]
    assert case == result.dataset["cases"][0] and check_files(out) == []
    assert (case["id"], case["patient_id"], case["shape"], case["orientation"]) == ("P1", "P1", [20, 14, 7], "LPS")
    image = nib.load(out / case["image"])
    assert image.get_data_dtype() == np.int16
    ras = np.diag([-1, -1, 1, 1]) @ CT.affine_lps
    for affine, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        assert code == 1
        np.testing.assert_allclose(affine, ras, atol=1e-4)
    assert np.array_equal(np.asarray(image.dataobj), CT.coded() + CODED_INTERCEPT)
    for roi, i in zip(case["rois"], (2, 10), strict=True):
        mask = nib.load(out / roi["file"])
        assert mask.get_data_dtype() == np.uint8 and np.array_equal(mask.affine, image.affine)
        expected = np.zeros(CT.shape)
        expected[i : i + 4, 3:9, 2:5] = 1
        assert np.array_equal(np.asarray(mask.dataobj), expected)
        millilitres = 4 * 6 * 3 * 1.5 * 2.25 * 3.5 / 1000
        assert roi["volume_ml"] == pytest.approx({"polygon": millilitres, "voxel": millilitres}, abs=1e-3)
        assert roi["planes"] == {"in": 3, "rasterised": 3, "clipped": 0, "moved": 0, "skipped": 0, "interpolated": 0}
    assert [roi["label"] for roi in case["rois"]] == ["lung_left", "lung_right"]
    with (out / "report.csv").open(newline="") as stream:
        assert [row["roi"] for row in csv.DictReader(stream)] == ["Lung-Left", "Lung-Right"]
    assert "Lung-Left" in result.table() and "1 case(s), 2 mask(s)" in result.table()


def test_same_input_same_bytes_wherever_it_lies(source, out, tmp_path):
    make_patient(source, CT)
    make_patient(source, Ct(patient="P2"))
    convert(source, out, options=OPTIONS)
    source.rename(tmp_path / "elsewhere")
    convert(tmp_path / "elsewhere", tmp_path / "again", options=OPTIONS)
    assert tree(out) == tree(tmp_path / "again") and len(tree(out)) == 12


def test_several_series_and_patients_get_cases_of_their_own(source, out):
    for ct in (Ct(), Ct(series="2", shape=(16, 14, 9)), Ct(patient="P2")):
        make_patient(source, ct, number=int(ct.series))
    cases = convert(source, out, options=OPTIONS).dataset["cases"]
    assert [case["patient_id"] for case in cases] == ["P1", "P1", "P2"]
    assert cases[2]["id"] == "P2" and {case["id"][:3] for case in cases[:2]} == {"P1_"}
    assert {tuple(case["shape"]) for case in cases[:2]} == {(20, 14, 7), (16, 14, 9)}
    assert all(len(case["rois"]) == 2 for case in cases)


def test_all_rois_of_two_structs_with_equal_and_awkward_names(source, out):
    awkward = ["Lung-Left", "lung-left", "../evil", "CON", "左肺", "x" * 200, "a/b", "a:b"]
    make_patient(source, CT, {name: boxes(CT, 2) for name in awkward})
    write_rtstruct(source / "second", CT, {"Lung-Left": boxes(CT, 6)}, number=2)
    rois = convert(source, out, options=OPTIONS).dataset["cases"][0]["rois"]
    assert [roi["name"] for roi in rois] == [*awkward, "Lung-Left"]
    assert len({roi["file"].lower() for roi in rois}) == len(rois) and check_files(out) == []
    assert all(path.startswith(("P1/", "dataset.json", "report.csv")) for path in tree(out))
    assert np.asarray(nib.load(out / rois[-1]["file"]).dataobj)[6:10].sum() == 4 * 6 * 3


def test_a_roi_without_contours_costs_only_itself(source, out):
    make_patient(source, CT, {"Lung-Left": boxes(CT, 2), "GTV-1": [], "Tiny": [square(CT, 2, (3.1, 3.1), (3.4, 3.4))]})
    result = convert(source, out, options=OPTIONS)
    left, gtv, tiny = result.dataset["cases"][0]["rois"]
    assert left["status"] == "ok" and result.exit_code == 1
    assert (gtv["status"], gtv["file"], gtv["reason"]) == ("refused", None, "no contours")
    assert tiny["status"] == "refused" and "no pixel centre" in tiny["reason"]
    assert sorted(path.name for path in (out / "P1" / "masks").iterdir()) == ["Lung-Left.nii.gz"]


def test_malformed_contours_are_skipped_and_counted(source, out):
    def edit(data):
        data.ROIContourSequence[-1].ContourSequence[0].ContourData = [1, 2, 3, 4]

    make_patient(source, CT, edit=edit)
    left = convert(source, out, options=OPTIONS).dataset["cases"][0]["rois"][0]
    assert left["planes"] == {"in": 3, "rasterised": 2, "clipped": 0, "moved": 0, "skipped": 1, "interpolated": 0}
    assert left["reason"] == "1 skipped: ContourData (3006,0050) is no list of x, y, z"


def test_a_roi_in_another_frame_is_refused(source, out):
    def edit(data):
        data.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = "1.2.3"

    make_patient(source, CT, edit=edit)
    left, right = convert(source, out, options=OPTIONS).dataset["cases"][0]["rois"]
    assert left["status"] == "ok" and right["status"] == "refused" and "(3006,0024)" in right["reason"]


def drop_slice(folder):
    sorted((folder / "P2 1").iterdir())[3].unlink()


def cut_slice(folder):
    path = sorted((folder / "P2 1").iterdir())[0]
    path.write_bytes(path.read_bytes()[:-100])


def no_intercept(folder):
    def edit(data, k):
        del data.RescaleIntercept
        return data

    write_ct(folder / "P2 1", Ct(patient="P2"), edit=edit)


def tilt(folder):
    def edit(data, k):
        data.ImagePositionPatient = [0, 0, 3 * k]
        data.ImageOrientationPatient = [1, 0, 0, 0, 0.95, 0.31224989991992]
        return data

    write_ct(folder / "P2 1", Ct(patient="P2"), edit=edit)


def second_acquisition(folder):
    write_ct(folder / "P2 again", Ct(patient="P2"), Ct().coded() + 1)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (drop_slice, "between"),
        (cut_slice, "is cut short"),
        (no_intercept, "RescaleIntercept (0028,1052)"),
        (tilt, "gantry tilt"),
        (second_acquisition, "different pixels at one position"),
    ],
)
def test_one_bad_series_is_refused_by_name_and_the_others_are_converted(source, out, spoil, reason):
    make_patient(source, CT)
    make_patient(source, Ct(patient="P2"))
    make_patient(source, Ct(patient="P3"))
    spoil(source)
    result = convert(source, out, options=OPTIONS)
    assert [case["id"] for case in result.dataset["cases"]] == ["P1", "P3"] and result.exit_code == 1
    assert reason in reasons(result)["series"]
    assert not any(path.startswith("P2") for path in tree(out))
    assert "Refused: 1" in result.table()


def test_anything_unexpected_costs_one_case(source, out, monkeypatch):
    make_patient(source, CT)
    make_patient(source, Ct(patient="P2", identity_removed=False))
    arrange = data_prep.case.arrange

    def fragile(slices, options):
        if slices[0].patient_id == "P2":
            raise ZeroDivisionError("while looking at Doe^Jane")
        return arrange(slices, options)

    monkeypatch.setattr(data_prep.case, "arrange", fragile)
    result = convert(source, out, options=OPTIONS)
    assert [case["id"] for case in result.dataset["cases"]] == ["P1"]
    assert reasons(result)["series"] == "unexpected ZeroDivisionError: while looking at ***^***"


def test_images_alone_are_converted_and_said_to_be_alone(source, out):
    write_ct(source, CT)
    result = convert(source, out, options=OPTIONS)
    assert result.dataset["cases"][0]["rois"] == [] and result.exit_code == 1
    assert "no RTSTRUCT found" in reasons(result)["rtstruct"] and "image only" in result.table()


def test_a_series_without_struct_beside_one_with_is_no_failure(source, out):
    make_patient(source, CT)
    write_ct(source / "P2", Ct(patient="P2"))
    result = convert(source, out, options=OPTIONS)
    assert result.exit_code == 0 and "no RTSTRUCT: image only" in result.table()


def test_nothing_convertible(source, out):
    write_rtstruct(source / "rs", CT, {"Lung-Left": boxes(CT, 2)})
    result = convert(source, out, options=OPTIONS)
    assert result.exit_code == 3 and "not here" in reasons(result)["rtstruct"]
    (source / "rs").write_text("junk")
    with pytest.raises(NothingToDoError):
        convert(source, out.with_name("never"), options=OPTIONS)
    assert not out.with_name("never").exists()


def test_output_inside_input_is_not_read_again(source):
    make_patient(source, CT)
    first = convert(source, source / "out", options=OPTIONS)
    assert convert(source, source / "out", options=OPTIONS).dataset == first.dataset
    with pytest.raises(UsageError, match="same folder"):
        convert(source, source, options=OPTIONS)


def test_output_that_cannot_be_written(source, out):
    make_patient(source, CT)
    out.write_text("a file")
    with pytest.raises(OutputError, match="is a file"):
        convert(source, out, options=OPTIONS)
    with pytest.raises(OutputError, match="can't write"):
        convert(source, out / "below", options=OPTIONS)


def test_a_full_disk_stops_with_finished_cases_whole_and_can_be_gone_on_with(source, out, monkeypatch):
    make_patient(source, CT)
    make_patient(source, Ct(patient="P2"))
    write_nifti, numbers = data_prep.case.write_nifti, itertools.count(1)

    def full(path: Path, *arguments):
        if next(numbers) == 5:  # the second mask of the second case
            monkeypatch.setattr(data_prep.nifti.tempfile, "mkstemp", no_space)
        write_nifti(path, *arguments)

    def no_space(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context():
        monkeypatch.setattr(data_prep.case, "write_nifti", full)
        monkeypatch.setattr(data_prep.masks, "write_nifti", full)
        with pytest.raises(OutputError, match="No space left"):
            convert(source, out, options=OPTIONS)
    assert {path.split("/")[0] for path in tree(out)} == {"P1"}
    monkeypatch.undo()
    assert_completed(source, out)


@pytest.mark.parametrize("at", [1, 2, 4, 6])
def test_interrupted_anywhere_nothing_is_half_written_and_a_rerun_completes(source, out, monkeypatch, at):
    make_patient(source, CT)
    make_patient(source, Ct(patient="P2"))
    write_nifti, numbers = data_prep.case.write_nifti, itertools.count(1)

    def interrupted(path: Path, *arguments):
        number = next(numbers)
        write_nifti(path, *arguments)
        if number == at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(data_prep.case, "write_nifti", interrupted)
        patch.setattr(data_prep.masks, "write_nifti", interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert(source, out, options=OPTIONS)
    assert {path.split("/")[0] for path in tree(out)} <= {"P1"}
    (out / ".partial-P9").mkdir()  # as if killed before it could tidy up
    (out / ".partial-P9" / "image.nii.gz").touch()
    result = assert_completed(source, out)
    assert len(result.reused) == (at - 1) // 3


def assert_completed(source, out):
    """Going on gives what one undisturbed run gives, to the byte."""
    result = convert(source, out, options=OPTIONS)
    undisturbed = out.with_name("undisturbed")
    convert(source, undisturbed, options=OPTIONS)
    assert tree(out) == tree(undisturbed)
    return result


def test_finished_cases_are_kept_changed_ones_made_again(source, out):
    make_patient(source, CT)
    make_patient(source, Ct(patient="P2"))
    convert(source, out, options=OPTIONS)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.nii.gz")}
    make_patient(source, Ct(patient="P2"), rois={"Lung-Left": boxes(Ct(), 5)})
    result = convert(source, out, options=OPTIONS)
    assert (result.reused, result.converted) == (["P1"], ["P2"])
    assert all(path.stat().st_mtime_ns == times[path] for path in (out / "P1").rglob("*.nii.gz"))
    assert [path.name for path in (out / "P2" / "masks").iterdir()] == ["Lung-Left.nii.gz"]
    (out / "P1" / "image.nii.gz").unlink()
    assert convert(source, out, options=OPTIONS).converted == ["P1"]
    assert convert(source, out, options=ConvertOptions(salt=OPTIONS.salt, overwrite=True)).reused == []


def test_a_refused_roi_is_still_reported_when_its_case_is_reused(source, out):
    make_patient(source, CT, {"Lung-Left": boxes(CT, 2), "GTV-1": []})
    first, second = (convert(source, out, options=OPTIONS) for _ in range(2))
    assert second.reused == ["P1"] and second.refused == first.refused and second.exit_code == 1


def test_converting_another_source_into_the_same_folder_adds_to_it(source, out, tmp_path):
    make_patient(source, CT)
    make_patient(tmp_path / "more", Ct(patient="P2"))
    convert(source, out, options=OPTIONS)
    result = convert(tmp_path / "more", out, options=OPTIONS)
    assert [case["id"] for case in result.dataset["cases"]] == ["P1", "P2"]
    other_salt = convert(tmp_path / "more", out, options=ConvertOptions(salt=b"an entirely different one"))
    assert [case["id"] for case in other_salt.dataset["cases"]] == ["P2"]
    assert "another salt" in json.dumps(other_salt.dataset["ignored"])


def test_a_patient_never_gets_two_names_in_one_dataset(source, out):
    """That would put one person on both sides of a split."""
    make_patient(source, Ct(identity_removed=False))
    (pseudonym,) = convert(source, out, options=OPTIONS).converted
    result = convert(source, out, options=ConvertOptions(salt=OPTIONS.salt, keep_ids=True))
    assert [case["id"] for case in result.dataset["cases"]] == ["P1"] and pseudonym != "P1"
    assert pseudonym in json.dumps(result.dataset["ignored"])


def test_a_folder_of_somebody_else_is_never_touched(source, out):
    make_patient(source, CT)
    (out / "P1").mkdir(parents=True)
    (out / "P1" / "thesis.txt").write_text("mine")
    result = convert(source, out, options=ConvertOptions(salt=OPTIONS.salt, overwrite=True))
    assert result.exit_code == 3 and "was not made by lungseg-prep" in reasons(result)["series"]
    assert (out / "P1" / "thesis.txt").read_text() == "mine"


def test_a_damaged_file_beside_the_slices_is_flagged(source, out):
    make_patient(source, CT)
    (path, *_) = sorted((source / "P1 1").iterdir())
    (source / "P1 1" / "torn").write_bytes(path.read_bytes()[:200])
    result = convert(source, out, options=OPTIONS)
    assert "may be missing" in result.dataset["cases"][0]["flags"][0] and result.exit_code == 1


def test_the_real_patient(real_data, out):
    result = convert(real_data / "nsclc-radiomics", out, options=OPTIONS)
    (case,) = result.dataset["cases"]
    assert result.exit_code == 0 and case["id"] == "LUNG1-001" and check_files(out) == []
    rois = {roi["name"]: roi for roi in case["rois"]}
    for name, voxels, polygons in (("Lung-Left", 2277, 2269), ("Lung-Right", 2966, 2961), ("GTV-1", 156, 156)):
        assert rois[name]["volume_ml"]["voxel"] == pytest.approx(voxels, rel=0.003)
        assert rois[name]["volume_ml"]["polygon"] == pytest.approx(polygons, rel=0.005)
        assert rois[name]["planes"]["skipped"] == rois[name]["planes"]["moved"] == 0
    assert {rois[name]["label"] for name in rois} == {"lung_left", "lung_right", "gtv", "spinal_cord"}
