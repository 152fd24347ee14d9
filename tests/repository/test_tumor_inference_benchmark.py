"""The benchmark of tumour inference runs small, and says what it did not time."""

import numpy as np
import torch

from benchmarks import tumor_inference


class Stand:
    """As a backend: the benchmark's own network, in float32 alone."""

    notes: tuple[str, ...] = ("cpu does not compute in bf16 here: float32",)
    precision = "float32"

    def __init__(self, bundle):
        numbers, weights = torch.load(bundle / "numbers.pt", weights_only=True)
        self.network = tumor_inference.network_of(numbers)
        self.network.load_state_dict(weights)

    def __call__(self, x):
        with torch.inference_mode():
            return self.network(torch.from_numpy(x)).numpy()


def test_it_runs_small_and_agrees_with_monai(monkeypatch, capsys):
    def written(bundle, network, weights, numbers):
        torch.save((numbers, weights), bundle / "numbers.pt")
        return bundle

    monkeypatch.setattr(tumor_inference, "written", written)
    monkeypatch.setattr(tumor_inference, "open_backend", lambda bundle, *asked: Stand(bundle))
    small = "--width 1 --size 32 --depth 40 --windows 2 --threads 1 --stride 4 --network unet3d"
    assert tumor_inference.main(small.split()) == 0
    told = capsys.readouterr().out
    assert "9 windows, 2 timed, the rest reckoned" in told and told.count("skipped: cpu does not compute in bf16") == 2
    rows = [line for line in told.splitlines() if line.startswith("| ours") and "skipped" not in line]
    everywhere = [line for line in rows if "box" not in line]
    assert len(rows) == 4 and all(line.endswith("| 1.0000 |") for line in everywhere)


def test_dice_and_time_are_what_they_say():
    a, b = np.zeros(10, bool), np.zeros(10, bool)
    assert tumor_inference.dice_of(a, b) == 1
    a[:4], b[2:6] = True, True
    assert tumor_inference.dice_of(a, b) == 0.5
    ours, theirs = (tumor_inference.Timed(*times, a) for times in ((2.0, 4.0), (6.0, 6.0)))
    assert tumor_inference.row("x", ours, theirs, 5, 10, 1) == "| x | 10.0 | 6.00 | 20.0 | 3.00 | 1.0000 |"
