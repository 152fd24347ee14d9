"""Laws of the regional decisions: what is no lung goes, what is lung stays however diseased, sides are right."""

import numpy as np
import pytest
from made_chests import dice, made_chest, probabilities
from scipy import ndimage

from lungseg_monai.segment.options import LungOptions
from lungseg_monai.segment.rules import decide

MM = 4.0
SEEDS = (0, 3)


def decided(labels, chest, hu=None, **options):
    hu = chest.hu if hu is None else hu
    return decide(probabilities(labels), hu.astype(np.float32), MM, LungOptions(**options))


def codes(decision):
    return [flag.code for flag in decision.flags]


def ball(shape, centre, radius_mm):
    distance = sum(((n - c) * MM) ** 2 for n, c in zip(np.ix_(*map(np.arange, shape)), centre, strict=True))
    return distance < radius_mm**2


def deep_point(lung, share=1.0):
    """The voxel of lung that is deepest, or the first that is as deep as a share of that."""
    depth = ndimage.distance_transform_edt(lung) * MM
    return np.argwhere(depth >= share * depth.max())[0]


def assert_lungs(decision, truth, at_least=0.98):
    for side in (1, 2):
        assert dice(decision.labels == side, truth == side) >= at_least


@pytest.mark.parametrize("seed", SEEDS)
def test_a_good_answer_is_left_as_it_is(seed):
    chest = made_chest(seed)
    probability = probabilities(chest.truth)
    decision = decide(probability, chest.hu.astype(np.float32), MM)
    assert decision.flags == ()
    assert_lungs(decision, np.where(probability[0] < 0.5, probability.argmax(axis=0), 0), 0.997)
    assert decision.probability.dtype == np.float32
    assert decision.labels.dtype == np.uint8
    assert all(0.8 < value < 1 for value in decision.confidence.values())


@pytest.mark.parametrize("fault", ["plain", "windpipe", "gas", "sides", "crumbs"])
def test_probabilities_agree_with_labels(fault):
    chest = made_chest(0)
    labels = {
        "plain": chest.truth,
        "windpipe": np.where(chest.air > 0, 1, chest.truth),
        "gas": np.where(chest.gas > 0, 2, chest.truth),
        "sides": np.where(chest.truth == 2, 1, chest.truth),
        "crumbs": np.where(ball(chest.truth.shape, (10, 10, 10), 14), 1, chest.truth),
    }[fault].astype(np.uint8)
    decision = decided(labels, chest)
    drawn = np.where(decision.probability[0] < 0.5, decision.probability[1:].argmax(axis=0) + 1, 0)
    np.testing.assert_array_equal(drawn, decision.labels)
    np.testing.assert_allclose(decision.probability.sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_windpipe_goes_and_can_be_asked_for(seed):
    chest = made_chest(seed)
    upper = np.zeros_like(chest.air)
    carina = int(np.flatnonzero((chest.truth > 0).any(axis=(0, 1)))[-1]) - 16  # well above it
    upper[:, :, carina:] = chest.air[:, :, carina:]
    leaked = np.where(upper > 0, 2, chest.truth).astype(np.uint8)
    decision = decided(leaked, chest)
    assert "airway_removed" in codes(decision)
    assert np.count_nonzero(decision.labels[upper > 0]) < 0.05 * np.count_nonzero(upper)
    assert_lungs(decision, chest.truth)
    asked = decided(leaked, chest, airways=True)
    assert "airway_removed" not in codes(asked)


@pytest.mark.parametrize("seed", SEEDS)
def test_gas_of_the_bowels_goes(seed):
    chest = made_chest(seed)
    decision = decided(np.where(chest.gas > 0, 2, chest.truth).astype(np.uint8), chest)
    assert np.count_nonzero(decision.labels[chest.gas > 0]) < 0.02 * np.count_nonzero(chest.gas)
    assert_lungs(decision, chest.truth)


def test_a_bulla_is_air_and_stays():
    chest = made_chest(0)
    centre = deep_point(chest.truth == 2)
    bulla = ball(chest.truth.shape, (centre[0], centre[1], centre[2] - 12), 32) & (chest.truth == 2)
    hu = np.where(bulla, -995, chest.hu)
    decision = decided(chest.truth, chest, hu)
    assert decision.flags == ()
    assert_lungs(decision, chest.truth)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_dense_lung_stays_whole(share):
    chest = made_chest(3)
    right = chest.truth == 1
    z = np.flatnonzero(right.any(axis=(0, 1)))
    dense = right & (np.arange(right.shape[2]) < z[0] + share * len(z))
    decision = decided(chest.truth, chest, np.where(dense, 45, chest.hu))
    assert_lungs(decision, chest.truth)
    assert decision.flags == ()


def test_pockets_near_the_lung_stay_and_crumbs_far_from_it_go():
    chest = made_chest(0)
    left = chest.truth == 2
    z = np.flatnonzero(left.any(axis=(0, 1)))
    apart = left.copy()
    apart[:, :, z[-1] - 5 : z[-1] - 3] = False  # a scar cuts the apex off
    labels = np.where(left & ~apart, 0, chest.truth).astype(np.uint8)
    apex = apart & (np.arange(left.shape[2]) > z[-1] - 4)
    labels[apex] = 1  # and the network thinks it is the other lung's
    crumb = ball(left.shape, (left.shape[0] // 2, left.shape[1] // 2, 3), 15)
    labels[crumb] = 2
    decision = decided(labels, chest)
    kept = decision.labels[ndimage.binary_erosion(apex)]
    assert kept.size
    assert (kept > 0).all()
    assert not decision.labels[crumb].any()
    assert "pieces_dropped" in codes(decision)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", ["half of the left", "all right", "all left", "swapped", "speckled"])
def test_sides_are_repaired(seed, fault):
    chest = made_chest(seed)
    truth, z = chest.truth, np.flatnonzero((chest.truth == 2).any(axis=(0, 1)))
    low = np.arange(truth.shape[2]) < z.mean()
    random = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=truth.shape), 2)
    labels = {
        "half of the left": np.where((truth == 2) & low, 1, truth),
        "all right": np.minimum(truth, 1),
        "all left": np.where(truth > 0, 2, 0),
        "swapped": np.where(truth > 0, 3 - truth, 0),
        "speckled": np.where((truth > 0) & (random > 1.3 * random.std()), 3 - truth, truth),
    }[fault].astype(np.uint8)
    decision = decided(labels, chest)
    drawn = 1 - probabilities(labels)[0] > 0.5
    assert_lungs(decision, truth * drawn, 0.985)
    assert ("sides_repaired" in codes(decision)) or fault == "speckled"


def test_the_image_seen_in_a_mirror_has_its_sides_by_place():
    chest = made_chest(0)
    mirrored = np.array([0, 2, 1], np.uint8)[chest.truth[::-1]]
    there = decide(probabilities(chest.truth), chest.hu.astype(np.float32), MM)
    back = decide(probabilities(mirrored), chest.hu[::-1].astype(np.float32), MM)
    np.testing.assert_array_equal(np.array([0, 2, 1], np.uint8)[back.labels[::-1]], there.labels)


def test_touching_lungs_are_parted_where_the_network_parts_them():
    chest = made_chest(0)
    truth = chest.truth.copy()
    z = int(np.flatnonzero((truth > 0).any(axis=(0, 1))).mean())
    x = [np.flatnonzero((truth[:, :, z] == side).any(axis=1)) for side in (1, 2)]
    rows = np.flatnonzero((truth[:, :, z] > 0).any(axis=0))[5:9]
    bridge = (slice(x[0][-1] - 6, x[1][0] + 6), slice(rows[0], rows[-1]), slice(z - 8, z + 8))
    middle = (x[0][-1] + x[1][0]) // 2
    filled = truth[bridge]
    side = np.where(np.arange(bridge[0].start, bridge[0].stop) <= middle, 1, 2)[:, None, None]
    filled[...] = np.where(filled == 0, side, filled)
    decision = decided(truth, chest)
    assert_lungs(decision, truth, 0.97)


def test_one_lung_and_none_are_said():
    chest = made_chest(0)
    decision = decided(np.where(chest.truth == 1, 1, 0).astype(np.uint8), chest)
    assert codes(decision) == ["one_lung"]
    assert list(decision.confidence) == ["lung_right"]
    nothing = decided(np.zeros_like(chest.truth), chest)
    assert [(flag.code, flag.severity) for flag in nothing.flags] == [("no_lung", "alarm")]
    assert not nothing.labels.any()
    assert nothing.confidence == {}


def test_a_lung_too_small_to_be_one_is_dropped_and_named():
    chest = made_chest(0)
    leg = ball(chest.truth.shape, (30, 40, 30), 13)
    decision = decided(leg.astype(np.uint8), chest)
    assert codes(decision) == ["small_lung_dropped", "no_lung"]
    assert not decision.labels.any()
    assert decided(leg.astype(np.uint8), chest, min_lung_ml=1).labels.any()


def test_lungs_of_very_different_size_are_flagged():
    chest = made_chest(0)
    z = np.flatnonzero((chest.truth == 2).any(axis=(0, 1)))
    small = (chest.truth == 2) & (np.arange(chest.truth.shape[2]) < z[0] + 0.7 * len(z))
    decision = decided(np.where(small, 0, chest.truth).astype(np.uint8), chest)
    assert codes(decision) == ["uneven_lungs"]


@pytest.mark.parametrize(
    ("axis", "last", "name"),
    [
        (0, False, "right"),
        (0, True, "left"),
        (1, False, "front"),
        (1, True, "back"),
        (2, False, "bottom"),
        (2, True, "top"),
    ],
)
def test_a_cut_lung_is_flagged_with_the_edge_that_cuts_it(axis, last, name):
    chest = made_chest(0)
    there = np.flatnonzero((chest.truth > 0).any(axis=tuple(a for a in range(3) if a != axis)))
    cut = slice(None, there[-1] - 7) if last else slice(there[0] + 8, None)
    where = tuple(cut if a == axis else slice(None) for a in range(3))
    decision = decide(probabilities(chest.truth)[(slice(None), *where)], chest.hu[where].astype(np.float32), MM)
    flags = [flag.what for flag in decision.flags if flag.code == "cut_at_edge"]
    assert flags == [f"the image ends within the lungs: {name}"]


@pytest.mark.parametrize(("radius_mm", "filled"), [(12, True), (20, False)])
def test_holes_of_nodules_are_lung_and_those_of_masses_are_not(radius_mm, filled):
    chest = made_chest(0)
    hole = ball(chest.truth.shape, deep_point(chest.truth == 1), radius_mm)
    dense = np.where(hole, np.int16(40), chest.hu)
    decision = decided(np.where(hole, 0, chest.truth).astype(np.uint8), chest, hu=dense)
    inside = decision.labels[ndimage.binary_erosion(hole)]
    assert (inside == (1 if filled else 0)).all()


def test_confidence_falls_where_the_network_is_unsure():
    chest = made_chest(0)
    probability = probabilities(chest.truth)
    sure = decide(probability, chest.hu.astype(np.float32), MM)
    left = chest.truth == 2
    probability[2] = np.where(left, 0.1 + 0.5 * probability[2], probability[2])
    probability[0] = 1 - probability[1] - probability[2]
    unsure = decide(probability, chest.hu.astype(np.float32), MM)
    assert unsure.confidence["lung_left"] < 0.5 < sure.confidence["lung_left"]
    assert unsure.confidence["lung_right"] == pytest.approx(sure.confidence["lung_right"], abs=0.02)
    assert "unsure" in codes(unsure)
