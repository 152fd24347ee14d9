"""One step of a training: accumulation is a larger batch, and too little memory costs parts, not the run."""

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer

from lungseg_monai.errors import ConfigError
from lungseg_monai.losses_tumor import tumor_loss
from lungseg_monai.training import step as step_module
from lungseg_monai.training.autocast import AutocastInferer
from lungseg_monai.training.epochs import EpochLoss
from lungseg_monai.training.step import TrainingStep

SHAPE = (1, 10, 8, 4)


def items(count):
    random = np.random.default_rng(3)
    image = [torch.from_numpy(random.random(SHAPE, np.float32)) for _ in range(count)]
    return [{"image": each, "label": (each + 0.3 * torch.from_numpy(random.random(SHAPE, np.float32)) > 0.9).float()}
            for each in image]  # fmt: skip


class Network(torch.nn.Module):
    """Without batch normalisation: what a window gives does not depend on the others. Memory for `most` windows."""

    def __init__(self, most=100, error=None):
        super().__init__()
        torch.manual_seed(5)
        self.a, self.b = torch.nn.Conv3d(1, 3, 3, padding=1), torch.nn.Conv3d(3, 1, 3, padding=1)
        self.most, self.error, self.seen = most, error, []

    def forward(self, x):
        if len(x) > self.most:
            self.b(torch.relu(self.a(x))).sum().backward()  # half a gradient is left behind
            raise self.error
        self.seen.append(len(x))
        return self.b(torch.relu(self.a(x)))


def trained(network, data, batch_size, accumulate=1, epochs=2, precision="float32"):
    """(the trainer, the weights, the mean losses of the epochs)."""
    losses = []
    trainer = SupervisedTrainer(
        device=torch.device("cpu"), max_epochs=epochs,
        train_data_loader=DataLoader(Dataset(data), batch_size=batch_size), network=network,
        optimizer=torch.optim.Adam(network.parameters(), lr=0.05), loss_function=tumor_loss("bce"),
        inferer=AutocastInferer(precision), iteration_update=TrainingStep(accumulate), decollate=False,
        train_handlers=[EpochLoss()],
    )  # fmt: skip
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: losses.append(engine.state.metrics["loss"]))
    trainer.run()
    return trainer, torch.nn.utils.parameters_to_vector(network.parameters()).detach(), losses


def test_n_batches_of_b_are_one_of_n_times_b():
    data = items(12)
    _, weights, losses = trained(Network(), data, batch_size=6)
    for batch_size, accumulate in ((2, 3), (1, 6), (3, 2)):
        _, other, other_losses = trained(Network(), data, batch_size, accumulate)
        torch.testing.assert_close(other, weights, atol=1e-6, rtol=1e-5)
        assert other_losses == pytest.approx(losses, rel=1e-5)
    _, unlike, _ = trained(Network(), data, batch_size=2)
    assert not torch.allclose(unlike, weights, atol=1e-3)


def test_the_rest_of_an_epoch_makes_a_step_of_its_own_mean():
    """Four and then two windows: the rest counts as a batch of two, not as a third of a batch of six."""
    data = items(6)
    _, weights, _ = trained(Network(), data, batch_size=4, epochs=1)
    _, other, _ = trained(Network(), data, batch_size=2, accumulate=2, epochs=1)
    torch.testing.assert_close(other, weights, atol=1e-6, rtol=1e-5)


def test_equals_monais_own_step():
    data, network = items(5), Network()
    _, weights, _ = trained(network, data, batch_size=2)
    monais = Network()
    SupervisedTrainer(
        device=torch.device("cpu"), max_epochs=2, train_data_loader=DataLoader(Dataset(data), batch_size=2),
        network=monais, optimizer=torch.optim.Adam(monais.parameters(), lr=0.05), loss_function=tumor_loss("bce"),
    ).run()  # fmt: skip
    torch.testing.assert_close(torch.nn.utils.parameters_to_vector(monais.parameters()).detach(), weights)


@pytest.mark.parametrize("error", [
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    MemoryError(),
])  # fmt: skip
@pytest.mark.parametrize("accumulate", [1, 2])
def test_out_of_memory_goes_on_in_parts_with_the_same_result_and_says_so(error, accumulate, caplog):
    data = items(8)
    _, weights, losses = trained(Network(), data, batch_size=4, accumulate=accumulate)
    small = Network(most=1, error=error)
    _, other, other_losses = trained(small, data, batch_size=4, accumulate=accumulate)
    assert set(small.seen) == {1} and len(small.seen) == 2 * len(data)
    torch.testing.assert_close(other, weights, atol=1e-6, rtol=1e-5)
    assert other_losses == pytest.approx(losses, rel=1e-5)
    assert "parts of 2" in caplog.text and "parts of 1" in caplog.text
    assert f"--batch_size 1 --accumulate {4 * accumulate}" in caplog.text


def test_memory_that_runs_out_later_keeps_what_was_accumulated():
    data = items(8)
    _, weights, _ = trained(Network(), data, batch_size=2, accumulate=4, epochs=1)

    class Later(Network):
        def forward(self, x):
            self.most = 1 if len(self.seen) >= 2 else 9
            return super().forward(x)

    _, other, _ = trained(Later(error=MemoryError()), data, batch_size=2, accumulate=4, epochs=1)
    torch.testing.assert_close(other, weights, atol=1e-6, rtol=1e-5)


def test_one_window_that_is_too_much_is_told_and_other_errors_stay_as_they_are():
    with pytest.raises(ConfigError, match=r"on one window of 1 x 10 x 8 x 4 alone.*--spatial_size"):
        trained(Network(most=0, error=MemoryError()), items(2), batch_size=2)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        trained(Network(most=0, error=RuntimeError("shape mismatch")), items(2), batch_size=2)


def test_of_several_processes_none_takes_parts_alone(monkeypatch):
    monkeypatch.setattr(step_module, "several", lambda: True)
    with pytest.raises(ConfigError, match=r"Several processes.*--batch_size 1"):
        trained(Network(most=1, error=MemoryError()), items(2), batch_size=2)


def test_bf16_trains_in_bf16_with_a_loss_in_float32():
    seen = []

    class Watched(Network):
        def forward(self, x):
            out = super().forward(x)
            seen.append(out.dtype)
            return out

    trainer, weights, losses = trained(Watched(), items(4), batch_size=2, epochs=3, precision="bf16")
    assert set(seen) == {torch.bfloat16}
    assert trainer.state.output["loss"].dtype == trainer.state.output["pred"].dtype == torch.float32
    _, exact, exact_losses = trained(Network(), items(4), batch_size=2, epochs=3)
    assert losses == pytest.approx(exact_losses, rel=0.05) and losses != exact_losses
    assert not torch.equal(weights, exact)
