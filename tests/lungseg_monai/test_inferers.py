"""Averaged windows against a brute-force average; boxes, few slices, borders; what they may take of memory."""

import tracemalloc
from itertools import pairwise
from mmap import mmap
from time import sleep

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer

from lungseg_monai import inferers
from lungseg_monai.errors import ConfigError, ImageError, UsageError
from lungseg_monai.inferers import SliceWindowInferer
from lungseg_monai.lung_box import lung_box, scaled_box
from lungseg_monai.window_batches import GB
from lungseg_monai.window_stream import WindowAverage, WindowOptions, per_window_maximum, windows

torch.manual_seed(0)
CONVOLUTION = torch.nn.Conv3d(1, 1, 3, padding=1).requires_grad_(False)  # a field of one voxel, and zeros at each end


def network(x):
    return 4 * CONVOLUTION(x)


def brute_force(x, slices=8, stride=1):
    """All windows one by one, in float64; slice by slice the mean of the probabilities of those that hold it."""
    depth = x.shape[-1]
    starts = sorted({*range(0, depth - slices + 1, stride), depth - slices})
    found = [torch.sigmoid(network(x[..., start : start + slices])).double() for start in starts]
    planes = [
        torch.stack([y[..., k - start] for start, y in zip(starts, found, strict=True) if start <= k < start + slices])
        for k in range(depth)
    ]
    return torch.stack([plane.mean(0) for plane in planes], -1)


def volume(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=12, deadline=None)
@given(st.integers(8, 40), st.integers(1, 8), st.integers(1, 5))
def test_the_mean_is_that_of_brute_force(depth, stride, batch_size):
    x = volume(2, 1, 16, 24, depth, seed=depth)
    found = SliceWindowInferer(stride=stride, batch_size=batch_size)(x, network)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), brute_force(x, 8, stride), rtol=0, atol=1e-6)


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 12), st.data())
def test_windows_hold_every_slice_and_end_at_the_end(depth, slices, data):
    stride = data.draw(st.integers(1, slices))
    starts = windows(depth, slices, stride)
    held = {k for start in starts for k in range(start, start + slices)}
    assert held >= set(range(depth)) and starts == sorted(set(starts)) and starts[0] == 0
    assert starts[-1] + slices == max(depth, slices)
    assert all(b - a <= stride for a, b in pairwise(starts))


def test_monai_agrees_where_it_does_the_same():
    x = volume(1, 1, 24, 16, 21)
    by_monai = SlidingWindowInferer((24, 16, 8), 2, overlap=(0, 0, 1 - (1 + 1e-6) / 8), mode="constant")
    expected = by_monai(x, lambda window: torch.sigmoid(network(window)))
    torch.testing.assert_close(SliceWindowInferer()(x, network), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_few_slices_are_repeated_outwards_and_cut_off_again(depth):
    x = volume(1, 1, 16, 24, depth)
    before = (8 - depth) // 2
    parts = [x[..., :1]] * before + [x] + [x[..., -1:]] * (8 - depth - before)
    expected = torch.sigmoid(network(torch.cat(parts, -1)))[..., before : before + depth]
    torch.testing.assert_close(SliceWindowInferer()(x, network), expected, rtol=0, atol=1e-6)


def test_a_slice_in_every_window_of_its_own_value_stays_that_value():
    x = volume(1, 1, 5, 11, 3)
    found = SliceWindowInferer(sigmoid=False)(x, lambda window: window)
    torch.testing.assert_close(found, x, rtol=0, atol=1e-6)


def test_sides_that_do_not_divide_get_their_border_repeated():
    x = volume(1, 1, 21, 18, 9)
    seen = []

    def watching(window):
        seen.append(window.clone())
        return network(window)

    found = SliceWindowInferer()(x, watching)
    assert found.shape == x.shape and {tuple(one.shape[2:4]) for one in seen} == {(24, 24)}
    assert torch.equal(seen[0][:, :, 21:, :18], x[:, :, 20:21, :, :8].expand(-1, -1, 3, -1, -1))
    inside = brute_force(x)[..., :-1, :-1, :]  # where the field does not reach over the border
    torch.testing.assert_close(found[..., :-1, :-1, :].double(), inside, rtol=0, atol=1e-6)
    constant = SliceWindowInferer()(torch.full((1, 1, 21, 18, 9), 0.7), network)[0, 0, 1:, 1:, 4]
    assert float(constant.max() - constant.min()) < 1e-6  # no edge shows where zeros would have been put


def test_a_box_gives_the_same_inside_and_nothing_outside():
    x = volume(1, 1, 40, 64, 30)
    box = ((11, 22), (33, 50), (0, 30))
    seen = []

    def watching(window):
        seen.append(tuple(window.shape))
        return network(window)

    found = SliceWindowInferer(box=box)(x, watching)
    assert set(seen) == {(1, 1, 16, 24, 8)}  # 8 to 24, 32 to 56: from index 0 on in eights, as without a box
    inside = torch.zeros_like(x, dtype=torch.bool)
    inside[..., 11:22, 33:50, :] = True
    assert found[~inside].abs().max() == 0
    torch.testing.assert_close(found[inside].double(), brute_force(x)[inside], rtol=0, atol=1e-6)


def test_a_box_along_z_is_as_a_volume_of_its_own_and_grows_where_it_is_short():
    x = volume(1, 1, 16, 16, 30)
    found = SliceWindowInferer(box=((0, 16), (0, 16), (5, 21)))(x, network)
    torch.testing.assert_close(found[..., 5:21].double(), brute_force(x[..., 5:21]), rtol=0, atol=1e-6)
    assert found[..., :5].max() == found[..., 21:].max() == 0
    for start, stop, first in ((10, 13, 8), (0, 2, 0), (28, 30, 22)):
        found = SliceWindowInferer(box=((0, 16), (0, 16), (start, stop)))(x, network)
        expected = brute_force(x[..., first : first + 8])[..., start - first : stop - first]
        torch.testing.assert_close(found[..., start:stop].double(), expected, rtol=0, atol=1e-6)
        assert np.flatnonzero(found[0, 0].amax((0, 1))).tolist() == list(range(start, stop))


def test_the_margin_of_a_box_is_in_millimetres():
    mask = np.zeros((50, 60, 20), bool)
    mask[20:30, 5:25, 3:19] = True
    assert lung_box(mask, (1.0, 2.0, 5.0), margin_mm=12.0) == ((8, 42), (0, 31), (0, 20))
    assert lung_box(mask, (1.0, 2.0, 5.0), margin_mm=0) == ((20, 30), (5, 25), (3, 19))
    assert lung_box(np.zeros((2, 3, 4), bool), (1, 1, 1)) is None
    with pytest.raises(UsageError, match="margin_mm"):
        lung_box(mask, (1, 1, 1), margin_mm=-1)
    assert scaled_box(((20, 31), (5, 25), (3, 19)), (50, 60, 20), (25, 30, 20)) == ((10, 16), (2, 13), (3, 19))


def test_each_window_is_prepared_whole_before_it_is_cut_to_the_box():
    x = volume(1, 1, 16, 16, 12).numpy()[0, 0]
    x[0, 0] = 3.0  # outside the box, and the largest
    box = ((8, 16), (8, 16), (0, 12))
    options = WindowOptions(sigmoid=False, box=box, prepare_window=per_window_maximum)
    found = WindowAverage(lambda given: given, options)(x)
    np.testing.assert_allclose(found[8:, 8:], x[8:, 8:] / 3, atol=1e-6)
    assert not per_window_maximum(np.zeros((2, 2, 8), np.float32)).any()


def test_kept_as_half_or_as_bytes():
    x = volume(1, 1, 16, 16, 12)
    exact = SliceWindowInferer()(x, network)
    half, byte = (SliceWindowInferer(keep=keep)(x, network) for keep in ("float16", "uint8"))
    assert half.dtype == torch.float16 and byte.dtype == torch.uint8
    assert (half.float() - exact).abs().max() < 5e-4 and (byte.float() / 255 - exact).abs().max() < 0.5 / 255 + 1e-6


def test_the_image_keeps_its_place():
    affine = torch.diag(torch.tensor([1.5, 0.7, 3.0, 1.0], dtype=torch.float64))
    image = MetaTensor(volume(1, 1, 16, 16, 9), affine=affine)
    found = SliceWindowInferer()(image, network)
    assert isinstance(found, MetaTensor) and torch.equal(found.affine, affine)


def test_planes_come_in_order_and_only_a_windows_worth_is_held():
    x = np.zeros((64, 64, 400), np.float32)
    average = WindowAverage(lambda given: given)
    next(average.planes(x[..., :9]))
    tracemalloc.start()
    seen = [k for k, plane in average.planes(x) if plane.shape == (64, 64)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == list(range(400))
    assert peak < 8 * 8 * 64 * 64 * 4  # eight windows; the volume has fifty


class Greedy:
    """Takes `each` bytes a voxel while it runs, beside what it was given."""

    def __init__(self, each):
        self.each, self.seen = each, []

    def __call__(self, given):
        self.seen.append(given.shape)
        with mmap(-1, int(given.size * self.each)) as held:  # of the system, not of what the process has kept
            np.frombuffer(held, np.uint8)[:] = 1
            sleep(0.02)  # so that a busy machine sees it too
        return given


def test_batches_keep_to_the_memory():
    from lungseg_monai.memory_use import PeakMemory, resident_bytes

    x = np.zeros((128, 128, 24), np.float32)  # a window: 131 thousand voxels, 131 MB
    greedy = Greedy(1000)
    average = WindowAverage(greedy, WindowOptions(batch_size=16, memory_gb=0.6, sigmoid=False))
    before = resident_bytes()
    with PeakMemory() as seen:
        average(x)
    assert 2 <= average.batch_size <= 4 and "memory_gb" in average.notes[0]
    assert seen.peak_bytes - before < 0.6 * GB
    assert greedy.seen[-1][2:] == (128, 128, 8)


def test_what_can_never_fit_is_refused_before_it_is_tried():
    greedy = Greedy(1000)
    x = np.zeros((128, 128, 24), np.float32)
    with pytest.raises(ImageError, match=r"128x128x8 .* memory_gb allows 0.05.*box"):
        WindowAverage(greedy, WindowOptions(memory_gb=0.05))(x)
    assert {shape[2] for shape in greedy.seen} == {32, 64}


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_means_fewer_at_once_and_is_said(error):
    def small(window):
        if len(window) > 2:
            raise error
        return network(window)

    x = volume(1, 1, 16, 16, 23)
    inferer = SliceWindowInferer(batch_size=9)
    with pytest.warns(UserWarning, match="2 windows at once, not 4: 4 ran out of memory"):
        found = inferer(x, small)
    torch.testing.assert_close(found.double(), brute_force(x), rtol=0, atol=1e-6)
    assert len(inferer.notes) == 2

    def never(window):
        raise error

    with pytest.raises(ImageError, match="out of memory on one window of 16x16x8"):
        SliceWindowInferer()(x, never)
    with pytest.raises(ZeroDivisionError):  # other errors are not ours to hide
        SliceWindowInferer()(x, lambda window: 1 / 0)


def test_bf16_is_used_where_the_processor_has_it_and_else_said(monkeypatch):
    types = []

    def telling(window):
        types.append(CONVOLUTION(window).dtype)
        return network(window)

    x = volume(1, 1, 16, 16, 9)
    monkeypatch.setattr(inferers, "has_bf16", lambda: True)
    close = SliceWindowInferer(precision="bf16")(x, telling)
    assert set(types) == {torch.bfloat16} and (close.double() - brute_force(x)).abs().max() < 0.02
    monkeypatch.setattr(inferers, "has_bf16", lambda: False)
    types.clear()
    inferer = SliceWindowInferer(precision="bf16")
    with pytest.warns(UserWarning, match="bf16"):
        found = inferer(x, telling)
    assert set(types) == {torch.float32} and inferer.notes == ["cpu does not compute in bf16 here: float32"]
    torch.testing.assert_close(found.double(), brute_force(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 9},
        {"stride": 0},
        {"slices": 0},
        {"batch_size": 0},
        {"memory_gb": 0},
        {"precision": "fp8"},
        {"keep": "f"},
    ],
)
def test_options_that_make_no_sense(options):
    with pytest.raises((UsageError, ConfigError), match=str(next(iter(options.values())))):
        SliceWindowInferer(**options)


def test_input_that_makes_no_sense():
    x = volume(1, 1, 16, 16, 9)
    with pytest.raises(ImageError, match=r"\(B, 1, H, W, D\)"):
        SliceWindowInferer()(x[0], network)
    for box in (((0, 17), (0, 16), (0, 9)), ((4, 4), (0, 16), (0, 9)), ((0, 8), (0, 8))):
        with pytest.raises(UsageError, match="box"):
            SliceWindowInferer(box=box)(x, network)
    with pytest.raises(ImageError, match="same shape"):
        SliceWindowInferer()(x, lambda window: torch.cat([window, window], 1))
