"""The learning rate over a run, and over a run that was stopped."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lungseg_monai.training.schedule import learning_rates, warmup_cosine


@given(total=st.integers(1, 500), warmup=st.floats(0, 1))
def test_rises_then_falls_between_0_and_1(total, warmup):
    factors = [warmup_cosine(step, total, warmup) for step in range(total + 1)]
    peak = factors.index(max(factors))
    assert all(0 <= factor <= 1 for factor in factors)
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert factors[0] > 0


def test_ends_at_0_and_stays_there():
    assert warmup_cosine(100, 100, 0.1) == pytest.approx(0)
    assert warmup_cosine(150, 100, 0.1) == pytest.approx(0)


def rates(name, total, steps, state=None):
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = learning_rates(optimizer, name, total, 0.2)
    if state:
        scheduler.load_state_dict(state)
    seen = []
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        seen.append(scheduler.get_last_lr()[0])
    return seen, scheduler.state_dict()


def test_a_resume_goes_on_and_a_longer_run_takes_the_longer_schedule():
    straight, _ = rates("cosine", 20, 20)
    first, state = rates("cosine", 20, 8)
    rest, _ = rates("cosine", 20, 12, state)
    assert first + rest == straight
    longer, _ = rates("cosine", 40, 40)
    extended, _ = rates("cosine", 40, 20, rates("cosine", 20, 20)[1])
    assert extended == longer[20:]


def test_constant_and_unknown():
    assert set(rates("constant", 5, 9)[0]) == {0.5}
    with pytest.raises(ValueError, match="linear"):
        rates("linear", 5, 1)
