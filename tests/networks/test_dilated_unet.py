"""The dilated U-Net: how far it sees, by gradients; the same weights as Gao's; rates that can't be."""

import numpy as np
import pytest
import torch
from torch import nn

from lungseg_monai.errors import ConfigError
from lungseg_monai.networks import DilatedUNet, GaoUNet
from lungseg_monai.networks.dilated_unet import RATES, receptive_field, span

PLAIN = ((1, 1),) * 5
WIDER = ((1, 1), (1, 2), (1, 1), (2, 2), (2, 4))
SIZE = 512


def reached(rates, row: int, column: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last row and column of the input that output (row, column) has a gradient at."""
    network = DilatedUNet(width=1, rates=rates, norm=False).eval()
    network.pool = nn.AvgPool2d(2)  # all four values, where the maximum would pass the gradient to one
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.0 if parameter.dim() == 1 else 1 / parameter[0].numel())
    x = torch.ones(1, 1, SIZE, SIZE, requires_grad=True)
    network(x)[0, 0, row, column].backward()
    rows, columns = np.nonzero(x.grad[0, 0].numpy())
    return (rows.min(), rows.max()), (columns.min(), columns.max())


@pytest.mark.parametrize("rates", [PLAIN, RATES, WIDER], ids=["plain", "default", "wider"])
def test_gradients_reach_as_far_as_computed(rates):
    for row, column in ((240, 271), (255, 256)):
        assert reached(rates, row, column) == (span(rates, row), span(rates, column))


def test_the_receptive_field_is_the_largest_span_of_any_pixel():
    for rates, wanted in ((PLAIN, 204), (RATES, 332), (WIDER, 368)):
        sides = [last - first + 1 for first, last in (span(rates, pixel) for pixel in range(64))]
        assert receptive_field(rates) == max(sides) == wanted
    assert receptive_field() == receptive_field([list(pair) for pair in RATES])


def test_a_bottleneck_rate_adds_two_bottleneck_pixels_a_step():
    """A 3x3 convolution at rate r spans 2 r + 1 pixels, each of 16 x 16 in the slice."""
    for rate in (2, 3, 7):
        assert receptive_field((*PLAIN[:4], (1, rate))) - receptive_field(PLAIN) == 2 * 16 * (rate - 1)


def test_with_rates_of_one_it_is_the_unet_of_gao():
    torch.manual_seed(0)
    gao, x = GaoUNet(width=2).eval(), torch.rand(2, 1, 48, 32)
    plain, dilated = DilatedUNet(width=2, rates=PLAIN).eval(), DilatedUNet(width=2).eval()
    plain.load_state_dict(gao.state_dict())
    dilated.load_state_dict(gao.state_dict())
    torch.testing.assert_close(plain(x), gao(x))
    # by the batch's own statistics, which make the deepest maps large enough to be seen at the top
    assert (dilated.train()(x) - gao.train()(x)).abs().max() > 1e-2


def test_dropout_acts_in_training_only_and_changes_no_name():
    torch.manual_seed(0)
    network, x = DilatedUNet(width=2, dropout=0.5), torch.rand(1, 1, 32, 32)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))
    DilatedUNet(width=2).load_state_dict(network.state_dict())


@pytest.mark.parametrize(
    "rates",
    [PLAIN[:4], (*PLAIN, (1, 1)), (*PLAIN[:4], (2,)), (*PLAIN[:4], (2, 0)), (*PLAIN[:4], (2, 1.5)), (1, 1, 1, 2, 4)],
)
def test_rates_that_cannot_be_are_refused(rates):
    for use in (receptive_field, lambda rates: DilatedUNet(width=2, rates=rates)):
        with pytest.raises(ConfigError, match="5 pairs of whole numbers from 1"):
            use(rates)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="got 0; 32"):
        DilatedUNet(width=0)
    with pytest.raises(ConfigError, match=r"below 1, got 1\.0"):
        DilatedUNet(width=2, dropout=1.0)
