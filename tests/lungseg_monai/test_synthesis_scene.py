"""Made chests: the same from the same seed, plausible, and with labels that fit what is painted."""

import numpy as np
import pytest

from lungseg_monai.synthesis import SceneOptions, make_scene
from lungseg_monai.synthesis.build import make_chest
from lungseg_monai.synthesis.chest import LEFT, RIGHT
from lungseg_monai.synthesis.fields import noise, share, soft_minimum
from lungseg_monai.synthesis.frame import Pose, make_frame
from lungseg_monai.synthesis.shapes import ellipsoid, profile, tube

SMALL = SceneOptions(volume_mm=(384, 288, 288), spacing_mm=6.0)
PLAIN = SceneOptions(volume_mm=(384, 288, 288), spacing_mm=6.0, difficulty=0.0, elsewhere=0.0, findings=(), scan=False)


def straight(shape=(60, 50, 40), spacing_mm=4.0, **pose):
    settings = {"centre_mm": (5.0, -3.0, 8.0), "turn_deg": (0, 0, 0), "scale": (1, 1, 1), "warp": 0.0} | pose
    return make_frame(shape, spacing_mm, Pose(**settings), np.random.default_rng(0))


def test_the_same_seed_makes_the_same_scene_and_another_another():
    first, again, other = make_scene(3, 7, SMALL), make_scene(3, 7, SMALL), make_scene(3, 8, SMALL)
    assert np.array_equal(first.hu, again.hu) and np.array_equal(first.lung, again.lung)
    assert first.hu.shape != other.hu.shape or not np.array_equal(first.hu, other.hu)
    assert not np.array_equal(first.hu, make_scene(4, 7, SMALL).hu[: first.hu.shape[0]])


@pytest.mark.parametrize("index", range(6))
def test_healthy_lungs_are_air_in_tissue_on_their_own_sides(index):
    scene = make_scene(11, index, PLAIN)
    volumes = [(scene.lung == label).sum() * 6**3 / 1000 for label in (RIGHT, LEFT)]
    assert all(150 < volume < 5000 for volume in volumes)
    # Tissue in the lungs (vessels) is rare; air beside them in the body (airways, gas) too.
    assert np.median(scene.hu[scene.lung > 0]) < -600
    middles = [np.argwhere(scene.lung == label).mean(axis=0)[0] for label in (RIGHT, LEFT)]
    assert middles[0] < middles[1]  # i runs to the patient's left


def test_the_lungs_border_lies_half_way_between_lung_and_wall():
    chest = make_chest((128, 96, 96), 3.0, np.random.default_rng(2), 0.0)
    rim = (np.abs(chest.depth_mm) < 0.3) & (chest.body) & (chest.z > -40) & (chest.z < 40) & (np.abs(chest.x) > 80)
    inside = (chest.depth_mm > 9) & (chest.depth_mm < 12) & (np.abs(chest.x) > 80)
    outside = (chest.depth_mm < -3) & (chest.depth_mm > -5) & (np.abs(chest.x) > 80) & chest.body
    half_way = (np.median(chest.hu[inside]) + np.median(chest.hu[outside])) / 2
    assert abs(np.median(chest.hu[rim]) - half_way) < 120


def test_airways_and_gas_below_are_no_lung():
    counts = []
    for seed in range(2):
        chest = make_chest((128, 96, 96), 3.0, np.random.default_rng(seed), 0.0)
        air = (chest.hu < -970) & chest.body & (chest.lung == 0)
        counts.append(int(air.sum()))
        windpipe = air & (np.abs(chest.x) < 25) & (chest.z > 30)
        assert windpipe.sum() > 20
    assert min(counts) > 50


def test_findings_and_faults_can_be_left_out():
    plain = make_scene(1, 0, PLAIN)
    assert not plain.facts.get("findings")
    assert "scan" not in plain.facts


def test_absent_chests_have_no_lung():
    scenes = [make_scene(2, index, SceneOptions(spacing_mm=6.0, elsewhere=1.0)) for index in range(4)]
    assert not any(scene.lung.any() for scene in scenes)


def test_noise_has_unit_variance_and_the_grain_asked_for():
    fine, coarse = (noise((64, 60, 56), cell, np.random.default_rng(0)) for cell in (3.0, 12.0))
    for field in (fine, coarse):
        assert field.dtype == np.float32
        assert 0.6 < field.std() < 1.5
    steps = [np.abs(np.diff(field, axis=0)).mean() for field in (fine, coarse)]
    assert 2.5 < steps[0] / steps[1] < 6


def test_shapes_are_distances_where_it_matters_and_cut_to_their_window():
    frame = straight()
    whole = np.sqrt((frame.x - 10) ** 2 + (frame.y + 5) ** 2 + (frame.z - 12) ** 2) - 20
    window, field = ellipsoid(frame, (10, -5, 12), (20, 20, 20))
    assert np.allclose(field, whole[window], atol=1e-2)
    outside = np.ones(whole.shape, bool)
    outside[window] = False
    assert whole[outside].min() > 0
    _, rod = tube(frame, [(10, -5, 12), (10.001, -5, 12)], [20, 20])
    assert np.allclose(rod[np.abs(rod) < 9], whole[window][np.abs(rod) < 9], atol=1e-2)


def test_a_turned_frame_keeps_distances_and_a_window_holds_its_shape_under_warp():
    frame = straight(turn_deg=(10, -20, 30))
    step = np.array([np.diff(axis, axis=0)[0, 0, 0] for axis in (frame.x, frame.y, frame.z)])
    assert np.linalg.norm(step) == pytest.approx(4.0, rel=1e-4)
    warped = straight(turn_deg=(10, -20, 30), warp=1.6)
    whole = np.sqrt((warped.x - 10) ** 2 + (warped.y + 5) ** 2 + (warped.z - 12) ** 2) - 25
    window, _ = ellipsoid(warped, (10, -5, 12), (25, 25, 25))
    outside = np.ones(whole.shape, bool)
    outside[window] = False
    assert whole[outside].min() > 0
    assert ellipsoid(frame, (4000, 0, 0), (5, 5, 5)) is None


def test_profiles_are_smooth_and_flat_beyond_their_ends():
    z = np.linspace(-300, 300, 601, dtype=np.float32)
    curve = profile(z, [-100, 0, 100], [1, 3, 2])
    assert curve[0] == pytest.approx(1, abs=0.05) and curve[-1] == pytest.approx(2, abs=0.05)
    assert curve.max() < 3 and np.abs(np.diff(curve)).max() < 0.03


def test_soft_minimum_fills_corners_and_is_the_minimum_elsewhere():
    a, b = np.float32([0, 5, 30]), np.float32([0, 5.5, -30])
    assert soft_minimum(a, b, 8.0)[0] == pytest.approx(-2)
    assert soft_minimum(a, b, 8.0)[2] == -30
    assert share(np.float32([-9, 0, 9]), 3.0).tolist() == [1, 0.5, 0]


def test_mirroring_takes_a_finding_to_the_other_side():
    whole = {"elsewhere": 0.0, "difficulty": 0.0, "volume_mm": (384, 288, 330), "spacing_mm": 6.0}
    options = SceneOptions(findings=("massive_effusion",), **whole)
    ill = [scene for scene in (make_scene(5, index, options) for index in range(8)) if scene.facts["findings"]]
    assert any(scene.facts["scan"]["mirrored"] for scene in ill)
    for scene in ill:
        side = scene.facts["findings"][0]["side"]
        assert (scene.lung == side).sum() < (scene.lung == 3 - side).sum()
