"""Findings in made chests: labels follow the convention, HU stay HU, each keeps to its side."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from lungseg_monai.errors import UsageError
from lungseg_monai.synthesis.chest import LEFT, RIGHT, Chest
from lungseg_monai.synthesis.pathology import FINDINGS, FINDINGS_HELP, MIDLINE, afflict
from lungseg_monai.synthesis.pathology.fields import smooth_noise
from lungseg_monai.synthesis.pathology.mix import ENDINGS, ILLNESSES, SEVERE, SMALL, plan_findings

KEEPS_LUNG = {
    "nodules", "metastases", "spiculated_nodule", "wall_nodule", "miliary", "ground_glass", "peripheral_opacities",
    "patchy_consolidation", "lobar_consolidation", "whole_consolidation", "dependent_consolidation", "crazy_paving",
    "septal_thickening", "congestion", "dependent_atelectasis", "plate_atelectasis", "lobar_collapse",
    "round_atelectasis", "centrilobular_emphysema", "diffuse_emphysema", "paraseptal_emphysema", "bullae", "cysts",
    "mosaic", "fibrosis", "honeycombing", "apical_scar", "radiation_scar", "bronchiectasis", "tree_in_bud",
    "pneumomediastinum", "subcutaneous_emphysema",
}  # fmt: skip
TAKES_LUNG = {
    "wall_mass", "lung_mass", "hilar_mass", "effusion", "massive_effusion", "loculated_effusion", "empyema",
    "fissure_fluid", "pleural_thickening", "pleural_plaques", "pleural_tumour", "small_pneumothorax", "pneumothorax",
    "hydropneumothorax", "pneumonectomy", "whole_collapse", "hiatal_hernia", "wide_oesophagus", "pericardial_effusion",
}  # fmt: skip
EMPTIES_SIDE = {"pneumonectomy", "whole_collapse"}
NO_AIR_LEFT = {"whole_collapse"}


def make_plain_chest(spacing_mm: float = 5.0) -> Chest:
    """Two off-centre ellipsoids in an elliptic body, the left one smaller; vessels are noise."""
    shape = tuple(round(size / spacing_mm) for size in (372, 276, 300))
    i, j, k = np.meshgrid(*[np.arange(size, dtype=np.float32) * spacing_mm for size in shape], indexing="ij")
    x, y, z = i - 180, j - 130, k - 170
    hu = np.full(shape, -1000, np.float32)
    body = (x / 170) ** 2 + (y / 115) ** 2 < 1
    hu[body] = 40
    hu[body & ((x / 160) ** 2 + (y / 105) ** 2 > 1)] = -100
    hu[(x / 22) ** 2 + ((y - 75) / 20) ** 2 < 1] = 350
    cavity = np.zeros(shape, np.uint8)
    depth = np.full(shape, -1e3, np.float32)
    for label, (cx, half) in {RIGHT: (-75, (58, 85, 125)), LEFT: (78, (52, 82, 120))}.items():
        radius = np.sqrt(((x - cx) / half[0]) ** 2 + (y / half[1]) ** 2 + ((z + 20) / half[2]) ** 2)
        depth = np.maximum(depth, (1 - radius) * half[0])
        cavity[radius < 1] = label
    fine = smooth_noise(shape, spacing_mm, 8, np.random.default_rng(1))
    hu = np.where(cavity > 0, np.clip(-860 + 60 * fine, -1000, -700), hu).astype(np.float32)
    hu[(cavity > 0) & (fine > 2.2)] = 30
    windpipe = (x**2 + (y - 15) ** 2 < 81) & (z > 0)
    hu[windpipe] = -1000
    return Chest(
        x=x, y=y, z=z, spacing_mm=spacing_mm, hu=hu, lung=cavity.copy(), cavity=cavity, depth_mm=depth, body=body,
        hilum_mm={RIGHT: (-30.0, 10.0, -20.0), LEFT: (34.0, 10.0, -15.0)},
    )  # fmt: skip


PLAIN = make_plain_chest()


def draw(name: str, side: int, seed: int = 0) -> Chest:
    chest = copy.deepcopy(PLAIN)
    FINDINGS[name](chest, side, np.random.default_rng([seed, side]))
    return chest


def test_every_finding_is_described_and_sorted_into_the_convention() -> None:
    assert set(FINDINGS_HELP) == set(FINDINGS) == KEEPS_LUNG | TAKES_LUNG
    assert not KEEPS_LUNG & TAKES_LUNG
    named = {name for parts in ILLNESSES.values() for name, _, _ in parts} | set(SMALL) | set(SEVERE) | set(ENDINGS)
    assert named <= set(FINDINGS)


@pytest.mark.parametrize("side", [RIGHT, LEFT])
@pytest.mark.parametrize("name", sorted(FINDINGS))
def test_a_finding_changes_its_own_side_and_stays_hu(name: str, side: int) -> None:
    chest = draw(name, side)
    (record,) = chest.facts["findings"]
    assert record["name"] == name
    assert record["side"] == (0 if name in MIDLINE else side)
    assert np.isfinite(chest.hu).all()
    assert chest.hu.min() >= -1024
    assert chest.hu.max() <= 3000
    assert chest.hu.dtype == np.float32
    assert chest.lung.dtype == np.uint8
    changed = (np.abs(chest.hu - PLAIN.hu) > 1e-3) | (chest.lung != PLAIN.lung)
    cavity_ml = np.count_nonzero(PLAIN.cavity) * chest.spacing_mm**3 / 1000
    assert changed.any()
    assert 0 <= record["volume_ml"] < cavity_ml
    if name not in MIDLINE:
        assert not changed[PLAIN.cavity == 3 - side].any()


@pytest.mark.parametrize("name", sorted(FINDINGS))
def test_labels_follow_the_convention(name: str) -> None:
    for seed in range(2):
        chest = draw(name, LEFT, seed)
        assert not ((chest.lung > 0) & (chest.lung != PLAIN.lung)).any(), "a finding never makes lung"
        if name in KEEPS_LUNG:
            np.testing.assert_array_equal(chest.lung, PLAIN.lung)
        if name in EMPTIES_SIDE:
            assert not (chest.lung == LEFT).any()
            assert (chest.lung == RIGHT).sum() == (PLAIN.lung == RIGHT).sum()


@pytest.mark.parametrize("name", sorted(TAKES_LUNG - {"pericardial_effusion", "hiatal_hernia", "wide_oesophagus"}))
def test_what_is_no_longer_lung_is_recorded_so(name: str) -> None:
    chest = draw(name, RIGHT, 3)
    lost_ml = np.count_nonzero(chest.lung != PLAIN.lung) * chest.spacing_mm**3 / 1000
    assert lost_ml > 0
    assert lost_ml <= chest.facts["findings"][0]["volume_ml"] + 0.01


@pytest.mark.parametrize("name", ["effusion", "massive_effusion", "loculated_effusion", "fissure_fluid"])
def test_fluid_is_as_dense_as_fluid(name: str) -> None:
    chest = draw(name, RIGHT, 1)
    lost = (PLAIN.lung == RIGHT) & (chest.lung == 0)
    assert -30 < np.median(chest.hu[lost]) < 110


@pytest.mark.parametrize("name", ["pneumothorax", "small_pneumothorax"])
def test_free_air_is_air_and_lies_against_gravity(name: str) -> None:
    chest = draw(name, RIGHT, 2)
    lost = (PLAIN.lung == RIGHT) & (chest.lung == 0)
    kept = chest.lung == RIGHT
    assert np.median(chest.hu[lost]) < -960
    assert chest.y[lost].mean() < chest.y[kept].mean()


def test_fluid_follows_gravity_when_the_patient_lies_prone() -> None:
    backs = {}
    for prone in (False, True):
        chest = copy.deepcopy(PLAIN)
        chest.facts["prone"] = prone
        FINDINGS["effusion"](chest, LEFT, np.random.default_rng(5))
        backs[prone] = chest.y[(PLAIN.lung == LEFT) & (chest.lung == 0)].mean()
    assert backs[False] > 20
    assert backs[True] < -20


def test_dense_diseased_lung_stays_lung() -> None:
    chest = draw("whole_consolidation", LEFT)
    lung = chest.lung == LEFT
    assert np.count_nonzero(lung) == np.count_nonzero(PLAIN.lung == LEFT)
    assert np.median(chest.hu[lung]) > -100


def test_masses_are_larger_than_the_largest_nodule() -> None:
    for seed in range(5):
        chest = draw("lung_mass", RIGHT, seed)
        lost_ml = np.count_nonzero(chest.lung != PLAIN.lung) * chest.spacing_mm**3 / 1000
        assert lost_ml > 3


def test_the_same_draw_makes_the_same_chest() -> None:
    first, second = copy.deepcopy(PLAIN), copy.deepcopy(PLAIN)
    for chest in (first, second):
        afflict(chest, np.random.default_rng(7), only=["nodules", "effusion", "fibrosis"])
    np.testing.assert_array_equal(first.hu, second.hu)
    np.testing.assert_array_equal(first.lung, second.lung)
    assert first.facts == second.facts


def test_only_draws_exactly_what_is_named() -> None:
    chest = copy.deepcopy(PLAIN)
    afflict(chest, np.random.default_rng(0), only=["pneumothorax", "nodules", "nodules"])
    assert sorted(fact["name"] for fact in chest.facts["findings"]) == ["nodules", "nodules", "pneumothorax"]
    healthy = copy.deepcopy(PLAIN)
    afflict(healthy, np.random.default_rng(0), only=[])
    np.testing.assert_array_equal(healthy.hu, PLAIN.hu)
    with pytest.raises(UsageError, match="dragon"):
        afflict(healthy, np.random.default_rng(0), only=["dragon"])


def test_a_chest_without_a_cavity_is_left_alone() -> None:
    chest = copy.deepcopy(PLAIN)
    chest.cavity[:] = 0
    chest.lung[:] = 0
    for name in FINDINGS:
        FINDINGS[name](chest, LEFT, np.random.default_rng(0))
    np.testing.assert_array_equal(chest.hu, PLAIN.hu)
    assert chest.facts.get("findings", []) == []


def test_about_half_of_the_chests_are_healthy_or_nearly() -> None:
    random = np.random.default_rng(11)
    plans = [plan_findings(random) for _ in range(2000)]
    healthy = np.mean([not plan for plan in plans])
    assert 0.35 < healthy < 0.46
    assert not any(plan_findings(random, 0.0) for _ in range(50))
    assert np.mean([sum(name in ENDINGS for name, _ in plan) <= 1 for plan in plans]) == 1
    drawn = {name for plan in plans for name, _ in plan}
    assert drawn == set(FINDINGS)


@pytest.mark.parametrize("scale_mm", [5.0, 12.0, 60.0])
def test_smooth_noise_is_smooth_and_of_unit_spread(scale_mm: float) -> None:
    fields = [smooth_noise((40, 44, 36), 3.0, scale_mm, np.random.default_rng(seed)) for seed in range(40)]
    assert 0.7 < np.std(fields) < 1.3
    assert abs(np.mean(fields)) < 0.3
    if scale_mm > 10:
        assert np.abs(np.diff(fields[0], axis=0)).std() < 0.6
