"""When memory runs out in a training step, whatever library says so: smaller parts of the batch, or why not."""

from types import SimpleNamespace

import pytest
import torch

from lungseg_monai.errors import ConfigError
from lungseg_monai.training import step as step_module
from lungseg_monai.training.step import TrainingStep

RUN_OUT = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8388608 bytes.")
UNMADE = RuntimeError("could not create a primitive")  # what oneDNN says of the same


def engine(errors):
    """What a step needs of a trainer; its inferer raises `errors`, one each time that it is asked."""
    network = torch.nn.Conv3d(1, 1, 1)
    left, seen = list(errors), []

    def infer(images, network):
        if left:
            raise left.pop(0)
        seen.append(len(images))
        return network(images)

    state = SimpleNamespace(device=torch.device("cpu"), iteration=1, epoch_length=1, output=None)
    return SimpleNamespace(
        state=state, network=network, inferer=infer, loss_function=torch.nn.BCEWithLogitsLoss(), amp=False, scaler=None,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1), non_blocking=False, to_kwargs={}, seen=seen,
        prepare_batch=lambda batch, *_, **__: (batch["image"], batch["label"]), fire_event=lambda event: None,
    )  # fmt: skip


BATCH = {"image": torch.rand(8, 1, 4, 4, 2), "label": torch.ones(8, 1, 4, 4, 2)}


def test_what_one_dnn_can_not_make_once_memory_ran_out_is_too_little_memory_as_well(monkeypatch, caplog):
    monkeypatch.setattr(step_module, "limited", lambda: False)
    trainer = engine([RUN_OUT, UNMADE])
    TrainingStep()(trainer, BATCH)
    assert trainer.seen == [2, 2, 2, 2]
    assert "parts of 4" in caplog.text and "could not create a primitive" in caplog.text


def test_with_memory_to_spare_the_same_words_are_another_error(monkeypatch):
    monkeypatch.setattr(step_module, "limited", lambda: False)
    with pytest.raises(RuntimeError, match="could not create a primitive") as error:
        TrainingStep()(engine([UNMADE]), BATCH)
    assert not isinstance(error.value, ConfigError)


def test_under_a_limit_of_memory_they_mean_memory_and_what_helps_is_named(monkeypatch):
    monkeypatch.setattr(step_module, "limited", lambda: True)
    trainer = engine([UNMADE])
    TrainingStep()(trainer, BATCH)
    assert trainer.seen == [4, 4]
    with pytest.raises(ConfigError, match=r"one window of 1 x 4 x 4 x 2 alone.*MALLOC_MMAP_THRESHOLD_"):
        TrainingStep()(engine([UNMADE] * 4), BATCH)


def test_a_limit_is_seen():
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    if before[0] == resource.RLIM_INFINITY == resource.getrlimit(resource.RLIMIT_DATA)[0]:
        assert not step_module.limited()
    try:
        resource.setrlimit(resource.RLIMIT_AS, (2**46, before[1]))
        assert step_module.limited()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
