"""The speed table of `lungseg segment`: its figures are the runs', its cases and rivals what they are called."""

import sys

import nibabel
import numpy as np
import pytest

from benchmarks.peers.measure import Taken
from benchmarks.segmentation import cases, page, rival, timing
from benchmarks.segmentation.threshold import ThresholdModel
from lungseg_monai.segment.image import Image

SAID = "scan                        0.25 s\nsegment: second opinion     {:.3f} s\nP-1  lung_right 2132 ml, 3.8 s\n"
SAID_HALF = SAID.format(0.5)


def taken(wall_s, cpu_s=1.0, peak_mb=None, code=0, said=SAID_HALF):
    return Taken(wall_s, cpu_s, peak_mb, code, said)


def row(name, *runs):
    return timing.Row(name, ["true"], list(runs))


def test_a_row_is_the_median_of_all_runs_but_the_first():
    one = row("x", taken(9, 8, 700, said=SAID.format(9)), *(taken(s, s / 2, said=SAID.format(s)) for s in (1, 5, 2)))
    assert (one.wall_s, one.cpu_s, one.peak_mb, one.failed) == (2, 1, 700, None)
    assert one.stages == {"scan": 0.25, "segment: second opinion": 2}
    assert row("x", taken(9)).wall_s == 9
    assert row("x", taken(1), taken(1, code=3, said="a\nwhy it failed\n")).failed == "why it failed"


def test_commands_run_in_turn_and_failures_only_once(tmp_path):
    good = timing.Row("good", [sys.executable, "-c", "print('scan  0.50 s')"])
    bad = timing.Row("bad", [sys.executable, "-c", "raise SystemExit('no weights')"])
    timing.in_turn([good, bad], tmp_path, 2)
    assert len(good.runs) == 3 and len(good.timed) == 2 and good.stages == {"scan": 0.5} and good.peak_mb > 1
    assert len(bad.runs) == 1 and bad.failed == "no weights"


def test_the_page_says_what_was_measured():
    scaled = "network 40.00 s scaled from 20 slices; 43.00 s in all\n"
    single = [
        row("`lungseg segment`, openvino", taken(4.4, 5, 640), taken(3.5, 4)),
        row("`lungseg segment`, torch", taken(1, code=2, said="torch is missing")),
        row("U-Net like lungmask's R231, random weights", taken(9, 30, 2000, said=scaled)),
    ]
    text = page.text(single, [row("openvino", taken(9), taken(9.5, 12, 900))], [], 5)
    assert "| `lungseg segment`, openvino | 3.50 | 4.00 | 640 | 1 |" in text
    assert "failed: torch is missing" in text
    assert "| 43 (scaled) |" in text and "scaled to all, 40 s of 43 s" in text
    assert "| openvino | 9.50 | 1.50 | 2.00 | 900 |" in text  # (9.5 - 3.5) / 4, (12 - 4) / 4
    assert "| segment: second opinion | 0.50 |" in text and "## 2000 slices" not in text


def test_the_tall_image_is_the_chest_above_a_body(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    hu = random.integers(-1000, 100, (7, 5, 4)).astype(np.int16)
    affine = np.diag([-0.9, -0.9, 1.8, 1.0])
    monkeypatch.setattr(cases, "_read", lambda case: (hu, affine.copy()))
    monkeypatch.setattr(cases, "TALL", 20)
    image = nibabel.load(cases.tall_image(tmp_path, tmp_path / "tall.nii"))
    made = np.asarray(image.dataobj)
    assert made.shape == (7, 5, 20) and made.dtype == np.int16
    np.testing.assert_allclose(image.header.get_zooms(), (0.9, 0.9, 0.6), rtol=1e-6)
    np.testing.assert_allclose(made[:, :, 8::3], hu, atol=40)  # its own slices, with noise
    np.testing.assert_allclose(made[:, :, 9], (2 * hu[:, :, 0].astype(float) + hu[:, :, 1]) / 3, atol=40)
    assert all(np.abs(made[:, :, k] - hu[:, :, 0]).max() < 100 for k in range(8))


def test_rivals_answer_as_they_should():
    pytest.importorskip("torch")
    import torch

    made = rival.network()
    with torch.inference_mode():
        assert made(torch.zeros(2, 1, 32, 48)).shape == (2, 3, 32, 48)
    levels = [one for one in made.modules() if isinstance(one, torch.nn.Conv2d) and one.kernel_size == (3, 3)]
    assert [one.out_channels for one in levels[:10:2]] == [64, 128, 256, 512, 1024] and len(levels) == 18
    hu = np.full((40, 40, 20), 40, np.int16)
    hu[:3], hu[-3:], hu[5:18, 8:30], hu[22:35, 8:30] = -1000, -1000, -850, -850
    found = ThresholdModel().segment(Image(hu, np.diag([-8.0, -8.0, 8.0, 1.0])))
    assert found.labels_ijk.shape == hu.shape and found.timings_s["threshold"] > 0
