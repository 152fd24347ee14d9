"""Devices by name, and what one process does without torchrun."""

import pytest
import torch

from lungseg_monai.errors import ConfigError
from lungseg_monai.training import processes


def test_devices_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert processes.pick_device("auto") == processes.pick_device(torch.device("cpu")) == torch.device("cpu")
    for missing in ("cuda:1", "mps"):
        with pytest.raises(ConfigError, match="PyTorch finds none"):
            processes.pick_device(missing)
    with pytest.raises(ConfigError, match="'gpu'"):
        processes.pick_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert processes.pick_device("auto") == torch.device("cuda:0")


def test_mixed_precision_only_where_the_engines_have_it(caplog):
    assert processes.use_amp(True, torch.device("cuda"))
    assert not processes.use_amp(True, torch.device("cpu")) and "CUDA only" in caplog.text
    assert not processes.use_amp(False, torch.device("cuda"))


def test_alone_a_process_is_the_main_one(monkeypatch):
    assert processes.is_main() and processes.from_main("x") == "x"
    assert processes.sum_over_processes([1.0, 2.0], torch.device("cpu")) == [1.0, 2.0]
    assert processes.gather({"a": 1}) == [{"a": 1}]
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(ConfigError, match="torchrun"):
        processes.join_processes()
