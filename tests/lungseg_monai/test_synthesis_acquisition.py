"""The scan of a made chest: what each effect does to HU, and that labels are only cut and mirrored."""

import json

import numpy as np
import pytest

from lungseg_monai.synthesis.acquisition import (
    acquire,
    calibration,
    field_of_view,
    hardware,
    noise,
    sharpness,
    surroundings,
)
from lungseg_monai.synthesis.chest import Chest

SPACING_MM = 3.0


def toy_chest(shape=(60, 48, 44)):
    """An off-centre body with two unlike lungs; every lung voxel's HU tells where it was."""
    i, j, k = np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij")
    body = ((i - 31) / 27) ** 2 + ((j - 25) / 19) ** 2 < 1
    lung = np.zeros(shape, np.uint8)
    lung[((i - 19) / 8) ** 2 + ((j - 24) / 11) ** 2 + ((k - 20) / 15) ** 2 < 1] = 1
    lung[((i - 43) / 7) ** 2 + ((j - 26) / 12) ** 2 + ((k - 22) / 17) ** 2 < 1] = 2
    hu = np.where(lung > 0, -850, np.where(body, 40, -1000)).astype(np.float32)
    depth_mm = np.where(lung > 0, 5, -5).astype(np.float32)
    return Chest(i, j, k, SPACING_MM, hu, lung, lung.copy(), depth_mm, body, facts={"made": "toy"})


def expected_labels(chest, scan):
    """The scene's labels from the chest's and from what the scan says it did."""
    lung = chest.lung[tuple(slice(*span) for span in scan["crop"])].astype(int)
    if "circle" in scan:
        i, j = np.indices(lung.shape[:2])
        centre = scan["circle"]["centre"]
        lung[np.hypot(i - centre[0], j - centre[1]) > scan["circle"]["radius"]] = 0
    if "wedge" in scan:
        (a, b), depth, slope = (scan["wedge"][name] for name in ("axes", "depth", "slope"))
        u, v = np.indices(lung.shape)[[a, b]]
        lost = depth + slope * v
        lung[(u < lost) | (u > lung.shape[a] - 1 - (depth + slope * (lung.shape[b] - 1 - v)))] = 0
    if scan["mirrored"]:
        lung = np.where(lung > 0, 3 - lung, 0)[::-1]
    return lung


@pytest.mark.parametrize("seed", range(30))
def test_labels_are_only_cut_and_mirrored_and_shapes_agree(seed):
    chest = toy_chest()
    scene = acquire(chest, np.random.default_rng(seed))
    assert scene.hu.dtype == np.int16
    assert scene.lung.dtype == np.uint8
    assert scene.hu.shape == scene.lung.shape
    assert scene.spacing_mm == SPACING_MM
    assert min(scene.hu.shape[:2]) >= 32
    assert scene.hu.shape[2] >= 8
    assert scene.facts["made"] == "toy"
    assert json.loads(json.dumps(scene.facts))["scan"]["mirrored"] == scene.facts["scan"]["mirrored"]
    differs = scene.lung != expected_labels(chest, scene.facts["scan"])
    assert differs.mean() < 1e-4  # voxel centres on the edge of the circle may round either way


def test_the_same_seed_makes_the_same_scene_and_the_chest_stays_as_it_was():
    chest = toy_chest()
    before = chest.hu.copy(), chest.lung.copy()
    first, second = (acquire(chest, np.random.default_rng(7)) for _ in range(2))
    other = acquire(chest, np.random.default_rng(8))
    np.testing.assert_array_equal(first.hu, second.hu)
    np.testing.assert_array_equal(first.lung, second.lung)
    assert first.facts == second.facts
    assert first.facts != other.facts
    np.testing.assert_array_equal(chest.hu, before[0])
    np.testing.assert_array_equal(chest.lung, before[1])
    assert chest.facts == {"made": "toy"}


@pytest.mark.parametrize("seed", range(4))
def test_without_difficulty_only_faint_noise_and_the_mirror_are_left(seed):
    chest = toy_chest()
    scene = acquire(chest, np.random.default_rng(seed), difficulty=0.0)
    hu, lung = chest.hu, chest.lung
    if scene.facts["scan"]["mirrored"]:
        hu, lung = hu[::-1], np.where(lung > 0, 3 - lung, 0)[::-1]
    np.testing.assert_array_equal(scene.lung, lung)
    assert np.std(scene.hu - hu) == pytest.approx(2, rel=0.1)


def test_every_effect_comes_at_full_difficulty_and_the_scan_never_fails():
    chest, seen = toy_chest((40, 36, 24)), set()
    for seed in range(150):
        seen |= set(acquire(chest, np.random.default_rng(seed)).facts["scan"])
    assert seen >= {
        "table", "blanket", "folds", "block", "leads", "pacemaker", "tube", "sternal_wires", "stars",
        "breathing", "heartbeat", "stair_steps", "blur", "sharpen", "slices", "gain",
        "cupping_hu", "waves_hu", "shoulder_streaks_hu", "noise",
        "cut_up", "cut_sides", "one_lung", "circle", "wedge", "mirrored",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(25))
def test_an_empty_grid_can_be_scanned(seed):
    chest = toy_chest((40, 34, 12))
    chest.hu[:], chest.lung[:], chest.body[:] = -1000, 0, False
    assert not acquire(chest, np.random.default_rng(seed)).lung.any()


def test_a_mirror_twice_is_nothing_and_keeps_each_side_its_label():
    chest = toy_chest()
    hu = chest.hu.astype(np.int16)
    once = field_of_view.mirror(hu, chest.lung)
    assert np.argwhere(once[1] == 1)[:, 0].mean() < np.argwhere(once[1] == 2)[:, 0].mean()
    assert (once[1] == 1).sum() == (chest.lung == 2).sum()
    np.testing.assert_array_equal(field_of_view.mirror(*once)[0], hu)
    np.testing.assert_array_equal(field_of_view.mirror(*once)[1], chest.lung)


@pytest.mark.parametrize("padding", field_of_view.PADDINGS_HU)
def test_outside_the_circle_lies_padding_and_no_lung(padding):
    chest = toy_chest()
    centre, radius = (25.3, 22.1), 17.4
    inside = field_of_view.circle((60, 48), centre, radius)[:, :, None]
    hu, lung = field_of_view.pad_outside(chest.hu, chest.lung, inside, padding)
    i, j = np.indices((60, 48))
    distance = np.hypot(i - centre[0], j - centre[1])
    assert (hu[distance > radius + 0.5] == padding).all()
    assert not lung[distance > radius].any()
    near = distance < radius - 0.5
    np.testing.assert_array_equal(hu[near], chest.hu[near])
    np.testing.assert_array_equal(lung[near], chest.lung[near])


@pytest.mark.parametrize("axes", [(0, 1), (2, 1), (1, 2)])
def test_a_wedge_takes_opposite_corners(axes):
    shape = (21, 17, 13)
    inside = np.broadcast_to(field_of_view.wedge(shape, axes, -1.0, 0.4), shape)
    np.testing.assert_allclose(inside, inside[::-1, ::-1, ::-1])  # the same seen from the other end
    order = np.moveaxis(inside, axes, (0, 1))
    assert order[0, -1].max() == 0
    assert order[0, 0].min() == 1


@pytest.mark.parametrize(("sigma", "sd_hu"), [(0.0, 2.0), (0.0, 90.0), (0.6, 25.0), (1.3, 60.0)])
def test_noise_has_the_sd_asked_for(sigma, sd_hu):
    made = noise.make_noise((40, 30, 20), sd_hu, sigma, np.random.default_rng(3))
    assert made.std() == pytest.approx(sd_hu, rel=1e-3)
    assert abs(made.mean()) < 0.2 * sd_hu
    neighbours = np.corrcoef(made[1:].ravel(), made[:-1].ravel())[0, 1]
    assert neighbours == pytest.approx(np.exp(-1 / (4 * sigma**2)) if sigma else 0, abs=0.12)


def test_noise_is_larger_where_the_body_is_wider():
    chest = toy_chest()
    weight = noise.depth_weight(chest.hu, SPACING_MM)
    assert (weight**2).mean() == pytest.approx(1, rel=1e-4)
    assert weight[31, 25, 0] > 1.2 * weight[2, 2, 0]


def test_gain_keeps_air_and_offset_moves_everything():
    hu = np.array([-1000, 0, 1000], np.float32)
    np.testing.assert_allclose(calibration.gain_and_offset(hu, 1.04, -30), [-1030, 10, 1050])


def test_cupping_is_deepest_in_the_middle():
    made = calibration.cupping(np.zeros((41, 31, 2), np.float32), 40, (20, 15), 25)
    assert made[20, 15, 0] == pytest.approx(-40)
    assert made.argmin() == np.ravel_multi_index((20, 15, 0), made.shape)


def test_slow_waves_have_about_their_sd_and_no_steps():
    made = calibration.slow_waves(np.zeros((80, 70, 60), np.float32), 20, 12, np.random.default_rng(5))
    assert made.std() == pytest.approx(20, rel=0.25)
    assert np.abs(np.diff(made, axis=0)).max() < 15


def test_shoulder_streaks_run_along_x_in_the_widest_rows():
    hu = np.full((64, 20, 16), -1000, np.float32)
    hu[22:42, :, :8], hu[2:62, :, 8:] = 0, 0
    change = calibration.shoulder_streaks(hu, 100, 6.0, np.random.default_rng(2)) - hu
    assert change[:, :, 8:].std() == pytest.approx(100, rel=0.2)
    assert change[:, :, :8].std() < 0.5 * change[:, :, 8:].std()
    assert np.abs(np.diff(change, axis=0)).mean() < 0.2 * np.abs(np.diff(change, axis=1)).mean()


def test_a_metal_star_fades_with_distance_and_keeps_to_its_slices():
    made = calibration.metal_star(np.zeros((61, 51, 21), np.float32), (30, 25, 10), 200, 5, np.random.default_rng(4))
    i, j = np.indices(made.shape[:2])
    radius = np.hypot(i - 30, j - 25)
    assert made[(radius > 2) & (radius < 6), 10].std() > 2 * made[radius > 22, 10].std()
    assert not made[:, :, [0, 5, 15, 20]].any()


def test_thick_slices_average_their_box_and_come_back_on_the_grid():
    ramp = np.tile(np.arange(40, dtype=np.float32) ** 2, (3, 2, 1))
    gather, spread = sharpness.thick_slices(40, 3.0, 3.0, True, 1.0)
    coarse = sharpness.apply_along(ramp, gather, 2)
    np.testing.assert_allclose(coarse[0, 0, :13], ramp[0, 0, :39].reshape(13, 3).mean(1), rtol=1e-5)
    back = sharpness.apply_along(coarse, spread, 2)
    np.testing.assert_allclose(back[:, :, :39], np.repeat(coarse[:, :, :13], 3, axis=2), rtol=1e-5)


@pytest.mark.parametrize(("thickness", "step", "nearest", "start"), [(3.3, 2.1, False, 0.7), (1.0, 4.6, True, 2.0)])
def test_thick_slices_leave_what_is_constant_alone(thickness, step, nearest, start):
    gather, spread = sharpness.thick_slices(31, thickness, step, nearest, start)
    flat = np.full((31, 4, 2), 7, np.float32)
    made = sharpness.apply_along(sharpness.apply_along(flat, gather, 0), spread, 0)
    np.testing.assert_allclose(made, 7, rtol=1e-5)


def test_blur_keeps_the_mean_and_sharpening_overshoots():
    step = np.zeros((20, 30, 10), np.float32)
    step[10:] = 100
    blurred = sharpness.blur(step, (1.0, 0.5, 0.2))
    assert blurred.mean() == pytest.approx(step.mean(), rel=1e-3)
    assert 0 < blurred[9, 0, 0] < 50 < blurred[10, 0, 0] < 100
    sharp = sharpness.sharpen(step, 0.5, 1.0)
    assert sharp.max() > 110
    assert sharp.min() < -10


def test_motion_moves_only_where_it_should():
    hu = np.random.default_rng(1).normal(0, 1, (30, 28, 60)).astype(np.float32)
    moved = sharpness.breathing(hu, 15, 4, 2, 1.0)
    np.testing.assert_allclose(moved[:, :, 15], hu[:, :, 13], atol=1e-5)
    np.testing.assert_allclose(moved[:, :, 45:], hu[:, :, 45:], atol=1e-5)
    beat = sharpness.heartbeat(hu, (15, 14, 20), 2.0, (1, -1), 0.5)
    assert beat[15, 14, 20] == pytest.approx(0.5 * (hu[15, 14, 20] + hu[14, 15, 20]), abs=1e-5)
    np.testing.assert_allclose(beat[:, :, 40:], hu[:, :, 40:], atol=1e-5)


def test_surroundings_leave_the_body_alone():
    chest = toy_chest()
    for effect in (surroundings.add_table, surroundings.add_blanket, surroundings.add_folds, surroundings.add_block):
        drawn = 0
        for seed in range(8):
            hu, _ = effect(chest.hu, chest.body, SPACING_MM, np.random.default_rng(seed))
            np.testing.assert_array_equal(hu[chest.body], chest.hu[chest.body])
            drawn += int((hu > -950).sum() > (chest.hu > -950).sum())
        assert drawn >= 4


def test_a_table_lies_below_the_body_and_a_blanket_above():
    chest = toy_chest()
    table, _ = surroundings.add_table(chest.hu, chest.body, SPACING_MM, np.random.default_rng(1))
    blanket, _ = surroundings.add_blanket(chest.hu, chest.body, SPACING_MM, np.random.default_rng(1))
    assert np.argwhere(table != chest.hu)[:, 1].mean() > 38
    assert np.argwhere(blanket != chest.hu)[:, 1].mean() < 20


def test_a_line_is_drawn_through_its_points_and_may_leave_the_array():
    hu = hardware.draw_line(
        np.zeros((20, 18, 16), np.float32), np.array([[2, 3, 4], [12, 3, 4], [40, 3, 4]]), 3000, 1.0
    )
    assert (hu[2:, 3, 4] == 3000).all()
    assert hu[0, 3, 4] == 0
    thin = hardware.draw_line(np.zeros((20, 18, 16), np.float32), np.array([[2, 3, 4], [12, 3, 4]]), 3000, 0.25)
    assert thin[5, 3, 4] == pytest.approx(750)


@pytest.mark.parametrize("seed", range(20))
def test_cuts_keep_the_least_sizes(seed):
    random = np.random.default_rng(seed)
    low, high = field_of_view.cut_up((10, 60), 70, 3.0, random)[0]
    assert low >= 0
    assert high <= 70
    assert high - low >= field_of_view.LEAST_UP
    low, high = field_of_view.cut_sides((5, 35), 40, 30.0, random)
    assert low >= 0
    assert high <= 40
    assert high - low >= field_of_view.LEAST_IN_PLANE
    assert field_of_view.at_least((3, 5), 32, 20) == (0, 20)
