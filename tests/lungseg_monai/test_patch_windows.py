"""Which windows become patches: laws over random layouts of labelled slices and blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungseg_monai.errors import ConfigError
from lungseg_monai.patch_windows import blocks_of, window_starts, window_stop

depths = st.lists(st.integers(1, 30), min_size=1, max_size=3)


@st.composite
def layouts(draw):
    """Blocks, which of their slices are labelled, window length and stride."""
    blocks = blocks_of(0, [(0, length) for length in draw(depths)])
    depth = blocks[-1][1]
    labelled = np.array(draw(st.lists(st.booleans(), min_size=depth, max_size=depth)))
    labelled &= np.random.default_rng(draw(st.integers(0, 99))).random(depth) < draw(st.sampled_from([0.05, 0.3, 1]))
    slices = draw(st.integers(1, 9))
    return blocks, labelled, slices, draw(st.integers(1, slices))


def covered(blocks, starts, slices):
    return {k for at in starts for k in range(at, window_stop(blocks, at, slices))}


@given(layouts())
def test_all_windows_cover_all_slices_and_stay_in_their_block(layout):
    blocks, labelled, slices, stride = layout
    starts = window_starts(labelled, blocks, slices, stride, only_labelled=False)
    assert starts == sorted(set(starts))
    assert covered(blocks, starts, slices) == set(range(len(labelled)))
    for at in starts:
        stop = window_stop(blocks, at, slices)
        (block,) = [(a, b) for a, b in blocks if a <= at < b]
        assert stop <= block[1] and stop - at == min(slices, block[1] - block[0])


@given(layouts())
def test_labelled_windows_are_exactly_those_that_hold_a_label(layout):
    blocks, labelled, slices, stride = layout
    everything = window_starts(labelled, blocks, slices, stride, only_labelled=False)
    chosen = window_starts(labelled, blocks, slices, stride)
    assert chosen == [at for at in everything if labelled[at : window_stop(blocks, at, slices)].any()]
    assert set(np.flatnonzero(labelled)) <= covered(blocks, chosen, slices)


@given(layouts())
def test_windows_of_the_run_hold_a_label_or_lie_between_two(layout):
    blocks, labelled, slices, stride = layout
    starts = window_starts(labelled, blocks, slices, stride, only_labelled="run")
    assert set(np.flatnonzero(labelled)) <= covered(blocks, starts, slices)
    for first, stop in blocks:
        (inside,) = np.nonzero(labelled[first:stop])
        here = [at for at in starts if first <= at < stop]
        assert bool(here) == bool(len(inside))
        if len(inside) and inside[-1] - inside[0] + 1 >= slices:
            assert min(here) == first + inside[0] and max(here) + slices == first + inside[-1] + 1
        elif len(inside):
            assert len(here) == 1 and labelled[here[0] : window_stop(blocks, here[0], slices)].any()


@pytest.mark.parametrize(("which", "count"), [(False, 33), (True, 12), ("run", 1)])
def test_how_many_windows_a_tumour_of_five_slices_gives(which, count):
    labelled = np.zeros(40, bool)
    labelled[20:25] = True
    starts = window_starts(labelled, [(0, 40)], only_labelled=which)
    assert len(starts) == count
    if which == "run":
        assert starts == [20]


def test_a_fifth_of_the_windows_at_either_end_is_left_out():
    every = window_starts(np.ones(40, bool), [(0, 40)])
    assert window_starts(np.ones(40, bool), [(0, 40)], skip_ends=0.2) == every[6:-6]
    labelled = np.zeros(40, bool)
    labelled[:3] = True
    assert window_starts(labelled, [(0, 40)], skip_ends=0.2) == []
    assert window_starts(labelled, [(0, 40)], only_labelled="run", skip_ends=0.2) == []


def test_windows_of_validation_do_not_overlap_but_for_the_last():
    assert window_starts(np.zeros(30, bool), [(0, 30)], stride=8, only_labelled=False) == [0, 8, 16, 22]
    assert window_starts(np.zeros(24, bool), [(0, 24)], stride=8, only_labelled=False) == [0, 8, 16]


@pytest.mark.parametrize("wrong", [{"slices": 0}, {"stride": 0}, {"stride": 9}, {"only_labelled": "runs"},
                                   {"skip_ends": 0.5}, {"skip_ends": -0.1}])  # fmt: skip
def test_numbers_that_make_no_windows(wrong):
    with pytest.raises(ConfigError):
        window_starts(np.ones(9, bool), [(0, 9)], **wrong)
