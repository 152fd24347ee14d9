"""Every kind of input through the same door: SEG, NPZ, plain volumes, enhanced CT, several volumes in one series."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import CODED_INTERCEPT, Ct, boxes, ct_slice, make_patient, rotation, save, write_ct, write_rtstruct

from data_prep.convert import ConvertOptions, convert
from data_prep.export import Region, read_reference, write_seg
from data_prep.options import StackOptions

OPTIONS = ConvertOptions(salt=b"0" * 32)
CT = Ct(axes=rotation(5, -8, 21))


def voxels(out: Path, file: str) -> np.ndarray:
    return np.asarray(nib.load(out / file).dataobj)


@pytest.fixture
def mask() -> np.ndarray:
    block = np.zeros(CT.shape, np.uint8)
    block[3:9, 4:10, 2:5] = 1
    return block


def test_a_seg_is_put_on_its_series(tmp_path, mask):
    write_ct(tmp_path / "in" / "ct", CT)
    series = read_reference(tmp_path / "in" / "ct")
    write_seg([Region("something", mask, series.grid, label="lung_left")], series, tmp_path / "in" / "seg.dcm")
    result = convert(tmp_path / "in", tmp_path / "out", options=OPTIONS)
    ((roi,),) = [case["rois"] for case in result.dataset["cases"]]
    assert result.exit_code == 0 and roi["kind"] == "seg"
    assert roi["label"] == "lung_left"  # by its code: the name says nothing
    assert np.array_equal(voxels(tmp_path / "out", roi["file"]), mask)


def test_npz_masks_as_in_the_papers_data_set(tmp_path, mask):
    for number in range(2):
        write_ct(tmp_path / "in" / "Images" / f"Case_00{number}", Ct(patient=f"P{number}"))
        folder = tmp_path / "in" / "Masks"
        folder.mkdir(exist_ok=True)
        np.savez(folder / f"Case_00{number}.npz", lungs=mask.transpose(2, 1, 0))
    np.savez(folder / "Case_007.npz", lungs=mask)
    result = convert(tmp_path / "in", tmp_path / "out", options=OPTIONS)
    assert [case["id"] for case in result.dataset["cases"]] == ["P0", "P1"]
    for case in result.dataset["cases"]:
        (roi,) = case["rois"]
        assert (roi["kind"], roi["label"]) == ("npz", "lungs") and roi["flags"]
        assert np.array_equal(voxels(tmp_path / "out", roi["file"]), mask)
    assert [one["where"] for one in result.refused] == ["Masks/Case_007.npz"]


def test_prepared_data_are_a_source_themselves(tmp_path):
    make_patient(tmp_path / "in", CT)
    first = convert(tmp_path / "in", tmp_path / "first", options=OPTIONS).dataset["cases"][0]
    options = replace(OPTIONS, keep_ids=True)
    (case,) = convert(tmp_path / "first", tmp_path / "second", options=options).dataset["cases"]
    assert case["source"]["kind"] == "volume" and case["shape"] == first["shape"]
    assert np.array_equal(voxels(tmp_path / "second", case["image"]), voxels(tmp_path / "first", first["image"]))
    np.testing.assert_allclose(case["source"]["affine_lps"], first["source"]["affine_lps"], atol=1e-4)
    for ours, theirs in zip(case["rois"], first["rois"], strict=True):
        assert (ours["name"], ours["label"]) == (theirs["name"], theirs["label"])
        assert np.array_equal(voxels(tmp_path / "second", ours["file"]), voxels(tmp_path / "first", theirs["file"]))


def test_files_that_may_be_called_like_a_person_get_pseudonyms(tmp_path):
    (tmp_path / "in").mkdir()
    image = np.random.default_rng(0).normal(-600, 300, (8, 9, 10)).astype(np.int16)
    nib.save(nib.Nifti1Image(image, np.diag([2, 2, 3, 1.0])), tmp_path / "in" / "Doe_Jane.nii.gz")
    result = convert(tmp_path / "in", tmp_path / "out", options=OPTIONS)
    assert [case["id"][:5] for case in result.dataset["cases"]] == ["case-"]


def test_volumes_beside_dicom_are_passed_over_by_name(tmp_path):
    make_patient(tmp_path / "in", CT)
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), tmp_path / "in" / "result.nii.gz")
    result = convert(tmp_path / "in", tmp_path / "out", options=OPTIONS)
    assert len(result.dataset["cases"]) == 1 and result.exit_code == 0
    assert any("beside DICOM CT" in one["reason"] for one in result.dataset["ignored"])


def test_phases_of_one_series_become_cases(tmp_path):
    for phase in (1, 2):
        ct = Ct(tags={"TemporalPositionIdentifier": phase})
        for k in range(ct.shape[2]):
            data = ct_slice(ct, k, ct.coded() + 1000 * phase)
            data.SOPInstanceUID += f".{phase}"
            save(data, tmp_path / "in" / f"{phase}-{k}")
    write_rtstruct(tmp_path / "in" / "rs", Ct(), {"Lung-Left": boxes(Ct(), 2)})
    result = convert(tmp_path / "in", tmp_path / "out", options=OPTIONS)
    one, two = result.dataset["cases"]
    assert one["patient_id"] == two["patient_id"] == "P1" and one["source"]["separated_by"].startswith("Temporal")
    assert {one["id"].rsplit("_")[-1], two["id"].rsplit("_")[-1]} == {"phase-1", "phase-2"}
    values = {case["id"][-1]: voxels(tmp_path / "out", case["image"]) for case in (one, two)}
    for phase in (1, 2):
        assert np.array_equal(values[str(phase)], Ct().coded() + 1000 * phase + CODED_INTERCEPT)
    assert all(len(case["rois"]) == 1 and any("several volumes" in r for r in case["repairs"]) for case in (one, two))


def test_gaps_and_tilt_on_request(tmp_path):
    make_patient(tmp_path / "in", Ct(shape=(20, 14, 9)))
    for path in (tmp_path / "in" / "P1 1").iterdir():
        if b".7\0" in path.read_bytes()[:600]:  # SOPInstanceUID of slice 6
            path.unlink()
    assert convert(tmp_path / "in", tmp_path / "refused", options=OPTIONS).exit_code == 3
    asked = replace(OPTIONS, stack=StackOptions(gaps="resample"))
    (case,) = convert(tmp_path / "in", tmp_path / "out", options=asked).dataset["cases"]
    image = voxels(tmp_path / "out", case["image"])
    coded = Ct(shape=(20, 14, 9)).coded() + CODED_INTERCEPT  # linear along k, so nothing is lost
    assert np.array_equal(image, coded) and any("interpolated" in one for one in case["repairs"])
    expected = np.zeros(image.shape)
    expected[2:6, 3:9, 2:5] = 1
    assert np.array_equal(voxels(tmp_path / "out", case["rois"][0]["file"]), expected)


def test_an_earlier_result_inside_the_source_costs_nothing(tmp_path):
    make_patient(tmp_path / "in", CT)
    convert(tmp_path / "in", tmp_path / "in" / "first", options=OPTIONS)
    result = convert(tmp_path / "in", tmp_path / "second", options=OPTIONS)
    assert result.exit_code == 0 and len(result.dataset["cases"]) == 1
