"""dataset.json: what is read back, what is refused, and files that contradict it."""

import json

import nibabel as nib
import numpy as np
import pytest
from prepared import make_prepared

from data_prep.dataset import check_files, read_dataset, write_dataset
from data_prep.errors import DatasetError


def test_written_and_read_back(tmp_path):
    cases = read_dataset(make_prepared(tmp_path / "a"))["cases"]
    (tmp_path / "b").mkdir()
    written = write_dataset(tmp_path / "b", cases[::-1], [{"what": "series", "reason": "…"}])
    assert read_dataset(tmp_path / "b" / "dataset.json") == written
    assert [case["id"] for case in written["cases"]] == ["P1", "P2", "P3"]


def spoiled(folder, spoil):
    make_prepared(folder, patients=1)
    dataset = json.loads((folder / "dataset.json").read_text())
    spoil(dataset)
    (folder / "dataset.json").write_text(json.dumps(dataset))
    return folder


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda d: d.update(schema_version="2.0"), r"schema_version 2\.0"),
        (lambda d: d.pop("schema_version"), "schema_version None"),
        (lambda d: d.pop("cases"), "no list `cases`"),
        (lambda d: d["cases"][0].pop("image"), "lacks image"),
        (lambda d: d["cases"].append(7), "lacks id"),
        (lambda d: d["cases"][0]["rois"][0].pop("file"), "lacks file"),
        (lambda d: d["cases"][0].update(rois=None), "rois of a case .* wanted a list"),
        (lambda d: d["cases"][0].update(spacing_mm=[1]), "spacing_mm .* three numbers"),
        (lambda d: d["cases"][0].update(spacing_mm=["1", 1, 1]), "spacing_mm .* three numbers"),
        (lambda d: d["cases"][0].update(shape=[1.5, 2, 2]), "shape .* three whole numbers"),
        (lambda d: d["cases"][0].update(patient_id=7), "patient_id .* wanted text"),
        (lambda d: d["cases"][0].update(image=None), "image .* wanted text"),
        (lambda d: d["cases"][0]["rois"][0].update(label=[]), "label .* wanted text or null"),
        (lambda d: d["cases"][0]["rois"][0].update(file=3), "file .* wanted text or null"),
        (lambda d: d["cases"][0].update(image="../elsewhere.nii.gz"), "outside its own folder"),
        (lambda d: d["cases"][0]["rois"][0].update(file="/etc/passwd"), "outside its own folder"),
    ],
)
def test_contradictions_are_named(tmp_path, spoil, named):
    with pytest.raises(DatasetError, match=named):
        read_dataset(spoiled(tmp_path, spoil))


@pytest.mark.parametrize("content", ["{", "[]", "\udcff"])
def test_no_json_is_named(tmp_path, content):
    (tmp_path / "dataset.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DatasetError, match=r"dataset\.json"):
        read_dataset(tmp_path)


def test_a_missing_dataset_says_how_to_make_one(tmp_path):
    with pytest.raises(DatasetError, match="lungseg-prep dicom2nifti"):
        read_dataset(tmp_path / "dataset.json")


def test_files_that_fit_are_no_problem(tmp_path):
    assert check_files(make_prepared(tmp_path)) == []


def test_missing_files_and_foreign_grids_are_found_by_their_headers(tmp_path):
    make_prepared(tmp_path)
    masks = tmp_path / "P1" / "masks"
    (masks / "Lung-Right.nii.gz").unlink()
    whole = nib.load(masks / "Lung-Left.nii.gz")
    affine = whole.affine.copy()
    affine[0, 3] += 1
    nib.save(nib.Nifti1Image(np.asarray(whole.dataobj), affine), masks / "Lung-Left.nii.gz")
    cropped = nib.load(tmp_path / "P2" / "masks" / "Lung-Left.nii.gz")
    nib.save(
        nib.Nifti1Image(np.asarray(cropped.dataobj)[1:], cropped.affine), tmp_path / "P2" / "masks" / "Lung-Left.nii.gz"
    )
    (tmp_path / "P3" / "image.nii.gz").write_bytes(b"no gzip")
    problems = "\n".join(check_files(tmp_path / "dataset.json"))
    assert "P1/masks/Lung-Right.nii.gz is missing" in problems
    assert "P1/masks/Lung-Left.nii.gz lies on another grid" in problems
    assert "P2/masks/Lung-Left.nii.gz has shape" in problems
    assert "P3/image.nii.gz is no readable NIfTI" in problems
    assert problems.count("\n") == 3
