"""Table 5's losses against their formulas in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lungseg_monai.errors import ConfigError
from lungseg_monai.losses_tumor import LOSSES, tumor_loss


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits.astype(float)))


def bce(p, y, alpha):
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))


def tversky(p, y, alpha):
    both, false_positive, false_negative = (p * y).sum(), (p * (1 - y)).sum(), ((1 - p) * y).sum()
    return 1 - both / (both + alpha * false_positive + (1 - alpha) * false_negative)


FORMULAS = {
    "bce": bce,
    "tversky": tversky,
    "dice": lambda p, y, alpha: 1 - 2 * (p * y).sum() / (p.sum() + y.sum()),
    "iou": lambda p, y, alpha: 1 - (p * y).sum() / (p.sum() + y.sum() - (p * y).sum()),
    "focal": lambda p, y, alpha: -np.mean(y * (1 - p) ** 2 * np.log(p) + (1 - y) * p**2 * np.log(1 - p)),
    "bce_dice": lambda p, y, alpha: alpha * bce(p, y, 0) + (1 - alpha) * (1 - 2 * (p * y).sum() / (p.sum() + y.sum())),
}


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(FORMULAS)),
    seed=st.integers(0, 1000),
    alpha=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]),
    share=st.sampled_from([0.02, 0.5, 1.0]),
)
def test_equals_its_formula_over_the_whole_batch(name, seed, alpha, share):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (3, 1, 5, 7, 4)).astype(np.float32)
    target = (random.random(logits.shape) < share).astype(np.float32)
    target[1] = 0  # a window without tumour
    target[0, 0, 2, 3, 1] = 1
    loss = tumor_loss(name, alpha)(torch.from_numpy(logits), torch.from_numpy(target)).item()
    assert loss == pytest.approx(FORMULAS[name](sigmoid(logits), target, alpha), rel=1e-4, abs=1e-5)


def test_every_name_has_a_formula():
    assert set(FORMULAS) == set(LOSSES)


def false_loss(alpha, wanted, found):
    return tumor_loss("tversky", alpha)(
        torch.tensor(found).mul(40.0).sub(20.0)[None, None], torch.tensor(wanted)[None, None]
    )


def test_alpha_weighs_false_positives():
    """Table 5: the higher alpha, the fewer false positives and the more false negatives."""
    wanted, one_too_many, one_too_few = [1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]
    false_positive = [false_loss(alpha, wanted, one_too_many).item() for alpha in (0.1, 0.3, 0.5, 0.7, 0.9)]
    false_negative = [false_loss(alpha, wanted, one_too_few).item() for alpha in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert false_positive == sorted(false_positive) and false_positive[0] < false_positive[-1]
    assert false_negative == sorted(false_negative, reverse=True) and false_negative[0] > false_negative[-1]


def test_tversky_at_one_half_is_dice():
    logits, target = torch.randn(2, 1, 6, 5, 8), (torch.rand(2, 1, 6, 5, 8) < 0.1).float()
    torch.testing.assert_close(tumor_loss("tversky", 0.5)(logits, target), tumor_loss("dice")(logits, target))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_nothing_to_find_costs_little_and_has_a_finite_gradient(name):
    logits = torch.full((2, 1, 4, 6, 8), -40.0, requires_grad=True)
    loss = tumor_loss(name)(logits, torch.zeros(2, 1, 4, 6, 8))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-3)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_is_float32_whatever_the_logits_are(name, dtype):
    logits, target = torch.full((2, 1, 256, 128, 4), 5.0, dtype=dtype), torch.ones(2, 1, 256, 128, 4)
    with torch.autocast("cpu", torch.bfloat16):
        loss = tumor_loss(name)(logits, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, tumor_loss(name)(logits.float(), target))


def test_options_reach_the_loss():
    logits, target = torch.randn(1, 1, 4, 4, 8), (torch.rand(1, 1, 4, 4, 8) < 0.3).float()
    assert tumor_loss("focal", gamma=0.0)(logits, target) == pytest.approx(tumor_loss("bce")(logits, target).item())


def test_refuses_what_it_does_not_know():
    with pytest.raises(ConfigError, match=r"'tverski'; there are: bce, tversky.*Did you mean tversky"):
        tumor_loss("tverski")
    with pytest.raises(ConfigError, match=r"alpha must be a number from 0 to 1, got 1\.5"):
        tumor_loss("tversky", 1.5)
