"""Whether two trainings are the same: their curves but for the time they took, their checkpoints bit for bit."""

import csv
from pathlib import Path
from typing import Any

import torch


def curves(run: Path) -> list[dict[str, Any]]:
    with (run / "curves.csv").open(newline="") as stream:
        return [{**row, "seconds": None, "waiting": None} for row in csv.DictReader(stream)]


def assert_same(one: Any, other: Any) -> None:
    """Two checkpoints, or parts of them."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other
