"""What is measured and told once an epoch."""

import pytest
import torch
from ignite.engine import Engine
from monai.engines import IterationEvents

from lungseg_monai.training.epochs import Curves, EpochLine, EpochLoss, duration, read_curves


def trainer(batches):
    """An engine that 'computes' the loss of each batch: (loss, batch size)."""

    def step(engine, batch):
        loss, size = batch
        engine.state.output = {"loss": torch.tensor(loss), "label": torch.zeros(size, 1)}
        engine.fire_event(IterationEvents.LOSS_COMPLETED)
        return engine.state.output

    engine = Engine(step)
    engine.register_events(*IterationEvents)
    engine.state.device = torch.device("cpu")
    engine.optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    return engine


def test_the_epochs_loss_weighs_batches_by_their_size():
    batches = [(1.0, 8), (0.5, 8), (4.0, 1)]
    engine = trainer(batches)
    EpochLoss().attach(engine)
    engine.run(batches, max_epochs=2)
    assert engine.state.metrics["loss"] == pytest.approx((8 * 1 + 8 * 0.5 + 4) / 17)


def test_an_evaluators_loss_is_that_of_its_logits():
    engine = Engine(lambda engine, batch: None)
    engine.register_events(*IterationEvents)
    engine.state.device = torch.device("cpu")
    handler = EpochLoss(lambda pred, label: (pred - label).abs().mean())
    handler.attach(engine)
    engine.state.output = {"pred": torch.full((4, 1), 3.0), "label": torch.ones(4, 1)}
    handler.add(engine)
    handler.finish(engine)
    assert engine.state.metrics["loss"] == 2


def test_curves_of_a_resumed_run_keep_the_epochs_before_and_replace_the_lost_one(tmp_path):
    def run(first, last, accuracy):
        engine = trainer([])
        engine.add_event_handler(
            "EPOCH_STARTED", lambda e: e.state.metrics.update(loss=1.0, accuracy=accuracy, dice=0.25)
        )
        Curves(tmp_path / "curves.csv").attach(engine)
        engine.add_event_handler("STARTED", lambda e: setattr(e.state, "epoch", first - 1))
        engine.run([(1.0, 1)], max_epochs=last, epoch_length=1)

    run(1, 3, accuracy=0.5)
    run(3, 4, accuracy=0.75)
    rows = read_curves(tmp_path / "curves.csv")
    assert [(row["epoch"], row["accuracy"]) for row in rows] == [
        ("1", "0.5"),
        ("2", "0.5"),
        ("3", "0.75"),
        ("4", "0.75"),
    ]
    assert list(rows[0]) == ["epoch", "split", "loss", "accuracy", "dice", "learning_rate", "seconds"]
    assert rows[0]["learning_rate"] == "0.5" and rows[0]["split"] == "training"


def test_one_line_an_epoch_with_the_time_left(caplog):
    caplog.set_level("INFO", logger="lungseg_monai")
    engine = trainer([])
    engine.add_event_handler("EPOCH_STARTED", lambda e: e.state.metrics.update(loss=0.5, accuracy=0.9, dice=0.8))
    engine.add_event_handler("EPOCH_COMPLETED", EpochLine())
    engine.run([(1.0, 1)], max_epochs=3)
    assert len(caplog.messages) == 3
    assert caplog.messages[0].startswith("epoch 1/3 | loss 0.5000, accuracy 0.9000, dice 0.8000 | ")
    assert caplog.messages[2].endswith("0 s left")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (61, "1 min 01 s"), (3599, "59 min 59 s")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
