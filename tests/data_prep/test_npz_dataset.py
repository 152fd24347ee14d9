"""Gao's data set as it came: DICOM folders and an NPZ a case, straight to a folder to train on; one bad case costs
itself alone."""

import json

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import Ct, write_ct
from PIL import Image

from data_prep.cli import main
from data_prep.errors import NothingToDoError
from data_prep.npz_dataset import is_npz_dataset, prepare_npz
from data_prep.options import ConvertOptions

SHAPE = (8, 6, 5)  # columns, rows, slices


def lungs():
    """[slices, rows, columns]: two lungs, none on the first slice."""
    mask = np.zeros((5, 6, 8), np.uint8)
    mask[1:, 1:4, 1:3] = 1
    mask[1:4, 2:5, 5:7] = 1
    return mask


def write_case(root, number, stored=None, **arrays):
    """Case_00<number> as the paper has it, its NPZ holding `arrays`, if any."""
    ct = Ct(shape=SHAPE, patient=f"P{number}", series=str(number + 1))
    write_ct(root / "Images" / f"Case_{number:03d}", ct, stored)
    masks = root / "Segmentations"
    masks.mkdir(exist_ok=True)
    if arrays:
        np.savez_compressed(masks / f"Case_{number:03d}_seg.npz", **arrays)


def prepare(tmp_path, **options):
    return prepare_npz(tmp_path / "Dataset", tmp_path / "out", ConvertOptions(salt=b"salt" * 8, **options))


def read_mask(folder, roi):
    return np.asarray(nib.load(folder / roi["file"]).dataobj)


@pytest.mark.parametrize(
    "arrays",
    [
        {"arr_0": lungs()},
        {"masks": lungs().astype(bool)},
        {"mask": lungs() * 255},
        {"segmentation": lungs().transpose(1, 2, 0).astype(np.float64)},
        {"whatever": lungs()[..., None]},
        {"masks": lungs(), "spacing": np.ones(3)},
        {"lungs": lungs(), "heart": 1 - lungs()},
    ],
    ids=lambda arrays: " ".join(arrays),
)  # fmt: skip
def test_any_key_and_type_becomes_the_mask_of_both_lungs(arrays, tmp_path):
    write_case(tmp_path / "Dataset", 0, **arrays)
    case = prepare(tmp_path).converted.dataset["cases"][0]
    (roi,) = [one for one in case["rois"] if one["label"] == "lungs"]
    assert np.array_equal(read_mask(tmp_path / "out", roi), lungs().transpose(2, 1, 0))


def test_values_of_two_lungs_are_united_and_that_is_said(tmp_path):
    mask = lungs()
    mask[:, :, 4:] *= 2
    write_case(tmp_path / "Dataset", 0, masks=mask)
    (roi,) = prepare(tmp_path).converted.dataset["cases"][0]["rois"]
    assert np.array_equal(read_mask(tmp_path / "out", roi), lungs().transpose(2, 1, 0))
    assert any("1 and 2 were united" in flag for flag in roi["flags"])


def pickled():
    return np.array([lungs(), None], dtype=object)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"masks": np.concatenate([lungs(), lungs()])}, "more masks than slices"),
        ({"masks": lungs()[:3]}, "fewer masks than slices"),
        ({"masks": np.stack([lungs()] * 3, axis=-1)}, "it holds colours"),
        ({"masks": lungs()[:, :4]}, "5 slices of 6 rows and 8 columns"),
        ({"masks": lungs() * 3}, "0, 1 and 2"),
        ({"masks": lungs() - 0.5}, "no mask"),
        ({"masks": lungs() * 0}, "marks no voxel"),
        ({"masks": pickled()}, "never loaded"),
        ({"one": lungs(), "two": lungs()}, "which one is the lungs can't be told"),
        ({"mask": lungs(), "labels": lungs()}, "which one is the lungs can't be told"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_bad_archive_is_named_and_costs_no_other_case(arrays, told, tmp_path):
    for number in range(3):
        write_case(tmp_path / "Dataset", number, arr_0=lungs())
    write_case(tmp_path / "Dataset", 3, **arrays)
    result = prepare(tmp_path)
    assert result.exit_code == 1
    assert told in " ".join(str(roi["reason"]) for roi in result.converted.dataset["cases"][3]["rois"])
    assert told in result.table()
    assert [len(result.datalist[name]) for name in ("training", "validation", "test")] == [2, 0, 1]


def test_pictures_are_no_ct(tmp_path):
    root = tmp_path / "Dataset"
    for number in range(3):
        write_case(root, number, masks=lungs())
    write_case(root, 3, stored=np.full(SHAPE, 1124), masks=lungs())  # 100 HU: nothing is lighter than water
    (root / "Images" / "Case_004").mkdir()
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(root / "Images" / "Case_004" / "slice1.png")
    result = prepare(tmp_path)
    assert result.exit_code == 1 and len(result.converted.converted) == 3
    assert "Images/Case_003: its values go from 100 to 100, as those of an 8-bit picture" in result.table()
    assert "1 picture(s) in Images/Case_004" in result.table()


def test_a_folder_of_pictures_alone_says_so(tmp_path):
    root = tmp_path / "Dataset"
    (root / "Case_000").mkdir(parents=True)
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(root / "Case_000" / "1.png")
    with pytest.raises(NothingToDoError, match="holds no NPZ"):
        prepare(tmp_path)
    np.savez(root / "Case_000" / "m.npz", lungs())
    result = prepare(tmp_path)
    assert result.exit_code == 3 and "picture(s) in Case_000" in result.table()


def test_a_case_without_archive_is_named(tmp_path):
    write_case(tmp_path / "Dataset", 0, masks=lungs())
    write_case(tmp_path / "Dataset", 1)
    result = prepare(tmp_path)
    assert any(line.startswith("case P1 has no mask") for line in result.problems)
    assert any("no split" in line for line in result.problems) and result.datalist is None


def test_the_command_says_what_is_there_and_a_split_of_ones_own_stays(tmp_path, capsys):
    for number in range(4):
        write_case(tmp_path / "Dataset", number, arr_0=lungs())
    given = ["npz", str(tmp_path / "Dataset"), str(tmp_path / "out"), "--jobs", "0", "--json"]
    given += ["--salt-file", str(tmp_path / "salt")]
    assert main([*given, "--ratio", "1:1", "--val", "0.5"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [len(first["split"][name]) for name in ("training", "validation", "test")] == [1, 1, 2]
    assert main(given) == 0
    assert json.loads(capsys.readouterr().out)["split"] == first["split"]
    assert main([*given, "--ratio", "3:1"]) == 0
    assert len(json.loads(capsys.readouterr().out)["split"]["training"]) == 3


def test_it_knows_the_layout_and_leaves_prepared_folders_alone(tmp_path):
    write_case(tmp_path / "Dataset", 0, masks=lungs())
    assert is_npz_dataset(tmp_path / "Dataset")
    assert not is_npz_dataset(tmp_path / "Dataset" / "Images") and not is_npz_dataset(tmp_path / "none")
    prepare(tmp_path)
    assert not is_npz_dataset(tmp_path / "out")
