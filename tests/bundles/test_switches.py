"""The switches of training and inference, on one bundle: what they do to a run, folds averaged, an image changed."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest
from prepared import make_prepared
from workflows import predict, train, workflow

from lungseg_monai.bundle_command import causes
from lungseg_monai.errors import ConfigError
from lungseg_monai.training.checkpoints import read_checkpoint

NAME = "ct_lung_unet2d"
LABELS = {"r": ["lung_right"], "l": ["lung_left"]}
SWITCHES = {
    "schedule": "plateau", "plateau": 1, "early_stop": 1, "l1": 0.01, "l2": 0.5, "tensorboard": False,
    "augmentations": ["flip", "noise"], "learning_rate": 1e-12,
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    sections = {"training": [0], "validation": [1], "test": [2]}
    return make_prepared(tmp_path_factory.mktemp("prepared"), split_sections=sections)


@pytest.fixture(scope="module")
def runs(prepared, tmp_path_factory):
    """Two members: of another seed, one of them with every switch."""
    folder = tmp_path_factory.mktemp("runs")
    common = {"epochs": 4, "labels": LABELS, "spatial_size": [32, 48]}
    return [
        train(NAME, prepared, folder / "a", **common, **SWITCHES),
        train(NAME, prepared, folder / "b", **{**common, "epochs": 1, "seed": 1}),
    ]


def test_the_switches_of_a_training(runs):
    rows = [row for row in csv.DictReader((runs[0] / "curves.csv").open()) if row["split"] == "training"]
    rates = [float(row["learning_rate"]) for row in rows]
    assert len(rows) < 4 and rates[0] == 1e-12  # weights that hardly move gain nothing
    assert not (runs[0] / "tensorboard").exists() and (runs[1] / "tensorboard" / "training").is_dir()
    numbers = json.loads((runs[0] / "run.json").read_text())["numbers"]
    assert {name: numbers[name] for name in SWITCHES if name != "tensorboard"} == {
        name: value for name, value in SWITCHES.items() if name != "tensorboard"
    }


def test_a_run_that_had_no_such_numbers_is_gone_on_with(runs, prepared, tmp_path):
    import torch

    old = tmp_path / "run"
    (old / "checkpoints").mkdir(parents=True)
    content = read_checkpoint(runs[1] / "checkpoints" / "last.pt")
    new = ("l1", "l2", "early_stop", "plateau", "augmentations")
    content["numbers"] = {name: value for name, value in content["numbers"].items() if name not in new}
    torch.save(content, old / "checkpoints" / "last.pt")
    (old / "run.json").write_text((runs[1] / "run.json").read_text())
    made = workflow(
        NAME, "train.yaml", dataset_dir=str(prepared), output_dir=str(old), device="cpu", resume=True, epochs=2
    )
    made.run()
    assert json.loads((old / "run.json").read_text())["epochs_done"] == 2
    assert read_checkpoint(old / "checkpoints" / "last.pt")["numbers"]["l2"] == 0.0


def volumes(folder, *names):
    return [nib.load(folder / "P3" / f"{name}.nii.gz") for name in names]


def test_folds_are_averaged_and_where_they_differ_is_kept(runs, prepared, tmp_path):
    options = {"dataset_dir": str(prepared), "sections": ["test"], "save_uncertainty": True}
    folder = predict(NAME, tmp_path, checkpoint=[str(run) for run in runs], **options)
    image = nib.load(prepared / "P3" / "image.nii.gz")
    spread, right = volumes(folder, "uncertainty", "r")
    np.testing.assert_allclose(spread.affine, image.affine)
    values = spread.get_fdata()
    assert values.shape == image.shape == right.shape and 0 < values.max() <= 0.5
    journal = json.loads((folder / "predictions.json").read_text())
    assert journal["checkpoint"]["file"] == ["a/checkpoints/best.pt", "b/checkpoints/best.pt"]
    assert journal["cases"][0]["uncertainty"] == "P3/uncertainty.nii.gz"

    again = predict(NAME, tmp_path / "changed", checkpoint=str(runs[1]), tta=["flip", "rotation", "scale"], **options)
    assert volumes(again, "uncertainty")[0].get_fdata().max() > 0


def test_what_can_not_be_averaged_is_told_before_anything_is_predicted(runs, tmp_path):
    for wrong, told in (
        ({"tta": ["flop"]}, "flip, rotation, scale"),
        ({"save_uncertainty": True}, "needs several predictions"),
    ):
        with pytest.raises(RuntimeError) as error:
            workflow(NAME, "inference.yaml", kind="infer", output_dir=str(runs[1]), device="cpu", **wrong)
        assert any(isinstance(cause, ConfigError) and told in str(cause) for cause in causes(error.value))
