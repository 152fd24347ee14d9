"""nnU-Net's raw layout: the right voxels under the right values, the right cases on the right side, all or nothing."""

import json

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import tree
from prepared import make_prepared, write_datalist

from data_prep import nnunet
from data_prep.errors import DatasetError, NothingToDoError, UsageError
from data_prep.nifti import write_nifti
from data_prep.nnunet import write_nnunet

LUNGS = ["lung_right", "lung_left"]


@pytest.fixture
def prepared(tmp_path):
    """Three cases, P3 tests; P1 has a tumour that overlaps its left lung."""
    make_prepared(tmp_path)
    add_roi(tmp_path, "P1", "GTV", "gtv", slice(20, 40))
    return tmp_path


def change(folder, edit):
    dataset = json.loads((folder / "dataset.json").read_text())
    edit({case["id"]: case for case in dataset["cases"]}, dataset)
    (folder / "dataset.json").write_text(json.dumps(dataset))


def add_roi(folder, case, name, label, columns):
    image = nib.load(folder / case / "image.nii.gz")
    mask = np.zeros(image.shape, np.uint8)
    mask[columns, 15:25, 5:12] = 1
    write_nifti(folder / case / "masks" / f"{name}.nii.gz", mask, image.affine)
    entry = {"name": name, "label": label, "status": "ok", "file": f"{case}/masks/{name}.nii.gz"}
    change(folder, lambda cases, _: cases[case]["rois"].append(entry))


def voxels(path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def mask(folder, case, name) -> np.ndarray:
    return voxels(folder / case / "masks" / f"{name}.nii.gz") > 0


def test_labels_sides_and_description(prepared):
    result = write_nnunet(prepared, "Lungs", 501, LUNGS)
    folder = prepared / "nnUNet_raw" / "Dataset501_Lungs"
    assert result.folder == folder and result.exit_code == 0
    assert json.loads((folder / "dataset.json").read_text()) == {
        "name": "Lungs",
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "lung_right": 1, "lung_left": 2},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    assert sorted(tree(folder)) == [
        "dataset.json",
        *(f"images{side}/{name}_0000.nii.gz" for side, name in (("Tr", "P1"), ("Tr", "P2"), ("Ts", "P3"))),
        *(f"labels{side}/{name}.nii.gz" for side, name in (("Tr", "P1"), ("Tr", "P2"), ("Ts", "P3"))),
        "lungseg.json",
    ]
    for side, case in (("Tr", "P1"), ("Tr", "P2"), ("Ts", "P3")):
        label = nib.load(folder / f"labels{side}" / f"{case}.nii.gz")
        image = nib.load(prepared / case / "image.nii.gz")
        expected = mask(prepared, case, "Lung-Right") + 2 * mask(prepared, case, "Lung-Left")
        np.testing.assert_array_equal(voxels(label.get_filename()), expected)
        assert label.get_data_dtype() == np.uint8 and (label.affine == image.affine).all()
        copied = folder / f"images{side}" / f"{case}_0000.nii.gz"
        assert copied.read_bytes() == (prepared / case / "image.nii.gz").read_bytes()


def test_where_labels_overlap_the_later_one_wins_and_is_counted(prepared):
    result = write_nnunet(prepared, "Tumour", 502, ["lung_left", "gtv"])
    left, gtv = mask(prepared, "P1", "Lung-Left"), mask(prepared, "P1", "GTV")
    label = voxels(result.folder / "labelsTr" / "P1.nii.gz")
    np.testing.assert_array_equal(label, np.where(gtv, 2, left))
    count = int((left & gtv).sum())
    assert count > 0 and result.ledger["cases"][0]["overlaps"] == {"lung_left gtv": count}
    assert f"P1: {count} voxels lie in lung_left and gtv" in result.table()
    other = write_nnunet(prepared, "Other", 503, ["gtv", "lung_left"])
    np.testing.assert_array_equal(voxels(other.folder / "labelsTr" / "P1.nii.gz"), np.where(left, 2, gtv))


def test_cases_without_a_label_are_left_out_by_name(prepared):
    result = write_nnunet(prepared, "Tumour", 502, ["lung_left", "gtv"])
    assert result.ledger["left_out"] == [
        {"id": "P2", "reason": "has no gtv"},
        {"id": "P3", "reason": "has no gtv"},
    ]
    assert result.exit_code == 1 and "left out: P2 (has no gtv)" in result.table()
    with pytest.raises(NothingToDoError, match="P1 has no heart"):
        write_nnunet(prepared, "Heart", 504, ["heart"])
    assert not (prepared / "nnUNet_raw" / "Dataset504_Heart").exists()


def test_parts_are_united_unless_the_whole_is_there(prepared):
    add_roi(prepared, "P2", "Lungs", "lungs", slice(3, 9))
    result = write_nnunet(prepared, "Lungs", 501, ["lungs=lung_left+lung_right"])
    both = mask(prepared, "P1", "Lung-Left") | mask(prepared, "P1", "Lung-Right")
    np.testing.assert_array_equal(voxels(result.folder / "labelsTr" / "P1.nii.gz"), both)
    np.testing.assert_array_equal(voxels(result.folder / "labelsTr" / "P2.nii.gz"), mask(prepared, "P2", "Lungs"))


def test_masks_that_share_a_label_are_united(prepared):
    add_roi(prepared, "P1", "GTV-2", "gtv", slice(2, 6))
    result = write_nnunet(prepared, "Tumour", 502, ["gtv"])
    expected = mask(prepared, "P1", "GTV") | mask(prepared, "P1", "GTV-2")
    np.testing.assert_array_equal(voxels(result.folder / "labelsTr" / "P1.nii.gz"), expected)


def test_without_a_datalist_all_train_and_names_are_made_safe(prepared, tmp_path):
    (prepared / "datalist.json").unlink()

    def rename(cases, dataset):
        for old, new in (("P1", "Ä 1"), ("P2", "Ö 1")):
            cases[old]["id"] = new

    change(prepared, rename)
    result = write_nnunet(prepared, "Lungs", 1, LUNGS, out=tmp_path / "elsewhere")
    assert result.folder == tmp_path / "elsewhere" / "nnUNet_raw" / "Dataset001_Lungs"
    names = [case["name"] for case in result.ledger["cases"]]
    assert all(name.isascii() for name in names) and len(set(names)) == 3
    assert sorted(path.name for path in (result.folder / "labelsTr").iterdir()) == sorted(f"{n}.nii.gz" for n in names)
    assert [case["id"] for case in result.ledger["cases"]] == ["P3", "Ä 1", "Ö 1"]


def test_cases_on_no_list_are_left_out(prepared):
    datalist = json.loads((prepared / "datalist.json").read_text())
    write_datalist(prepared, {"training": datalist["training"][:1], "validation": [], "test": datalist["test"]})
    result = write_nnunet(prepared, "Lungs", 501, LUNGS)
    assert result.ledger["left_out"] == [{"id": "P2", "reason": "stands on no list of datalist.json"}]


def test_a_new_split_leaves_no_file_on_the_old_side(prepared):
    write_nnunet(prepared, "Lungs", 501, LUNGS)
    datalist = json.loads((prepared / "datalist.json").read_text())
    first, second = datalist["training"]
    write_datalist(prepared, {"training": [second], "validation": datalist["test"], "test": [first]})
    folder = write_nnunet(prepared, "Lungs", 501, LUNGS).folder
    assert [path.name for path in (folder / "imagesTs").iterdir()] == ["P1_0000.nii.gz"]
    assert sorted(path.name for path in (folder / "labelsTr").iterdir()) == ["P2.nii.gz", "P3.nii.gz"]
    assert [path.name for path in (prepared / "nnUNet_raw").iterdir()] == ["Dataset501_Lungs"]


def test_an_interrupted_run_goes_on_with_the_same_bytes(prepared, monkeypatch):
    whole = tree(write_nnunet(prepared, "Lungs", 501, LUNGS, out=prepared / "whole").folder)
    real, calls = nnunet.merge, []

    def interrupted(*arguments):
        calls.append(arguments[1])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(nnunet, "merge", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_nnunet(prepared, "Lungs", 501, LUNGS)
    assert not (prepared / "nnUNet_raw" / "Dataset501_Lungs").exists()
    folder = write_nnunet(prepared, "Lungs", 501, LUNGS).folder
    assert tree(folder) == whole
    assert calls == [f"{case}/image.nii.gz" for case in ("P1", "P2", "P2", "P3")]


def test_an_interrupted_run_of_other_input_starts_again(prepared, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(nnunet, "_finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_nnunet(prepared, "Lungs", 501, LUNGS)
    folder = write_nnunet(prepared, "Lungs", 501, LUNGS[::-1]).folder
    assert set(np.unique(voxels(folder / "labelsTr" / "P1.nii.gz")[mask(prepared, "P1", "Lung-Left")])) == {1}


def test_sheared_grids_and_masks_off_their_image_are_left_out(prepared):
    image = nib.load(prepared / "P1" / "image.nii.gz")
    affine = image.affine.copy()
    affine[1, 2] += 3
    for path in (prepared / "P1").rglob("*.nii.gz"):
        write_nifti(path, voxels(path), affine)
    moved = nib.load(prepared / "P2" / "masks" / "Lung-Left.nii.gz")
    shifted = moved.affine.copy()
    shifted[0, 3] += 1
    write_nifti(prepared / "P2" / "masks" / "Lung-Left.nii.gz", voxels(moved.get_filename()), shifted)
    result = write_nnunet(prepared, "Lungs", 501, LUNGS)
    reasons = {entry["id"]: entry["reason"] for entry in result.ledger["left_out"]}
    assert "sheared grid" in reasons["P1"] and "does not lie on its image's grid" in reasons["P2"]
    assert [case["id"] for case in result.ledger["cases"]] == ["P3"]


@pytest.mark.parametrize(
    ("name", "number", "labels"),
    [
        ("../evil", 501, LUNGS),
        ("", 501, LUNGS),
        ("Lungs", 0, LUNGS),
        ("Lungs", 1000, LUNGS),
        ("Lungs", 501, []),
        ("Lungs", 501, ["gtv", "gtv"]),
        ("Lungs", 501, ["background"]),
        ("Lungs", 501, ["lungs="]),
        ("Lungs", 501, ["a b"]),
    ],
)
def test_requests_that_make_no_sense(prepared, name, number, labels):
    with pytest.raises(UsageError):
        write_nnunet(prepared, name, number, labels)
    assert not (prepared / "nnUNet_raw").exists()


def test_what_is_not_ours_is_not_touched(prepared):
    folder = prepared / "nnUNet_raw" / "Dataset501_Lungs"
    folder.mkdir(parents=True)
    (folder / "mine").write_text("precious")
    with pytest.raises(UsageError, match="not made by lungseg-prep"):
        write_nnunet(prepared, "Lungs", 501, LUNGS)
    with pytest.raises(UsageError, match="has this number already"):
        write_nnunet(prepared, "Other", 501, LUNGS)
    assert (folder / "mine").read_text() == "precious"


def test_a_split_within_a_patient_and_a_damaged_one_are_refused(prepared):
    write_datalist(prepared, {"training": [], "validation": [], "test": []}, {"by": "slice"})
    with pytest.raises(UsageError, match="whole cases"):
        write_nnunet(prepared, "Lungs", 501, LUNGS)
    (prepared / "datalist.json").write_text("[]")
    with pytest.raises(DatasetError, match="damaged"):
        write_nnunet(prepared, "Lungs", 501, LUNGS)
