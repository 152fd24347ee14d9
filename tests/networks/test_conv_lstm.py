"""ConvLSTM2d against the equations, one slice, one gate and one kernel position after the other, in float64."""

import itertools

import numpy as np
import pytest
import torch

from lungseg_monai.errors import ConfigError
from lungseg_monai.networks.blocks import initialise_glorot
from lungseg_monai.networks.conv_lstm import ConvLSTM2d

GATES = {"hard_sigmoid": lambda v: np.clip(0.2 * v + 0.5, 0, 1), "sigmoid": lambda v: 1 / (1 + np.exp(-v))}
EVERY_WAY = list(itertools.product(GATES, (False, True), (False, True)))


def made(**options) -> ConvLSTM2d:
    """In float64, with weights and biases large enough to reach the flat ends of the gates."""
    torch.manual_seed(0)
    lstm = ConvLSTM2d(2, 3, **options).double()
    for parameter in lstm.parameters():
        torch.nn.init.uniform_(parameter, -1.0, 1.0)
    return lstm


def convolved(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(C, H, W) by (G, C, k, k) -> (G, H, W), zeros around."""
    around = kernel.shape[-1] // 2
    padded = np.pad(image, ((0, 0), (around, around), (around, around)))
    _, height, width = image.shape
    out = np.zeros((kernel.shape[0], height, width))
    for i, j in np.ndindex(*kernel.shape[2:]):
        out += np.einsum("gc,chw->ghw", kernel[:, :, i, j], padded[:, i : i + height, j : j + width])
    return out


def walked(direction: torch.nn.Module, volume: np.ndarray, gates: str, order: list[int]) -> dict[int, np.ndarray]:
    """By slice: the state h (hidden, H, W) after it, for one volume (C, H, W, D) read in `order`."""
    w, u = (layer.weight.detach().numpy()[:, :, 0] for layer in (direction.input, direction.state))
    bias = direction.input.bias.detach().numpy()[:, None, None]
    h = c = np.zeros((u.shape[1], *volume.shape[1:3]))
    states = {}
    for t in order:
        i, f, g, o = np.split(convolved(volume[..., t], w) + bias + convolved(h, u), 4)
        c = GATES[gates](f) * c + GATES[gates](i) * np.tanh(g)
        states[t] = h = GATES[gates](o) * np.tanh(c)
    return states


def reference(lstm: ConvLSTM2d, x: np.ndarray, gates: str, last_only: bool) -> np.ndarray:
    slices = list(range(x.shape[-1]))
    orders = (slices, slices[::-1])[: len(lstm.directions)]
    volumes = []
    for volume in x:
        read = [walked(one, volume, gates, order) for one, order in zip(lstm.directions, orders, strict=True)]
        steps = [states[order[-1]] for states, order in zip(read, orders, strict=True)]
        whole = [np.stack([states[t] for t in slices], axis=-1) for states in read]
        volumes.append(np.concatenate(steps if last_only else whole))
    return np.stack(volumes)


@pytest.mark.parametrize(("gates", "bidirectional", "last_only"), EVERY_WAY)
def test_it_is_the_equations_step_by_step(gates, bidirectional, last_only):
    lstm = made(gates=gates, bidirectional=bidirectional, last_only=last_only)
    x = torch.randn(2, 2, 5, 7, 4, dtype=torch.float64)
    wanted = reference(lstm, x.numpy(), gates, last_only)
    np.testing.assert_allclose(lstm(x).detach().numpy(), wanted, rtol=0, atol=1e-12)


def test_a_wider_kernel_and_one_slice():
    lstm = made(kernel_size=5, bidirectional=True)
    x = torch.randn(1, 2, 6, 4, 1, dtype=torch.float64)
    np.testing.assert_allclose(lstm(x).detach().numpy(), reference(lstm, x.numpy(), "hard_sigmoid", False), atol=1e-12)


def test_each_volume_starts_from_zero():
    """What came before, in the batch or in the call before, leaves no trace."""
    lstm = made()
    x = torch.randn(3, 2, 4, 4, 5, dtype=torch.float64)
    together = lstm(x)
    torch.testing.assert_close(lstm(x[1:2]), together[1:2])
    torch.testing.assert_close(lstm(x[..., :2]), together[..., :2])  # and it does not look ahead


@pytest.mark.parametrize(("gates", "bidirectional", "last_only"), EVERY_WAY)
def test_torchscript_computes_the_same(gates, bidirectional, last_only):
    lstm = made(gates=gates, bidirectional=bidirectional, last_only=last_only)
    scripted = torch.jit.script(lstm)
    for slices in (4, 4, 4, 1):  # TorchScript optimises after the first
        x = torch.randn(1, 2, 4, 6, slices, dtype=torch.float64)
        torch.testing.assert_close(scripted(x), lstm(x))


def test_it_starts_by_not_forgetting():
    for lstm in (ConvLSTM2d(2, 3), made()):
        initialise_glorot(lstm)
        (direction,) = lstm.directions
        assert direction.input.bias.tolist() == [0.0] * 3 + [1.0] * 3 + [0.0] * 6


def test_an_orthogonal_start_is_orthogonal():
    lstm = ConvLSTM2d(2, 3)
    initialise_glorot(lstm, recurrent="orthogonal")
    rows = lstm.directions[0].state.weight.flatten(1)  # 12 gates of 27 weights
    torch.testing.assert_close(rows @ rows.T, torch.eye(12), rtol=0, atol=1e-5)
    with pytest.raises(ConfigError, match="uniform"):
        initialise_glorot(lstm, recurrent="uniform")


@pytest.mark.parametrize(("given", "said"), [({"gates": "relu"}, "relu"), ({"kernel_size": 4}, "kernel 4")])
def test_what_does_not_exist_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        ConvLSTM2d(2, 3, **given)
