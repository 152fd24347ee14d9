"""Laws of the classical method and of the second opinion: right on healthy chests, whichever way the axes run."""

import numpy as np
import pytest
from made_chests import dice, made_chest

from lungseg_monai.segment.opinion import second_opinion
from lungseg_monai.segment.threshold import threshold_lungs

GRID = (4.0, 4.0, 4.0)
TURNS = [((0, 1, 2), ()), ((0, 1, 2), (0, 1)), ((2, 0, 1), (0, 2)), ((1, 2, 0), (1,)), ((0, 2, 1), (0, 1, 2))]


def turned(array, affine, order, flips):
    """The same image with its axes in another order and direction."""
    for axis in flips:
        array = np.flip(array, axis)
        affine = affine.copy()
        affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
        affine[:3, axis] *= -1
    return np.transpose(array, order), affine[:, [*order, 3]]


@pytest.mark.parametrize("seed", [0, 1, 4])
def test_healthy_lungs_are_found(seed):
    chest = made_chest(seed)
    labels = threshold_lungs(chest.hu, chest.affine_ras)
    assert labels.dtype == np.uint8
    for side in (1, 2):
        assert dice(labels == side, chest.truth == side) > 0.97
    assert not labels[chest.gas > 0].any()


@pytest.mark.parametrize(("order", "flips"), TURNS)
def test_axes_may_run_any_way(order, flips):
    chest = made_chest(0)
    hu, affine = turned(chest.hu, chest.affine_ras, order, flips)
    expected, _ = turned(threshold_lungs(chest.hu, chest.affine_ras), chest.affine_ras, order, flips)
    found = threshold_lungs(hu, affine)
    assert found.shape == hu.shape
    assert dice(found == 1, expected == 1) > 0.998
    assert dice(found == 2, expected == 2) > 0.998


def test_fine_grids_are_done_at_their_own_resolution():
    chest = made_chest(2, (1.6, 1.6, 4.0))
    labels = threshold_lungs(chest.hu, chest.affine_ras)
    for side in (1, 2):
        assert dice(labels == side, chest.truth == side) > 0.975


def test_no_lung_is_found_where_there_is_none():
    chest = made_chest(0)
    assert not threshold_lungs(np.maximum(chest.hu, -150), chest.affine_ras).any()
    assert not threshold_lungs(chest.hu[:, :, :8], chest.affine_ras).any()


@pytest.mark.parametrize("seed", range(4))
def test_both_opinions_agree_on_healthy_chests(seed):
    chest = made_chest(seed)
    assert second_opinion(chest.truth, chest.hu.astype(np.float32), GRID[0]) == ()


def test_dense_lung_is_no_disagreement_but_lost_and_swapped_lungs_are():
    chest = made_chest(0)
    hu = chest.hu.astype(np.float32)
    z = np.flatnonzero((chest.truth == 2).any(axis=(0, 1)))
    lower = (chest.truth == 2) & (np.arange(hu.shape[2]) < z[0] + 0.5 * len(z))
    assert second_opinion(chest.truth, np.where(lower, 45, hu), GRID[0]) == ()
    for wrong, what in (
        (np.where(chest.truth == 2, 0, chest.truth), "lung_left 0 ml"),
        (np.where(chest.truth > 0, 3 - chest.truth, 0), "lung_right"),
        (np.where(lower, 0, chest.truth), "lung_left"),
    ):
        flags = second_opinion(wrong.astype(np.uint8), hu, GRID[0])
        assert [flag.code for flag in flags] == ["disagrees_with_threshold"]
        assert what in flags[0].what
