"""Gao's loss against the formulas of section 2.4.2 in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lungseg_monai.losses import BCEDiceLoss


def paper(logits: np.ndarray, target: np.ndarray, alpha: float, epsilon: float) -> float:
    p, y = (1 / (1 + np.exp(-logits.astype(float)))).ravel(), target.astype(float).ravel()
    cross_entropy = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    dice = 1 - (2 * (y * p).sum() + epsilon) / (y.sum() + p.sum() + epsilon)
    return alpha * cross_entropy + (1 - alpha) * dice


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    alpha=st.floats(0, 1),
    epsilon=st.sampled_from([1e-6, 1e-3, 1.0]),
    share=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
)
def test_equals_the_paper(seed, alpha, epsilon, share):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (3, 1, 5, 7)).astype(np.float32)
    target = (random.random(logits.shape) < share).astype(np.float32)
    loss = BCEDiceLoss(alpha, epsilon)(torch.from_numpy(logits), torch.from_numpy(target))
    assert loss.item() == pytest.approx(paper(logits, target, alpha, epsilon), rel=1e-5, abs=1e-6)


def test_sums_run_over_the_batch_not_over_each_slice():
    """A blank slice beside a full one must not count as a slice of its own."""
    logits = torch.tensor([[[[20.0, 20.0]]], [[[-20.0, -20.0]]]])
    target = torch.tensor([[[[1.0, 1.0]]], [[[0.0, 0.0]]]])
    assert BCEDiceLoss(alpha=0.0)(logits, target).item() == pytest.approx(0, abs=1e-6)
    assert BCEDiceLoss(alpha=0.0)(-logits, target).item() == pytest.approx(1, abs=1e-6)


def test_nothing_predicted_where_nothing_is_costs_nothing_and_has_a_finite_gradient():
    logits = torch.full((2, 1, 4, 4), -40.0, requires_grad=True)
    loss = BCEDiceLoss()(logits, torch.zeros(2, 1, 4, 4))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert torch.isfinite(logits.grad).all()


def test_large_batches_do_not_overflow_in_half_precision():
    logits = torch.full((4, 1, 256, 256), 5.0, dtype=torch.float16)
    assert torch.isfinite(BCEDiceLoss()(logits, torch.ones(4, 1, 256, 256)))


@pytest.mark.parametrize("arguments", [{"alpha": 1.5}, {"alpha": -0.1}, {"epsilon": 0.0}])
def test_refuses_what_the_formula_does_not_allow(arguments):
    with pytest.raises(ValueError, match=str(next(iter(arguments.values())))):
        BCEDiceLoss(**arguments)
