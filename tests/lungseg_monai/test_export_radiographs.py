"""A small network of radiographs from a run to a bundle: what is written, and what is refused before anything is."""

import json
import shutil

import numpy as np
import pytest
import torch

from lungseg_monai.bundle import bundle_path
from lungseg_monai.errors import CheckpointError
from lungseg_monai.io import sha256
from lungseg_monai.networks.trained import radiograph_network
from lungseg_monai.segment.backends import open_backend
from lungseg_monai.training import export_radiographs
from lungseg_monai.training.checkpoints import read_checkpoint

NAME = "cxr_lung_fcnn"
NUMBERS = {"n_filters": 2, "batch_normalization": True, "seed": 7, "steps": "paper", "spatial_size": [64, 96],
           "convention": "anatomical"}  # fmt: skip


def write_run(folder, **changes):
    """As if it had been trained: its normalisation does something."""
    torch.manual_seed(0)
    network = radiograph_network(NAME, NUMBERS)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    content = {"model": network.state_dict(), "numbers": NUMBERS, "bundle": NAME, "best": {"epoch": 3}, **changes}
    (folder / "checkpoints").mkdir(parents=True)
    torch.save(content, folder / "checkpoints" / "best.pt")
    (folder / "run.json").write_text(json.dumps({"status": "done", "seconds": 12.0}))
    (folder / "curves.csv").write_text("epoch,split,loss,dice\n3,training,0.2,\n3,validation,0.3,0.8\n")
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    for name in ("onnxscript", "openvino", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    folder = tmp_path_factory.mktemp("radiographs")
    shutil.copytree(bundle_path(NAME) / "configs", folder / NAME / "configs")
    run = write_run(folder / "run")
    assert export_radiographs.main([str(run), "--bundle", str(folder / NAME)]) == 0
    return folder / NAME


def test_the_bundle_says_what_its_weights_are_and_were_trained_with(exported):
    table = json.loads((exported / "models" / "weights.json").read_text())
    assert {name: sha256(exported / "models" / name) for name in ("model.pt", "model.onnx")} == table["sha256"]
    assert table["run"]["epoch"] == 3 and table["run"]["scores"] == {"loss": 0.3, "dice": 0.8}
    assert set(table["differences"]) == {"onnxruntime", "openvino"}
    told, before = (
        json.loads((folder / "configs" / "metadata.json").read_text()) for folder in (exported, bundle_path(NAME))
    )
    for name in ("steps", "spatial_size", "convention"):
        assert told["segmenter"].pop(name) == NUMBERS[name]
        before["segmenter"].pop(name)
    assert told == before


def test_the_graph_computes_what_the_checkpoint_does(exported):
    content = read_checkpoint(exported / "models" / "model.pt")
    assert content["numbers"] == NUMBERS and content["bundle"] == NAME
    network = radiograph_network(NAME, content["numbers"])
    network.load_state_dict(content["model"])
    pictures = np.random.default_rng(1).uniform(0, 1, (3, 1, 96, 64)).astype(np.float32)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(pictures)).numpy()
    assert np.allclose(open_backend(exported, "onnxruntime", "cpu", 1)(pictures), wanted, atol=2e-3)


@pytest.mark.parametrize(
    ("changes", "told"), [({"bundle": "cxr_lung_unet"}, "is of the bundle cxr_lung_unet"), ({}, "no numbers")]
)
def test_weights_of_another_bundle_or_of_a_failed_training_are_refused(changes, told, tmp_path, capsys):
    run = write_run(tmp_path / "run", **changes)
    if not changes:
        content = torch.load(run / "checkpoints" / "best.pt", weights_only=True)
        next(iter(content["model"].values()))[:] = float("nan")
        torch.save(content, run / "checkpoints" / "best.pt")
    with pytest.raises(CheckpointError, match=told):
        export_radiographs.export(run, tmp_path / NAME)
    assert export_radiographs.main([str(run), "--bundle", str(tmp_path / NAME)]) == 3
    assert told in capsys.readouterr().err and not (tmp_path / NAME).exists()
