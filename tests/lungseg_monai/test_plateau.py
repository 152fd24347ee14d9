"""Halved after three epochs without a higher score; the authors' decay; and what survives a resume."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ignite.engine import Engine

from lungseg_monai.training.checkpoints import KeepCheckpoints
from lungseg_monai.training.early_stop import StopWithoutGain
from lungseg_monai.training.pieces import SceneRecord
from lungseg_monai.training.plateau import PlateauRates
from lungseg_monai.training.schedule import StepRates, learning_rates


def adam(rate=0.5):
    return torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def run(scores, rates, batches=2, stop=None, validate=True):
    """The rates at the end of each epoch."""
    validator = Engine(lambda engine, batch: None)
    engine, seen = Engine(lambda engine, batch: rates.optimizer.step()), []
    name, judged = ("dice", validator) if validate else ("loss", engine)

    def measure(engine):
        judged.state.metrics[name] = scores[engine.state.epoch - 1]
        judged.state.epoch = engine.state.epoch  # as MONAI's Evaluator does

    engine.add_event_handler("EPOCH_COMPLETED", measure)
    StepRates(rates, validator if validate else None).attach(engine)
    if stop is not None:
        keeper = KeepCheckpoints("unused", {}, {}, validator)
        engine.add_event_handler("EPOCH_COMPLETED", lambda e: follow(keeper, e, scores))
        StopWithoutGain(keeper, stop).attach(engine)
    engine.add_event_handler("EPOCH_COMPLETED", lambda e: seen.append(rates.optimizer.param_groups[0]["lr"]))
    engine.run([0] * batches, max_epochs=len(scores))
    return seen


def follow(keeper, engine, scores):
    score = scores[engine.state.epoch - 1]
    if keeper.best["score"] is None or score > keeper.best["score"]:
        keeper.best.update(score=score, epoch=engine.state.epoch)


def keras(scores, rate, patience=3):
    """ReduceLROnPlateau of Keras, mode max, min_delta 0, as the authors trained."""
    best, waited, seen = -float("inf"), 0, []
    for score in scores:
        if score > best:
            best, waited = score, 0
        else:
            waited += 1
            if waited >= patience:
                rate, waited = rate / 2, 0
        seen.append(rate)
    return seen


@settings(deadline=None, max_examples=40)
@given(scores=st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5]), min_size=1, max_size=25))
def test_halves_as_keras_does(scores):
    assert run(scores, PlateauRates(adam())) == pytest.approx(keras(scores, 0.5))


def test_blank_predictions_do_not_count_as_a_rise():
    blank = float("nan")
    assert run([0.3, blank, blank, blank, 0.4], PlateauRates(adam())) == [0.5, 0.5, 0.5, 0.25, 0.25]
    assert run([blank, 0.1, 0.2], PlateauRates(adam())) == [0.5, 0.5, 0.5]


def test_without_validation_the_training_loss_is_judged():
    assert run([3.0, 2.0, 2.5, 2.0, 2.1, 1.0], PlateauRates(adam()), validate=False) == [0.5] * 4 + [0.25] * 2


def test_the_decay_is_that_of_keras_and_goes_with_the_halving():
    seen = run([0.3] * 5, PlateauRates(adam(), decay=0.01), batches=10)
    halved = [0.5, 0.5, 0.5, 0.25, 0.25]
    assert seen == pytest.approx([rate / (1 + 0.01 * 10 * (epoch + 1)) for epoch, rate in enumerate(halved)])


@pytest.mark.parametrize("cut", [1, 3, 4, 6])
def test_a_resume_goes_on_where_it_was(cut):
    scores = [0.3, 0.2, 0.1, 0.3, 0.5, 0.4, 0.4, 0.4, 0.1]
    straight = run(scores, PlateauRates(adam(), decay=0.02))
    first = PlateauRates(adam(), decay=0.02)
    begun = run(scores[:cut], first)
    second = PlateauRates(adam(), decay=0.02)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    assert begun + run(scores[cut:], second) == straight


def test_its_state_is_plain_and_loads_as_checkpoints_do(tmp_path):
    rates = PlateauRates(adam())
    run([0.3, 0.2], rates)
    torch.save(rates.state_dict(), tmp_path / "state.pt")
    again = torch.load(tmp_path / "state.pt", weights_only=True)
    assert again["best"] == 0.3 and again["num_bad_epochs"] == 1 and "optimizer" not in again


def test_ends_after_so_many_epochs_without_a_gain():
    scores = [0.1, 0.3, 0.2, 0.3, 0.1, 0.9]
    assert len(run(scores, PlateauRates(adam()), stop=3)) == 5
    assert len(run(scores, PlateauRates(adam()), stop=4)) == 6


def test_an_early_stop_is_an_end_and_no_pause(tmp_path):
    keeper = KeepCheckpoints("unused", {}, {})
    keeper.best.update(score=1.0, epoch=1)
    record, engine = SceneRecord(tmp_path, {}, {"per_epoch": 2}, keeper), Engine(lambda engine, batch: None)
    record.attach(engine)
    StopWithoutGain(keeper, 2).attach(engine)
    engine.run([0], max_epochs=9)
    content = json.loads((tmp_path / "run.json").read_text())
    assert (content["status"], content["epochs_done"], content["scenes_seen"]) == ("done", 3, 6)


def test_one_function_makes_all_schedules():
    rates = learning_rates(adam(), "cosine", 10, warmup=0.2)
    assert run([0.1] * 5, rates)[-1] == pytest.approx(0)
    assert isinstance(learning_rates(adam(), "plateau", 10), PlateauRates)
    assert run([0.1] * 5, learning_rates(adam(), "plateau", 10, plateau=2)) == [0.5, 0.5, 0.25, 0.25, 0.125]


def test_the_validation_loss_is_judged_where_it_chooses_the_best_epoch():
    validator, engine, seen = Engine(lambda engine, batch: None), Engine(lambda engine, batch: None), []
    rates = PlateauRates(adam(), epochs=1)
    losses = [0.5, 0.4, 0.6]

    def validate(engine):
        validator.state.metrics.update(loss=losses[engine.state.epoch - 1], dice=0.1)
        validator.state.epoch = engine.state.epoch  # as MONAI's Evaluator does

    engine.add_event_handler("EPOCH_COMPLETED", validate)
    StepRates(rates, validator, by="loss").attach(engine)
    engine.add_event_handler("EPOCH_COMPLETED", lambda e: seen.append(rates.optimizer.param_groups[0]["lr"]))
    engine.run([0], max_epochs=3)
    assert seen == [0.5, 0.5, 0.25]
