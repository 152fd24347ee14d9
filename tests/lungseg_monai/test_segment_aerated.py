"""Aerated lung joins the lung it touches; sure airways, far air and dense tissue do not."""

import numpy as np
import pytest

from lungseg_monai.segment.aerated import regain_aerated


def scene():
    """Lung in i < 10; beside it 10 <= i < 14 half seen; at i >= 20 half seen too but apart."""
    hu = np.full((30, 12, 11), 40, np.float32)
    hu[:14], hu[20:] = -850, -850
    right = np.zeros(hu.shape, np.float32)
    right[:10], right[10:14], right[20:] = 0.95, 0.2, 0.2
    return hu, np.stack([1 - right, 0.75 * right, 0.25 * right])


def test_what_hangs_on_the_lung_joins_it_and_what_lies_apart_does_not():
    hu, before = scene()
    after = regain_aerated(before, hu, 0.1)
    assert (after[0, :14] < 0.5).all() and (after[0, 14:] > 0.5).all()
    assert np.allclose(after.sum(axis=0), 1, atol=1e-6)
    assert (after[1, 10:14] > after[2, 10:14]).all()  # the side stays
    assert np.array_equal(after[:, :10], before[:, :10])
    assert before[0, 12, 0, 0] == pytest.approx(0.8)  # what came is left as it was


def test_dense_tissue_and_sure_air_stay_out():
    hu, before = scene()
    hu[10:12] = -100  # consolidation: the network's to decide
    assert (regain_aerated(before, hu, 0.1)[0, 10:14] > 0.5).all()
    hu, before = scene()
    before[:, 10:14] = np.array([0.99, 0.005, 0.005])[:, None, None, None]
    assert np.array_equal(regain_aerated(before, hu, 0.1), before)


def test_without_lung_nothing_joins():
    hu, before = scene()
    before[:, :10] = before[:, 10:11]
    assert np.array_equal(regain_aerated(before, hu, 0.1), before)


def test_air_as_dark_as_the_room_stays_out_and_thin_lung_joins():
    hu, before = scene()
    big = [np.repeat(np.repeat(one, 3, axis=-2), 3, axis=-1) for one in (hu, before)]
    hu, before = big
    hu[10:20], before[:, 10:20] = -995, np.array([0.8, 0.15, 0.05])[:, None, None, None]  # a pneumothorax
    free = regain_aerated(before, hu, 0.1)[0] < 0.5
    assert free[:11].all() and not free[12:19].any()
    hu[10:20] = -960  # a lung that is almost gone
    assert (regain_aerated(before, hu, 0.1)[0, :20] < 0.5).all()


def test_the_room_says_how_dark_air_is():
    hu, before = scene()
    hu, before = (np.repeat(np.repeat(one, 3, axis=-2), 3, axis=-1) for one in (hu, before))
    hu[10:20], before[:, 10:20] = -1000, np.array([0.8, 0.15, 0.05])[:, None, None, None]
    before[:, 20:] = np.array([1, 0, 0])[:, None, None, None]
    hu[20:] = -1100  # all values are 100 too low
    assert (regain_aerated(before, hu, 0.1)[0, 10:20] < 0.5).all()
    hu[20:] = -1000
    assert (regain_aerated(before, hu, 0.1)[0, 12:20] > 0.5).all()
