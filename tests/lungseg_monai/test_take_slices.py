"""Slices of a split within one patient."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lungseg_monai.transforms.take_slices import TakeSlicesd, take_slices

VOLUME = torch.arange(2 * 3 * 4 * 10).reshape(2, 3, 4, 10)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 10)).filter(lambda r: r[0] < r[1]), min_size=1))
def test_takes_what_numpy_would(ranges):
    wanted = [k for start, stop in ranges for k in range(start, stop)]
    assert torch.equal(take_slices(VOLUME, ranges), VOLUME[..., wanted])


@pytest.mark.parametrize("bad", [[3, 3], [5, 2], [-1, 4], [8, 11]])
def test_refuses_ranges_outside_of_the_volume(bad):
    with pytest.raises(ValueError, match="10 slices"):
        take_slices(VOLUME, [[0, 2], bad])


def test_the_item_says_which_and_none_keeps_all():
    transform = TakeSlicesd(["image"])
    assert transform({"image": VOLUME, "slices": [[1, 3]]})["image"].shape[-1] == 2
    assert transform({"image": VOLUME})["image"] is VOLUME
