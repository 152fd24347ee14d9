"""Training the bundle ct_lungs on tiny made scenes: what it writes, pieces and resumes, and the export."""

import csv
import json

import numpy as np
import pytest
import torch
from workflows import workflow

from lungseg_monai import synthesis
from lungseg_monai.errors import CheckpointError
from lungseg_monai.networks import LungUNet3D
from lungseg_monai.synthesis import Scene
from lungseg_monai.training import export_lungs
from lungseg_monai.training.averages import AverageWeights
from lungseg_monai.training.checkpoints import load_shipped, read_checkpoint
from lungseg_monai.training.lungs import LungScores

TINY = {
    "features": [2, 2, 2, 2, 2, 2], "scenes_per_epoch": 2, "validation_scenes": 2, "epochs": 3, "device": "cpu",
    "num_workers": 0, "threads": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def boxes(monkeypatch):
    def stub(seed, index, options):
        random = np.random.default_rng([seed, index])
        hu, lung = np.full((60, 30, 28), 40, np.int16), np.zeros((60, 30, 28), np.uint8)
        for value, low in ((1, 5), (2, 35)):
            box = (slice(low, low + 20), slice(5, 25), slice(4, int(random.integers(12, 26))))
            hu[box], lung[box] = -800, value
        return Scene(hu, lung, options.spacing_mm, {})

    monkeypatch.setattr(synthesis, "make_scene", stub)


def train(folder, **options):
    made = workflow("ct_lungs", "train.yaml", output_dir=str(folder), **options)
    made.run()
    made.finalize()
    return folder


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def rows(run):
    with (run / "curves.csv").open(newline="") as stream:
        return [{**row, "seconds": "", "waiting": ""} for row in csv.DictReader(stream)]


def test_pieces_equal_never_stopping_and_the_weights_are_exported(tmp_path):
    straight = train(tmp_path / "straight", **TINY)
    pieces = train(tmp_path / "pieces", minutes=1e-6, **TINY)
    record = json.loads((pieces / "run.json").read_text())
    assert (record["status"], record["epochs_done"], record["scenes_seen"]) == ("paused", 1, 2)
    again = {name: TINY[name] for name in ("device", "num_workers", "threads")}
    train(pieces, resume=True, minutes=1e-6, **again)
    train(pieces, resume=True, **again)
    assert json.loads((pieces / "run.json").read_text())["status"] == "done"
    assert rows(pieces) == rows(straight) and len(rows(straight)) == 6
    for name in ("last.pt", "best.pt"):
        assert same(read_checkpoint(straight / "checkpoints" / name), read_checkpoint(pieces / "checkpoints" / name))
    last = read_checkpoint(straight / "checkpoints" / "last.pt")
    assert not same(last["model"], {name[7:]: value for name, value in last["average"].items() if "module." in name})

    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    pytest.importorskip("openvino", reason="openvino is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    bundle = tmp_path / "bundle"
    assert export_lungs.main([str(straight), "--bundle", str(bundle)]) == 0
    table = json.loads((bundle / "models" / "weights.json").read_text())
    assert set(table["sha256"]) == {"model.pt", "model.onnx"} and table["run"]["seed"] == 0
    assert str(tmp_path).encode() not in (bundle / "models" / "model.onnx").read_bytes()
    network = LungUNet3D(features=TINY["features"])
    load_shipped(network, bundle / "models" / "model.pt")
    best = read_checkpoint(straight / "checkpoints" / "best.pt")["model"]
    assert all(
        torch.allclose(value.float(), best[name].float(), atol=2e-3) for name, value in network.state_dict().items()
    )
    chosen = export_lungs.averaged(last, straight)
    assert chosen["best"]["epoch"] == 3 and chosen["model"].keys() == best.keys()
    with pytest.raises(CheckpointError, match="no averaged weights"):
        export_lungs.averaged(read_checkpoint(straight / "checkpoints" / "best.pt"), straight)


def test_nothing_is_exported_where_a_backend_differs(tmp_path, monkeypatch):
    network = LungUNet3D(features=TINY["features"]).eval()
    with pytest.raises(export_lungs.ModelError, match="nothing is exported"):
        export_lungs.differences("other", network, lambda x: network(torch.from_numpy(x)).detach().numpy() + 0.1)


def test_scores_of_known_volumes():
    wanted, found = torch.zeros(10, 10, 10).long(), torch.zeros(10, 10, 10).long()
    wanted[:4], found[:3], found[9, 0, :5] = 1, 1, 2
    counts = LungScores(spacing_mm=10.0).counted(found, wanted)
    torch.testing.assert_close(counts[:6], torch.tensor([600 / 700, 1, 0, 0, 5, 1], dtype=torch.float64))
    assert counts[7] == 1000 and counts[6] == 1000 - 105


def test_the_average_forgets_the_first_steps_and_then_follows_slowly():
    network = torch.nn.Linear(1, 1, bias=False)
    average = AverageWeights(network, decay=0.5)
    expected = None
    for step, value in enumerate((4.0, 2.0, -1.0, 3.0, 5.0, 0.0)):
        torch.nn.init.constant_(network.weight, value)
        average.update()
        keep = min(0.5, (1 + step) / (10 + step))
        expected = value if expected is None else keep * expected + (1 - keep) * value
        assert float(average.part.weight) == pytest.approx(expected)
