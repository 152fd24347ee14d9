"""lungs.png at the own size, rules and conventions, a bad picture at its own cost, a journal to go on from."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from prepared import make_prepared
from prepared_radiographs import film, lungs, make_radiographs, save
from workflows import predict

from lungseg_monai.errors import (
    CheckpointError,
    ConfigError,
    DatasetError,
    IncompleteError,
    NothingToDoError,
    UsageError,
)
from lungseg_monai.networks import CxrUNet
from lungseg_monai.picture_prediction import (
    convention_of,
    picture_items,
    pictures_to_predict,
    rules_for,
)
from lungseg_monai.postprocessing_cxr import RULES, CxrRules
from lungseg_monai.training.runs import find_checkpoint
from lungseg_monai.transforms.lung_masks import LungMaskd, lung_probability

NAME = "cxr_lung_unet"
NUMBERS = {
    "labels": {"lungs": ["lungs"]}, "fold": None, "spatial_size": [64, 80], "steps": "recommended", "n_filters": 1,
    "dropout": 0.0, "batch_normalization": False, "convention": "visible",
}  # fmt: skip


def dark_detector() -> CxrUNet:
    """Weights that tell dark from bright, pixel by pixel."""
    network = CxrUNet(n_filters=1, dropout_rate=0.0, batch_normalization=False)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        down, up = (
            [one for one in block.modules() if isinstance(one, torch.nn.Conv2d)]
            for block in (network.down1, network.up1)
        )
        for layer, channel in ((down[0], 0), (down[1], 0), (up[0], 1), (up[1], 0)):  # 1: what was before pooling
            layer.weight[0, channel, 1, 1] = 1
        network.out.weight[0, 0, 0, 0] = -30
        network.out.bias.fill_(15)
    return network


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return make_radiographs(tmp_path_factory.mktemp("radiographs"), sections={"training": [0], "test": [1, 2]})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "checkpoints" / "best.pt"
    path.parent.mkdir()
    torch.save({"model": dark_detector().state_dict(), "numbers": NUMBERS, "bundle": NAME}, path)
    return path


@pytest.fixture
def options(prepared, checkpoint):
    return {"dataset_dir": str(prepared), "checkpoint": str(checkpoint)}


def raised(error, kind):
    cause = error.value
    while not isinstance(cause, kind):
        cause = cause.__cause__
    return cause


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def journal_of(folder):
    return json.loads((folder / "predictions.json").read_text())


def test_lungs_come_back_where_they_are_with_their_sides(prepared, options, checkpoint, tmp_path):
    folder = predict(NAME, tmp_path, **{**options, "checkpoint": str(checkpoint.parents[1])})  # a run's folder
    for case in ("X1", "X2", "X3"):
        found, wanted = pixels(folder / case / "lungs.png"), lungs(pixels(prepared / case / "image.png").shape)
        assert found.dtype == np.uint8 and found.shape == wanted.shape
        for side in (1, 2):
            both = (found == side) & (wanted == side)
            assert 2 * both.sum() / ((found == side).sum() + (wanted == side).sum()) > 0.94
    journal = journal_of(folder)
    assert journal["convention"] == "visible" and journal["values"] == {"1": "lung_right", "2": "lung_left"}
    assert journal["labels"] == {"lungs": ["lungs"]} and journal["options"]["rules"] == RULES["recommended"].as_dict()
    assert [(case["case_id"], case["section"]) for case in journal["cases"]] == [
        ("X1", "training"), ("X2", "test"), ("X3", "test")
    ]  # fmt: skip
    codes = {case["case_id"]: [flag["code"] for flag in case["flags"]] for case in journal["cases"]}
    assert codes == {"X1": ["side_assumed"], "X2": [], "X3": ["side_assumed"]}  # X2 says which side hangs where


def test_going_on_keeps_masks_and_flags_and_other_rules_make_all_anew(options, tmp_path):
    folder = predict(NAME, tmp_path, sections=["test"], **options)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}
    flags = [case["flags"] for case in journal_of(folder)["cases"]]
    predict(NAME, tmp_path, **options)
    assert len(before) == 2 and all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert [case["flags"] for case in journal_of(folder)["cases"]][1:] == flags
    predict(NAME, tmp_path, rules="paper", save_probabilities=True, **options)
    assert all(path.stat().st_mtime_ns > time for path, time in before.items())
    journal = journal_of(folder)
    assert journal["values"] == {"1": "lungs"} and journal["cases"][0]["probability"] == "X1/probability.png"
    probability = pixels(folder / "X1" / "probability.png")
    assert probability.dtype == np.uint16 and probability.shape == pixels(folder / "X1" / "lungs.png").shape
    assert (probability[lungs(probability.shape) > 0] > 40000).mean() > 0.9


def test_pictures_without_a_dataset(prepared, checkpoint, tmp_path):
    save(tmp_path / "in" / "a.png", film(lungs((70, 99))))
    save(tmp_path / "in" / "b.jpg", np.repeat(film(lungs((81, 75)))[..., None], 3, axis=2))
    save(tmp_path / "in" / "overlay.png", film(lungs((70, 99))))
    (tmp_path / "in" / "broken.png").write_bytes((tmp_path / "in" / "a.png").read_bytes()[:700])
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    with pytest.raises(RuntimeError) as error:
        predict(NAME, tmp_path / "out", images=[str(tmp_path / "in")], checkpoint=str(checkpoint))
    assert "broken" in str(raised(error, IncompleteError))
    folder = tmp_path / "out" / "predictions"
    assert [(case["case_id"], case["section"]) for case in journal_of(folder)["cases"]] == [("a", None), ("b", None)]
    assert pixels(folder / "b" / "lungs.png").shape == (81, 75)
    assert [case.case_id for case in pictures_to_predict(None, images=[str(prepared)]).cases] == ["X1", "X2", "X3"]


def test_what_is_no_radiograph_is_named(tmp_path):
    with pytest.raises(NothingToDoError, match="missing"):
        pictures_to_predict(None, images=[str(tmp_path / "none.png")])
    (tmp_path / "a.dcm").write_bytes(b"x")
    with pytest.raises(NothingToDoError, match=r"a\.dcm is no PNG.*--model cxr_lung_fcnn"):
        pictures_to_predict(None, images=[str(tmp_path / "a.dcm")], bundle="cxr_lung_fcnn")
    for folder in ("a", "b"):
        save(tmp_path / folder / "x.png", film(lungs((40, 50))))
    with pytest.raises(UsageError, match="both be predicted as x"):
        pictures_to_predict(None, images=[str(tmp_path / "a"), str(tmp_path / "b")])
    ct = make_prepared(tmp_path / "ct")
    with pytest.raises(NothingToDoError, match=r"holds no radiograph; image\.nii\.gz is no PNG"):
        pictures_to_predict(ct)


def test_a_damaged_picture_of_a_dataset_costs_no_other(prepared, checkpoint, tmp_path):
    damaged = tmp_path / "prepared"
    shutil.copytree(prepared, damaged)
    image = damaged / "X2" / "image.png"
    image.write_bytes(image.read_bytes()[:900])
    with pytest.raises(RuntimeError) as error:
        predict(NAME, tmp_path / "run", dataset_dir=str(damaged), checkpoint=str(checkpoint))
    assert "X2" in str(raised(error, IncompleteError))
    journal = journal_of(tmp_path / "run" / "predictions")
    assert [case["case_id"] for case in journal["cases"]] == ["X1", "X3"]
    assert "can't be read" in journal["refused"][0]["reason"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"rules": "best"}, "there are no rules"), ({"rules": {"threshold": 0.5}}, "threshold not known"),
     ({"convention": "radiological"}, "no convention"), ({"spatial_size": [30, 32]}, "divisible by 16"),
     ({"labels": {"a": ["x"], "b": ["y"]}}, "one target"), ({"threads": 0}, "threads must be")],
)  # fmt: skip
def test_options_that_can_not_be_right_are_told_before_anything_is_written(options, tmp_path, wrong, told):
    with pytest.raises(RuntimeError) as error:
        predict(NAME, tmp_path / "run", **options, **wrong)
    assert told in str(raised(error, ConfigError))
    assert not (tmp_path / "run").exists()


def test_conventions_by_rules():
    assert rules_for("recommended", "visible") == rules_for("recommended", "visible", "visible") == RULES["recommended"]
    completed = rules_for({"opening": 0.0}, "visible", "anatomical")
    assert completed == CxrRules(opening=0.0, complete="both")
    assert convention_of(completed, "visible") == convention_of(CxrRules(), "anatomical") == "anatomical"
    assert rules_for("recommended", "anatomical", "anatomical") == RULES["recommended"]
    assert rules_for("recommended", None) == RULES["recommended"] and convention_of(CxrRules(), None) is None
    for rules, trained in (("recommended", "anatomical"), ({"complete": "left"}, "visible")):
        with pytest.raises(ConfigError, match="can't be made visible again"):
            rules_for(rules, trained, "visible")
    with pytest.raises(ConfigError, match="do not say"):
        rules_for("recommended", None, "anatomical")
    with pytest.raises(ConfigError, match="needs sides"):
        rules_for("paper", "visible", "anatomical")


def test_anatomical_masks_hold_more_lung_and_say_so(options, tmp_path):
    visible = predict(NAME, tmp_path / "a", sections=["test"], **options)
    anatomical = predict(NAME, tmp_path / "b", sections=["test"], convention="anatomical", **options)
    assert journal_of(anatomical)["convention"] == "anatomical"
    one, other = pixels(visible / "X3" / "lungs.png"), pixels(anatomical / "X3" / "lungs.png")
    assert ((one == 1) <= (other == 1)).all() and ((one == 2) <= (other == 2)).all()
    assert (other > 0).sum() > (one > 0).sum()


def test_mirrored_films_are_told_by_their_orientation(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "p")
    dataset = json.loads((tmp_path / "p" / "dataset.json").read_text())
    dataset["cases"][2]["orientation"] = "R/F"
    (tmp_path / "p" / "dataset.json").write_text(json.dumps(dataset))
    assert [item["mirrored"] for item in picture_items(pictures_to_predict(tmp_path / "p"))] == [-1, 0, 1]
    logits = torch.from_numpy(np.where(lungs((64, 80)) > 0, 9.0, -9.0))[None]
    item = {"pred": logits, "shape_hw": [90, 110], "mirrored": 0}
    upright, mirrored = (LungMaskd("pred", CxrRules())({**item, "mirrored": one})["pred"] for one in (0, 1))
    assert np.array_equal(np.array([0, 2, 1])[upright], np.asarray(mirrored))


def test_one_channel_and_two_classes_give_the_same_probability():
    logits = torch.randn(1, 12, 9)
    two = torch.cat([torch.full_like(logits, 0.7), logits + 0.7])
    np.testing.assert_allclose(lung_probability(logits), lung_probability(two), atol=1e-6)
    with pytest.raises(ConfigError, match="3 channels"):
        lung_probability(torch.zeros(3, 4, 4))


def test_checkpoints_by_file_and_by_run(checkpoint, tmp_path):
    assert find_checkpoint(None, checkpoint.parents[1]) == find_checkpoint(None, checkpoint) == checkpoint
    with pytest.raises(CheckpointError, match=r"holds no checkpoints/best\.pt"):
        find_checkpoint(None, tmp_path)
    assert find_checkpoint(tmp_path) is None


def test_a_mask_of_another_size_is_never_written(prepared, tmp_path):
    from lungseg_monai.picture_prediction import write_picture

    (case, *_) = pictures_to_predict(prepared).cases
    with pytest.raises(DatasetError, match=r"\[1, 5, 5\] pixels, wanted \[1, 96, 120\]"):
        write_picture({"pred": torch.zeros(1, 5, 5), "flags": []}, tmp_path, ["lungs"], case)
    assert not list(tmp_path.iterdir())
