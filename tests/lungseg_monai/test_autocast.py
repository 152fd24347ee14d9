"""Which precision is taken, by device and processor."""

import pytest
import torch

from lungseg_monai.errors import ConfigError
from lungseg_monai.training import autocast
from lungseg_monai.training.autocast import AutocastInferer, pick_precision

CPU = torch.device("cpu")


def test_auto_is_bf16_on_a_cpu_that_has_it_alone(monkeypatch):
    monkeypatch.setattr(autocast, "has_bf16", lambda: True)
    assert pick_precision("auto", CPU) == "bf16"
    assert pick_precision("auto", torch.device("cuda")) == "float32"
    assert pick_precision("float32", CPU) == "float32"
    monkeypatch.setattr(autocast, "has_bf16", lambda: False)
    assert pick_precision("auto", CPU) == "float32"


def test_bf16_by_name_is_taken_with_a_warning_where_it_is_emulated(monkeypatch, caplog):
    monkeypatch.setattr(autocast, "has_bf16", lambda: False)
    assert pick_precision("bf16", torch.device("cuda")) == "bf16" and not caplog.text
    assert pick_precision("bf16", CPU) == "bf16" and "emulates" in caplog.text
    with pytest.raises(ConfigError, match="not on mps"):
        pick_precision("bf16", torch.device("mps"))
    with pytest.raises(ConfigError, match="'half'"):
        pick_precision("half", CPU)


def test_the_inferer_gives_float32_close_to_the_network():
    network, x = torch.nn.Conv3d(1, 2, 3, padding=1), torch.rand(2, 1, 6, 5, 8)
    exact, close = AutocastInferer()(x, network), AutocastInferer("bf16")(x, network)
    torch.testing.assert_close(exact, network(x))
    assert close.dtype == torch.float32 and not torch.equal(close, exact)
    torch.testing.assert_close(close, exact, atol=0.02, rtol=0.02)
