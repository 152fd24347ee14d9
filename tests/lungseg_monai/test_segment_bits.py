"""Masks of one bit a voxel grow as masks of bytes do, voxel by voxel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungseg_monai.segment.bits import Bits
from lungseg_monai.segment.spread import flood, grow, shrink, spread

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 6), st.sampled_from([1, 2, 9, 63, 64, 65, 128]))
SOME_AXES = st.sampled_from([[0], [1], [2], [0, 1], [2, 0], [0, 1, 2]])


def made(shape, share, seed, most=1):
    random = np.random.default_rng(seed)
    return (random.integers(1, most + 1, shape) * (random.random(shape) < share)).astype(np.uint8)


def spread_by_hand(labels, axes, diagonal, within):
    """The largest label beside each voxel along the axes; what is labelled stays."""
    grown = labels.copy()
    for axis in axes:
        padded = np.moveaxis(np.pad(grown if diagonal else labels, 1), axis, 0)
        inner = (slice(1, -1), slice(1, -1))
        beside = np.maximum(padded[(slice(None, -2), *inner)], padded[(slice(2, None), *inner)])
        grown = np.maximum(grown, np.moveaxis(beside, 0, axis) * within)
    return np.where(labels > 0, labels, grown)


@settings(max_examples=40, deadline=None)
@given(shape=SIZES, axes=SOME_AXES, diagonal=st.booleans(), bounded=st.booleans(), seed=st.integers(0, 99))
@pytest.mark.parametrize("most", [1, 3])
def test_labels_spread_as_by_hand(shape, axes, diagonal, bounded, seed, most):
    labels = made(shape, 0.1, seed, most)
    within = made(shape, 0.7, seed + 1) if bounded else np.ones(shape, np.uint8)
    found = spread(labels, axes, diagonal, within if bounded else None)
    assert found.dtype == np.uint8
    assert np.array_equal(found, spread_by_hand(labels, axes, diagonal, within))


@settings(max_examples=30, deadline=None)
@given(shape=SIZES, share=st.floats(0, 1), seed=st.integers(0, 99))
def test_bits_are_the_mask_and_what_is_made_of_them_stays_within_it(shape, share, seed):
    mask, other = made(shape, share, seed), made(shape, 0.5, seed + 1)
    bits, others = Bits.of(mask), Bits.of(other > 0)
    assert np.array_equal(bits.mask(), mask)
    assert np.array_equal(bits.inverted().mask(), 1 - mask)
    assert np.array_equal((bits & others).mask(), mask & other)
    assert np.array_equal((bits | others).mask(), mask | other)
    assert np.array_equal(bits.without(others).mask(), mask & (1 - other))
    assert np.array_equal(bits.inverted().inverted().words, bits.words)
    assert np.array_equal(bits.planes(slice(1, None, 2)).mask(), mask[1::2])


@pytest.mark.parametrize("spacing_mm", [(3.0, 3.0, 3.0), (0.8, 0.9, 2.5)])
def test_shrinking_is_growing_what_is_left(spacing_mm):
    mask = made((12, 17, 70), 0.02, 3)
    assert np.array_equal(shrink(1 - mask, 4.0, spacing_mm), 1 - grow(mask, 4.0, spacing_mm))
    assert grow(mask, 4.0, spacing_mm).sum() > 5 * mask.sum()


def test_a_flood_goes_on_to_the_end_of_what_it_may_fill_or_as_far_as_it_is_let():
    within = np.zeros((3, 4, 90), np.uint8)
    within[1, 2, :80] = 1
    start = np.zeros_like(within)
    start[1, 2, 0], start[1, 2, 79], start[0, 0, 89] = 1, 2, 1
    whole = flood(start, within, 400)
    assert whole[1, 2, :40].tolist() == [1] * 40
    assert whole[1, 2, 40:80].tolist() == [2] * 40
    assert np.array_equal(whole > 0, (within | start) > 0)
    assert np.count_nonzero(flood(start, within, 3)) == 3 + 2 * 3
