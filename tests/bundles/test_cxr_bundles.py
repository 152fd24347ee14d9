"""The radiograph bundles: trained, resumed, with the paper's numbers, and wrong numbers told before work begins."""

import csv
import json

import pytest
import torch
from prepared_pictures import make_prepared_pictures
from workflows import workflow

from lungseg_monai.errors import ConfigError

SMALL = {"spatial_size": [32, 32], "epochs": 2, "device": "cpu", "threads": 1}
NETWORKS = {
    "cxr_lung_unet": {"n_filters": 2},
    "cxr_lung_fcnn": {"n_filters": 2},
    "cxr_lung_deeplabv3": {"n_filters": 2},
    "cxr_lung_resnet50_unet": {"width": 4},
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return make_prepared_pictures(tmp_path_factory.mktemp("pictures"), count=6)


def train(name, prepared, out, **options):
    numbers = {**SMALL, **NETWORKS[name], **options}
    made = workflow(name, "train.yaml", dataset_dir=str(prepared), output_dir=str(out), **numbers)
    made.run()
    made.finalize()
    return torch.load(out / "checkpoints" / "last.pt", weights_only=True)


def rows(out, split):
    with (out / "curves.csv").open(newline="") as stream:
        return [row for row in csv.DictReader(stream) if row["split"] == split]


@pytest.mark.parametrize("name", NETWORKS)
def test_it_trains_and_keeps_the_epoch_of_the_smallest_validation_loss(name, prepared, tmp_path):
    train(name, prepared, tmp_path)
    curves = rows(tmp_path, "validation")
    best = torch.load(tmp_path / "checkpoints" / "best.pt", weights_only=True)["best"]
    losses = [float(row["loss"]) for row in curves]
    assert best["epoch"] == losses.index(min(losses)) + 1
    assert best["by"] == "validation loss"
    assert all(0 <= float(row[name]) <= 1 for row in curves for name in ("dice", "iou", "accuracy"))
    assert json.loads((tmp_path / "run.json").read_text())["numbers"]["convention"] == "visible"


def test_a_resumed_run_is_the_one_that_was_not_stopped(prepared, tmp_path):
    options = {"schedule": "constant", "warmup": 0.0}  # the schedule would know of the epochs to come
    whole = train("cxr_lung_fcnn", prepared, tmp_path / "whole", epochs=2, **options)
    train("cxr_lung_fcnn", prepared, tmp_path / "parts", epochs=1, **options)
    resumed = train("cxr_lung_fcnn", prepared, tmp_path / "parts", resume=True, epochs=2, **options)
    for name, weight in whole["model"].items():
        assert torch.equal(weight, resumed["model"][name]), name


@pytest.mark.parametrize("name", ["cxr_lung_fcnn", "cxr_lung_resnet50_unet"])
def test_a_checkpoint_is_scored_on_a_section(name, prepared, tmp_path):
    """evaluate.yaml over train.yaml, to its end: what training said of its best epoch comes again."""
    train(name, prepared, tmp_path)
    made = workflow(
        name, "train.yaml", "evaluate.yaml", dataset_dir=str(prepared), output_dir=str(tmp_path), section="validation",
        **{**SMALL, **NETWORKS[name]},
    )  # fmt: skip
    made.run()
    made.finalize()
    found = json.loads((tmp_path / "evaluation_validation.json").read_text())
    epoch = torch.load(tmp_path / "checkpoints" / "best.pt", weights_only=True)["best"]["epoch"]
    (told,) = [row for row in rows(tmp_path, "validation") if int(row["epoch"]) == epoch]
    assert found == pytest.approx({measure: float(told[measure]) for measure in found}, rel=1e-4)
    assert set(found) == {"loss", "dice", "iou", "accuracy"}


def test_the_paper_gathers_128_pictures_a_step(prepared, tmp_path):
    made = workflow(
        "cxr_lung_unet", "train.yaml", dataset_dir=str(prepared), output_dir=str(tmp_path),
        setting="paper", n_filters=2, spatial_size=[32, 32], device="cpu",
    )  # fmt: skip
    numbers = made.parser.get_parsed_content("checked")
    assert numbers["batch_size"] * numbers["accumulate"] == 128
    assert (numbers["epochs"], numbers["loss_name"], numbers["best_by"]) == (50, "bce", "loss")
    assert isinstance(made.parser.get_parsed_content("loss"), torch.nn.BCEWithLogitsLoss)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"loss_name": "hinge"}, "no loss 'hinge'"),
        ({"optimizer_name": "lion"}, "optimizer_name must be adam or sgd"),
        ({"steps": "papre"}, "no pre-processing 'papre'"),
        ({"spatial_size": [40, 32]}, "divisible by 16"),
        ({"convention": "seen"}, "convention must be visible or anatomical"),
        ({"probabilities": {"flipp": 0.5}}, "no augmentation 'flipp'"),
    ],
)
def test_wrong_numbers_are_told(options, told, prepared, tmp_path):
    with pytest.raises((ConfigError, RuntimeError)) as caught:
        train("cxr_lung_unet", prepared, tmp_path, **options)
    inner: BaseException = caught.value
    while inner.__cause__ is not None:  # MONAI wraps what a part says of its arguments
        inner = inner.__cause__
    assert isinstance(inner, ConfigError)
    assert told in str(inner)
    assert not (tmp_path / "checkpoints").exists()
