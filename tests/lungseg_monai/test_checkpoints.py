"""Checkpoints: what is kept, and what is refused."""

import pickle
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine

from lungseg_monai.errors import CheckpointError, DatasetError
from lungseg_monai.networks import GaoUNet
from lungseg_monai.training.checkpoints import KeepCheckpoints, load_weights, read_checkpoint, resume, trained_with

FACTS = {"bundle": "net", "numbers": {"width": 2}}


def keep(folder, validator=None, **facts):
    network = GaoUNet(width=2)
    return network, KeepCheckpoints(folder, {"model": network}, FACTS | facts, validator)


def run(keeper, losses):
    engine = Engine(lambda engine, batch: None)
    engine.add_event_handler("EPOCH_STARTED", lambda e: e.state.metrics.update(loss=losses[e.state.epoch - 1]))
    keeper.attach(engine)
    return engine.run([0], max_epochs=len(losses))


def test_best_is_the_smallest_training_loss_without_validation(tmp_path):
    _, keeper = keep(tmp_path)
    run(keeper, [0.5, 0.3, 0.4])
    best, last = read_checkpoint(tmp_path / "best.pt"), read_checkpoint(tmp_path / "last.pt")
    assert best["best"] == {"score": -0.3, "epoch": 2, "by": "training loss"}
    assert last["trainer"]["iteration"] == 3 and "trainer" not in best
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "last.pt"]


def test_best_is_the_highest_validation_dice_and_a_blank_one_never_wins(tmp_path):
    validator = Engine(lambda engine, batch: None)
    _, keeper = keep(tmp_path, validator)
    scores = iter([float("nan"), 0.2, float("nan"), 0.1])

    def validate(engine, batch):
        validator.state.metrics.update(dice=next(scores))
        validator.state.epoch = engine.state.epoch  # as MONAI's Evaluator does

    engine = Engine(validate)
    keeper.attach(engine)
    engine.run([0], max_epochs=4)
    assert keeper.best == {"score": 0.2, "epoch": 2, "by": "validation dice"}


def test_a_validation_that_dice_can_not_judge_is_refused_before_the_first_epoch(tmp_path):
    validator = Engine(lambda engine, batch: None)
    dataset = SimpleNamespace(has_label=torch.zeros(3, dtype=torch.bool))
    validator.data_loader = SimpleNamespace(dataset=dataset)
    _, keeper = keep(tmp_path, validator)
    with pytest.raises(DatasetError, match="no slice of the validation cases holds a label"):
        run(keeper, [0.5])
    assert not list(tmp_path.iterdir())
    dataset.has_label[1] = True
    validator.state.metrics = {"dice": 0.4}
    validator.state.epoch = 1
    run(keeper, [0.5])


def test_a_file_that_is_being_replaced_survives_a_full_disk(tmp_path, monkeypatch):
    _, keeper = keep(tmp_path)
    run(keeper, [0.5])
    before = (tmp_path / "last.pt").read_bytes()
    monkeypatch.setattr(
        torch, "save", lambda content, stream: stream.write(b"half") and (_ for _ in ()).throw(OSError(28, "full"))
    )
    with pytest.raises(Exception, match="full"):
        run(keeper, [0.4])
    assert (tmp_path / "last.pt").read_bytes() == before
    assert not list(tmp_path.glob(".partial*"))


def test_weights_come_back(tmp_path):
    network, keeper = keep(tmp_path)
    run(keeper, [0.5])
    other = GaoUNet(width=2)
    facts = load_weights(other, tmp_path / "best.pt")
    assert facts["bundle"] == "net"
    for name, value in network.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    assert trained_with(tmp_path / "best.pt", {"width": 9, "new": 1}) == {"width": 2, "new": 1}
    assert trained_with(None, {"width": 9}) == {"width": 9}


def test_another_network_is_refused_with_the_differences(tmp_path):
    _, keeper = keep(tmp_path)
    run(keeper, [0.5])
    with pytest.raises(
        CheckpointError, match=r"of another shape \(encoder1\.0\.weight \[2, 1, 3, 3\], wanted \[4, 1, 3, 3\], "
    ):
        load_weights(GaoUNet(width=4), tmp_path / "best.pt")
    with pytest.raises(CheckpointError, match=r"2 missing \(weight, bias\); 118 not in this network \(encoder1\.0"):
        load_weights(torch.nn.Linear(2, 2), tmp_path / "best.pt")


def test_weights_that_fit_but_are_another_bundles_are_refused(tmp_path):
    """A dilated U-Net's weights have the names and shapes of a plain one's."""
    network, keeper = keep(tmp_path)
    run(keeper, [0.5])
    load_weights(network, tmp_path / "best.pt", bundle="net")
    for load in (
        lambda: load_weights(network, tmp_path / "best.pt", bundle="other"),
        lambda: resume(tmp_path / "last.pt", Engine(print), keep(tmp_path, bundle="other")[1]),
    ):
        with pytest.raises(CheckpointError, match="of the bundle net, not of other"):
            load()


class Evil:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 damaged",
        b"root:x:0:0:root:/root:/bin/sh\n",
        pickle.dumps({"model": {}, "numbers": {}}),
        pickle.dumps(Evil()),
    ],
    ids=["empty", "damaged", "text", "pickle", "code"],
)
def test_damaged_and_dangerous_files_are_refused_and_not_executed(tmp_path, content, capsys):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.pt"):
        read_checkpoint(tmp_path / "x.pt")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1, 2], torch.zeros(2)], ids=["foreign", "list", "tensor"])
def test_a_checkpoint_of_something_else_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="no checkpoint of lungseg-monai"):
        read_checkpoint(tmp_path / "x.pt")


def test_a_run_in_place_of_its_checkpoint_is_told(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match=r"there is no checkpoint \S+\.$"):
        read_checkpoint(tmp_path)
    (tmp_path / "checkpoints" / "best.pt").touch()
    with pytest.raises(CheckpointError, match=r"Did you mean .*checkpoints.best\.pt\?"):
        read_checkpoint(tmp_path)
