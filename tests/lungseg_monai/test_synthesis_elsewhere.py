"""Scans without a lung: none in them, yet a body, often with air inside."""

import numpy as np
import pytest

from lungseg_monai.synthesis.acquisition import acquire
from lungseg_monai.synthesis.elsewhere import MAKERS, make_elsewhere

SHAPE = (72, 56, 50)
SPACING_MM = 5.0


@pytest.fixture(scope="module")
def made():
    """Chests by kind."""
    kinds: dict = {name: [] for name in MAKERS}
    for seed in range(60):
        chest = make_elsewhere(SHAPE, SPACING_MM, np.random.default_rng(seed))
        kinds[chest.facts["elsewhere"]].append(chest)
    return kinds


def test_every_kind_comes_and_none_holds_a_lung(made):
    assert sum(weight for _, weight in MAKERS.values()) == pytest.approx(1)
    for kind, chests in made.items():
        assert chests, kind
        for chest in chests:
            assert not chest.lung.any()
            assert not chest.cavity.any()
            assert (chest.depth_mm < 0).all()
            for name in ("x", "y", "z", "hu", "depth_mm"):
                assert getattr(chest, name).shape == SHAPE
                assert getattr(chest, name).dtype == np.float32


def test_hu_is_plausible(made):
    for kind, chests in made.items():
        for chest in chests:
            assert np.isfinite(chest.hu).all()
            assert chest.hu.min() >= -1100
            assert chest.hu.max() < 2500
            assert (chest.hu[~chest.body] < -300).mean() > 0.98, kind
            if kind in ("abdomen", "head", "legs", "arms"):
                tissue = chest.hu[chest.body]
                assert chest.body.mean() > 0.01, kind
                assert ((tissue > -200) & (tissue < 150)).mean() > 0.5, kind
            if kind == "empty":
                assert not chest.body.any()


def test_there_is_air_inside_most_abdomens_and_heads(made):
    for kind in ("abdomen", "head"):
        shares = [(c.hu[c.body] < -500).mean() for c in made[kind]]
        assert np.median(shares) > 0.003, kind
        assert max(shares) < 0.5, kind


def test_the_same_seed_makes_the_same_and_no_two_seeds_look_alike():
    first, second, other = (make_elsewhere((40, 36, 32), 6.0, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.hu, second.hu)
    assert first.facts == second.facts
    assert not np.array_equal(first.hu, other.hu)


def test_it_can_be_scanned(made):
    for kind, chests in made.items():
        scene = acquire(chests[0], np.random.default_rng(1))
        assert not scene.lung.any()
        assert scene.facts["elsewhere"] == kind
