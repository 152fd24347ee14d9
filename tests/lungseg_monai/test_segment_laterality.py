"""Laws of the check of sides: silent on ordinary chests, loud on mirrored ones, never sure of what it can't see."""

import numpy as np
import pytest
from made_chests import made_chest

from lungseg_monai.segment.laterality import check_sides, evidence

MM = 4.0
SEEDS = range(6)


def mirrored(chest):
    """The chest as a wrong header shows it: labels by place, organs on the wrong side."""
    return np.array([0, 2, 1], np.uint8)[chest.truth[::-1]], chest.hu[::-1].astype(np.float32)


@pytest.mark.parametrize("seed", SEEDS)
def test_ordinary_chests_raise_nothing(seed):
    chest = made_chest(seed)
    assert check_sides(chest.truth, chest.hu.astype(np.float32), MM) == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_mirrored_chests_are_noticed(seed):
    flags = check_sides(*mirrored(made_chest(seed)), MM)
    assert [flag.code for flag in flags] == ["situs"]
    assert "mirrored" in flags[0].what


@pytest.mark.parametrize("seed", SEEDS)
def test_evidence_changes_its_sign_in_a_mirror(seed):
    chest = made_chest(seed)
    there, back = evidence(chest.truth, chest.hu.astype(np.float32), MM), evidence(*mirrored(chest), MM)
    assert there.sum == pytest.approx(-back.sum, abs=1e-6)
    assert there.sum > 1


def test_swapped_labels_are_an_alarm():
    chest = made_chest(0)
    swapped = np.where(chest.truth > 0, 3 - chest.truth, 0).astype(np.uint8)
    flags = check_sides(swapped, chest.hu.astype(np.float32), MM)
    assert [(flag.code, flag.severity) for flag in flags] == [("sides_swapped", "alarm")]


def test_one_lung_a_small_lung_and_a_slab_say_nothing():
    labels, hu = mirrored(made_chest(0))
    z = np.flatnonzero(labels.any(axis=(0, 1)))
    low = np.arange(labels.shape[2]) < z[0] + 0.7 * len(z)
    slab = slice(z[0] + 20, z[0] + 45)
    for part, image in (
        (np.where(labels == 1, 1, 0), hu),
        (np.where((labels == 2) & low, 0, labels), hu),
        (labels[:, :, slab], hu[:, :, slab]),
        (labels * 0, hu),
    ):
        assert evidence(part.astype(np.uint8), image, MM).sum == 0
        assert check_sides(part.astype(np.uint8), image, MM) == ()
