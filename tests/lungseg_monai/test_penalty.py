"""The penalty on weights: the gradient of its formula, once a step, on convolutions and linear layers alone."""

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from lungseg_monai.training.penalty import WeightPenalty, penalised


def net():
    torch.manual_seed(3)
    parts = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ConvTranspose2d(2, 2, 2), nn.Flatten(), nn.Linear(40, 1)]
    return nn.Sequential(*parts)


def attached(network, l1, l2, rate=0.1):
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    WeightPenalty(network, optimizer, l1, l2).attach(Engine(lambda engine, batch: None))
    return optimizer


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.2), (0.3, 0.2)])
def test_a_step_is_that_of_the_loss_with_the_penalty_in_it(l1, l2):
    x = torch.rand(2, 1, 6, 5)
    by_hand, network = net(), net()
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    weights = [by_hand[0].weight, by_hand[2].weight, by_hand[4].weight]
    penalty = sum(l1 * w.abs().sum() + l2 * (w**2).sum() for w in weights)
    (by_hand(x).mean() + penalty).backward()
    optimizer.step()

    stepped = attached(network, l1, l2)
    network(x).mean().backward()
    stepped.step()
    for one, other in zip(network.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_accumulated_batches_are_penalised_once():
    network = nn.Linear(1, 1, bias=False)
    before = network.weight.detach().clone()
    optimizer = attached(network, 0.0, 0.5, rate=0.1)
    for _ in range(3):
        (network(torch.zeros(1, 1)).sum()).backward()  # no gradient of the data
    optimizer.step()
    torch.testing.assert_close(network.weight.detach(), before - 0.1 * before)


def test_biases_norms_and_what_has_no_gradient_stay():
    network = net()
    assert {id(w) for w in penalised(network)} == {id(network[n].weight) for n in (0, 2, 4)}
    network[0].weight.requires_grad_(False)
    before = network[0].weight.clone()
    optimizer = attached(network, 1.0, 1.0)
    network(torch.rand(2, 1, 6, 5)).sum().backward()
    optimizer.step()
    assert torch.equal(network[0].weight, before)
