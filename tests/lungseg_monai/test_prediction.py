"""Masks on the original grid, one bad case at its own cost, and a journal that lets a stopped run go on."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
from prepared import make_prepared
from workflows import predict, workflow

from lungseg_monai.errors import (
    CheckpointError,
    ConfigError,
    DatasetError,
    IncompleteError,
    NothingToDoError,
    UsageError,
)
from lungseg_monai.io import write_masks
from lungseg_monai.networks import GaoUNet
from lungseg_monai.prediction import cases_to_predict

NAME = "ct_lung_unet2d"
NUMBERS = {"spatial_size": [64, 96], "window_hu": [-1000, 400], "width": 2}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return make_prepared(tmp_path_factory.mktemp("prepared"), split_sections={"training": [0], "test": [1, 2]})


def air_detector() -> GaoUNet:
    """Weights that do nothing but tell -450 HU or less (logit above 0) from more, pixel by pixel."""
    network = GaoUNet(width=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        encoder, decoder = network.encoder1, network.decoder1
        encoder[0].weight[0, 0, 1, 1] = 1  # image -> channel 0
        encoder[4].weight[0, 0, 1, 1] = 1
        decoder[0].weight[0, 0, 1, 1] = 1  # the skip's channel 0
        decoder[4].weight[0, 0, 1, 1] = 1
        for block in (encoder, decoder):
            block[1].weight.fill_(1)
            block[5].weight.fill_(1)
        network.out.weight[0, 0, 0, 0] = -100
        network.out.bias.fill_(100 * 550 / 1400)
    return network


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "air.pt"
    torch.save({"model": air_detector().state_dict(), "numbers": NUMBERS}, path)
    return path


@pytest.fixture
def options(prepared, checkpoint):
    return {"dataset_dir": str(prepared), "checkpoint": str(checkpoint)}


def causes(error):
    while error is not None:
        yield error
        error = error.__cause__


def raised(error, kind):
    return next(cause for cause in causes(error.value) if isinstance(cause, kind))


def test_the_mask_lies_where_the_air_is(prepared, options, tmp_path):
    """Oblique and upright, other sizes than the network's: a threshold comes back as the same threshold."""
    folder = predict(NAME, tmp_path, **options)
    for case in ("P1", "P2", "P3"):
        image, mask = nib.load(prepared / case / "image.nii.gz"), nib.load(folder / case / "lungs.nii.gz")
        assert mask.shape == image.shape and mask.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(mask.affine, image.affine)
        assert mask.header["qform_code"] == mask.header["sform_code"] == 1
        air, found = np.asarray(image.dataobj) < -450, np.asarray(mask.dataobj) > 0
        assert 2 * (air & found).sum() / (air.sum() + found.sum()) > 0.97


def test_the_journal(options, tmp_path, checkpoint):
    folder = predict(NAME, tmp_path, sections=["training", "test"], **options)
    journal = json.loads((folder / "predictions.json").read_text())
    assert [(case["case_id"], case["section"]) for case in journal["cases"]] == [
        ("P1", "training"), ("P2", "test"), ("P3", "test")
    ]  # fmt: skip
    assert journal["cases"][0]["files"] == {"lungs": "P1/lungs.nii.gz"} and journal["cases"][0]["slices"] is None
    assert journal["checkpoint"]["file"] == "air.pt" and len(journal["checkpoint"]["sha256"]) == 64
    assert journal["labels"] == {"lungs": ["lung_left", "lung_right"]} and journal["split"]["by"] == "patient"
    assert journal["refused"] == []


def test_a_second_call_predicts_only_what_is_new(options, tmp_path):
    folder = predict(NAME, tmp_path, sections=["test"], **options)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.nii.gz")}
    predict(NAME, tmp_path, **options)
    assert len(before) == 2 and all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert len(json.loads((folder / "predictions.json").read_text())["cases"]) == 3
    predict(NAME, tmp_path, threshold=0.4, **options)
    assert all(path.stat().st_mtime_ns > time for path, time in before.items())


def test_a_case_of_two_sections_is_predicted_once_and_stands_twice(checkpoint, tmp_path):
    prepared = make_prepared(tmp_path / "prepared", patients=1, split_sections={"training": [0], "test": [0]})
    lists = json.loads((prepared / "datalist.json").read_text())
    lists["training"][0]["slices"], lists["test"][0]["slices"] = [[0, 9]], [[11, 16]]
    (prepared / "datalist.json").write_text(json.dumps(lists))
    folder = predict(NAME, tmp_path / "run", dataset_dir=str(prepared), checkpoint=str(checkpoint))
    cases = json.loads((folder / "predictions.json").read_text())["cases"]
    assert [(case["section"], case["slices"]) for case in cases] == [("training", [[0, 9]]), ("test", [[11, 16]])]
    assert cases[0]["seconds"] == cases[1]["seconds"]


def test_one_bad_case_costs_no_other(prepared, checkpoint, tmp_path):
    damaged = tmp_path / "prepared"
    shutil.copytree(prepared, damaged)
    image = damaged / "P2" / "image.nii.gz"
    image.write_bytes(image.read_bytes()[:4000])
    with pytest.raises(RuntimeError) as error:
        predict(NAME, tmp_path / "run", dataset_dir=str(damaged), checkpoint=str(checkpoint))
    assert "P2" in str(raised(error, IncompleteError))
    journal = json.loads((tmp_path / "run" / "predictions" / "predictions.json").read_text())
    assert [case["case_id"] for case in journal["cases"]] == ["P1", "P3"]
    assert [entry["case_id"] for entry in journal["refused"]] == ["P2"]
    assert not list((tmp_path / "run").rglob("P2/*"))


def test_images_without_a_dataset(prepared, checkpoint, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(prepared / "P1" / "image.nii.gz", tmp_path / "in" / "first.nii.gz")
    nib.save(nib.load(prepared / "P2" / "image.nii.gz"), tmp_path / "second.nii")
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    images = [str(tmp_path / "in"), str(tmp_path / "second.nii")]
    folder = predict(NAME, tmp_path / "out", images=images, checkpoint=str(checkpoint))
    cases = json.loads((folder / "predictions.json").read_text())["cases"]
    assert [(case["case_id"], case["section"]) for case in cases] == [("first", None), ("second", None)]
    assert nib.load(folder / "second" / "lungs.nii.gz").shape == nib.load(tmp_path / "second.nii").shape


def test_images_that_can_not_be_told_apart_or_read(prepared, tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"junk")
    with pytest.raises(NothingToDoError, match=r"a\.nii\.gz"):
        cases_to_predict(None, images=[str(tmp_path / "a.nii.gz")])
    with pytest.raises(NothingToDoError, match="missing"):
        cases_to_predict(None, images=[str(tmp_path / "none.nii.gz")])
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(prepared / "P1" / "image.nii.gz", tmp_path / folder / "ct.nii.gz")
    with pytest.raises(UsageError, match="both be predicted as ct"):
        cases_to_predict(None, images=[str(tmp_path / "a"), str(tmp_path / "b")])


def test_images_anywhere_below_a_folder_are_named_apart(prepared, tmp_path):
    shutil.copytree(prepared / "P1", tmp_path / "P1")
    shutil.copytree(prepared / "P1" / "masks", tmp_path / "predictions" / "P1")
    assert [case.case_id for case in cases_to_predict(None, images=[str(tmp_path)]).cases] == ["P1"]
    lists = cases_to_predict(None, images=[str(prepared)])
    assert [case.case_id for case in lists.cases] == ["P1", "P2", "P3"]  # and no masks
    assert [case.case_id for case in cases_to_predict(None, images=[str(prepared / "P2/image.nii.gz")]).cases] == ["P2"]


@pytest.mark.parametrize(
    "wrong", [{"threshold": 3}, {"keep_largest": -1}, {"batch_size": 0}, {"spatial_size": [33, 32]},
              {"labels": {"../x": ["lung_left"]}}]
)  # fmt: skip
def test_options_that_can_not_be_right_are_told_before_anything_is_written(options, tmp_path, wrong):
    with pytest.raises(RuntimeError) as error:
        predict(NAME, tmp_path / "run", **options, **wrong)
    assert raised(error, ConfigError)
    assert not (tmp_path / "run").exists()


def test_an_image_with_nan_is_refused_with_its_reason(prepared, checkpoint, tmp_path):
    image = nib.load(prepared / "P1" / "image.nii.gz")
    voxels = np.asarray(image.dataobj).astype(np.float32)
    voxels[3] = np.nan
    nib.save(nib.Nifti1Image(voxels, image.affine), tmp_path / "ct.nii.gz")
    with pytest.raises(RuntimeError) as error:
        predict(NAME, tmp_path / "run", images=[str(tmp_path / "ct.nii.gz")], checkpoint=str(checkpoint))
    assert "no finite numbers" in str(raised(error, NothingToDoError))


def test_an_unknown_or_empty_section(prepared):
    with pytest.raises(UsageError, match="there are: training, validation, test"):
        cases_to_predict(prepared, ["tests"])
    with pytest.raises(NothingToDoError, match="no case in validation"):
        cases_to_predict(prepared, ["validation"])


def test_the_fold_that_was_held_out_is_the_validation_section(tmp_path):
    prepared = make_prepared(tmp_path / "prepared", split_sections={"training": [0, 1, 2]})
    assert cases_to_predict(prepared, fold=1).case_ids()["validation"] == []
    lists = json.loads((prepared / "datalist.json").read_text())
    lists["split"]["folds"] = 3
    for number, entry in enumerate(lists["training"]):
        entry["fold"] = number
    (prepared / "datalist.json").write_text(json.dumps(lists))
    assert cases_to_predict(prepared, fold=1).case_ids()["validation"] == ["P2"]


def test_without_a_checkpoint_the_way_to_one_is_told(prepared, tmp_path):
    made = workflow(NAME, "inference.yaml", kind="infer", dataset_dir=str(prepared), output_dir=str(tmp_path))
    with pytest.raises(RuntimeError) as error:
        made.run()
    assert "Train first" in str(raised(error, CheckpointError))


def test_masks_are_cleaned_by_size_place_and_number_of_pieces(prepared, options, tmp_path):
    """The air detector finds the air round the body too, in several pieces."""
    from scipy.ndimage import label

    def mask(name, **cleaning):
        folder = predict(NAME, tmp_path / name, sections=["training"], **options, **cleaning)
        return np.asarray(nib.load(folder / "P1" / "lungs.nii.gz").dataobj) > 0

    whole = mask("whole")
    assert label(mask("largest", keep_largest=1), np.ones((3, 3, 3)))[1] == 1
    assert not mask("area", least_area_mm2=1e6).any()
    near = mask("near", within_mm=[60, 60])  # each lung lies farther aside
    assert near.sum() < whole.sum() and not (near & ~whole).any()
    filled = mask("filled", fill_holes_mm2=1e6)  # the air round the body closes it in
    assert filled.sum() > whole.sum() and not (whole & ~filled).any()


@pytest.mark.parametrize("wrong", ["shape", "affine", "count"])
def test_a_mask_beside_its_image_is_never_written(prepared, tmp_path, wrong):
    image = nib.load(prepared / "P2" / "image.nii.gz")
    masks, affine = np.zeros((1, *image.shape), np.uint8), image.affine.copy()
    if wrong == "shape":
        masks = masks[:, ::2]
    if wrong == "affine":
        affine[:, 0] *= -1
    names = ["lungs"] if wrong != "count" else ["lungs", "heart"]
    with pytest.raises(DatasetError, match="not on its grid"):
        write_masks(tmp_path / "P2", masks, affine, names, prepared / "P2" / "image.nii.gz")
    assert not (tmp_path / "P2").exists()
