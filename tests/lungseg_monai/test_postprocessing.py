import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, distance_transform_edt, label

from lungseg_monai.errors import ConfigError
from lungseg_monai.inplane import resize_linear, resize_nearest
from lungseg_monai.postprocessing import (
    RULES,
    TumorRules,
    dilate_in_plane,
    footprint,
    mask_on_image,
    rules_from,
    tumor_mask,
)

SPACING = (0.7, 1.3, 3.0)
PLAIN = TumorRules(kernel="none")


def specks(seed: int, shape: tuple[int, int, int] = (23, 31, 5), share: float = 0.03) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


def test_the_disk_of_radius_3_has_29_pixels_and_the_square_49() -> None:
    disk = footprint(TumorRules(), SPACING)
    assert disk.shape == (7, 7)
    inside = {(i, j) for i, j in product(range(-3, 4), repeat=2) if i * i + j * j <= 9}
    assert {(i - 3, j - 3) for i, j in np.argwhere(disk).tolist()} == inside
    assert len(inside) == 29
    assert footprint(TumorRules(kernel="square"), SPACING).sum() == 49
    assert footprint(PLAIN, SPACING).sum() == 1


def test_a_kernel_in_millimetres_is_the_same_length_on_any_grid() -> None:
    kernel = footprint(TumorRules(radius_mm=3.9), SPACING)
    assert kernel.shape == (2 * 5 + 1, 2 * 3 + 1)  # 3.9 / 0.7 = 5.6, 3.9 / 1.3 = 3
    for i, j in product(range(11), range(7)):
        assert kernel[i, j] == (((i - 5) * 0.7) ** 2 + ((j - 3) * 1.3) ** 2 <= 3.9**2 + 1e-4)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 14), st.integers(1, 11), st.integers(1, 4)),
    kernel=st.sampled_from(["disk", "square", "none"]),
    radius=st.integers(0, 6),
    radius_mm=st.one_of(st.none(), st.floats(0, 6)),
)
def test_dilation_equals_scipys_with_that_footprint_slice_by_slice(
    seed: int, shape: tuple[int, int, int], kernel: str, radius: int, radius_mm: float | None
) -> None:
    mask = specks(seed, shape, 0.1)
    found = footprint(TumorRules(kernel=kernel, radius=radius, radius_mm=radius_mm), SPACING)
    np.testing.assert_array_equal(dilate_in_plane(mask, found), binary_dilation(mask, found[:, :, None]))


def test_dilation_knows_no_order_in_memory() -> None:
    mask, disk = specks(3), footprint(TumorRules(), SPACING)
    for order in ("C", "F"):
        given = np.array(mask, order=order)
        np.testing.assert_array_equal(dilate_in_plane(given, disk), binary_dilation(mask, disk[:, :, None]))
        np.testing.assert_array_equal(given, mask)  # what came in stays as it was


def test_one_voxel_grows_in_its_own_slice_alone() -> None:
    probability = np.zeros((20, 24, 5), np.float32)
    probability[6, 17, 2] = 0.9
    mask = tumor_mask(probability, TumorRules(), SPACING)
    assert mask.sum() == 29
    assert np.flatnonzero(mask.any(axis=(0, 1))).tolist() == [2]


def test_the_threshold_itself_is_not_tumor() -> None:
    probability = np.array([0.5, 0.75, 0.7500001], np.float32).reshape(3, 1, 1)
    assert tumor_mask(probability, TumorRules(threshold=0.75, kernel="none"), SPACING).ravel().tolist() == [0, 0, 1]
    probability[:] = np.nan
    assert not tumor_mask(probability, PLAIN, SPACING).any()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), lower=st.floats(0.5, 0.9), more=st.floats(0, 0.1))
def test_a_lower_threshold_and_a_wider_kernel_never_take_away(seed: int, lower: float, more: float) -> None:
    probability = np.random.default_rng(seed).random((15, 12, 4), np.float32)
    lungs = specks(seed + 1, (15, 12, 4), 0.2)

    def found(threshold: float, radius: int, within_mm: float) -> np.ndarray:
        rules = TumorRules(threshold=threshold, radius=radius, within_mm=within_mm, least_mm3=12.0)
        return tumor_mask(probability, rules, SPACING, lungs)

    small = found(lower + more, 1, 2.0)
    for large in (found(lower, 1, 2.0), found(lower + more, 2, 2.0), found(lower + more, 1, 4.0)):
        assert not (small & ~large).any()


@pytest.mark.parametrize("within_mm", [0.0, 2.0, 5.2, 20.0])
def test_within_the_lungs_equals_a_distance_map_of_the_whole_volume(within_mm: float) -> None:
    probability = specks(1, (41, 37, 19), 0.01).astype(np.float32)
    lungs = np.zeros(probability.shape, bool)
    lungs[5:14, 20:33, 3:9] = True
    mask = tumor_mask(probability, TumorRules(kernel="none", within_mm=within_mm), SPACING, lungs)
    near = distance_transform_edt(~lungs, sampling=SPACING) <= within_mm + 1e-5
    np.testing.assert_array_equal(mask, (probability > 0.7) & near)


def test_no_lungs_restrict_to_nothing_and_no_lung_mask_restricts_nothing() -> None:
    probability = specks(2).astype(np.float32)
    rules = TumorRules(kernel="none", within_mm=10.0)
    assert not tumor_mask(probability, rules, SPACING, np.zeros(probability.shape, bool)).any()
    np.testing.assert_array_equal(tumor_mask(probability, rules, SPACING), probability > 0.7)
    without = tumor_mask(probability, PLAIN, SPACING, np.zeros(probability.shape, bool))
    np.testing.assert_array_equal(without, probability > 0.7)


@pytest.mark.parametrize("voxels", [1, 2, 3, 5, 40])
def test_pieces_are_dropped_by_their_volume_however_far_apart_they_lie(voxels: int) -> None:
    mask = specks(4, (60, 43, 21), 0.01)
    mask[2:30, 5:7, 3:18] = True  # through many groups
    voxel_mm3 = float(np.prod(SPACING))
    kept = tumor_mask(mask.astype(np.float32), TumorRules(kernel="none", least_mm3=voxels * voxel_mm3), SPACING)
    pieces, count = label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())
    wanted = np.isin(pieces, [one for one in range(1, count + 1) if sizes[one] >= voxels])
    np.testing.assert_array_equal(kept, wanted)
    assert kept.any()


def test_the_two_grids_are_what_their_names_say() -> None:
    """Paper: a disk of 3 network pixels is 6 image pixels wide; authors' code: a kernel of 7 pixels of the image."""
    probability = np.zeros((16, 20, 3), np.float32)
    probability[5, 9, 1] = 1.0
    shape, spacing = (32, 40), (0.5, 0.5, 3.0)
    network = mask_on_image(probability, TumorRules(), spacing, shape)
    assert network.shape == (32, 40, 3)
    assert network.sum() == 29 * 4  # each pixel of the network is four of the image
    image = mask_on_image(probability, TumorRules(kernel="square", grid="image"), spacing, shape)
    # linearly enlarged by 2, one pixel of 1.0 is above 0.7 in none, 0.5625 at best
    assert not image.any()
    probability[5:7, 9:11, 1] = 1.0
    image = mask_on_image(probability, TumorRules(kernel="square", grid="image"), spacing, shape)
    enlarged = resize_linear(probability, shape) > 0.7
    np.testing.assert_array_equal(image, binary_dilation(enlarged, np.ones((7, 7, 1))))


def test_millimetres_hold_on_either_grid() -> None:
    probability = np.zeros((32, 24, 2), np.float32)
    probability[12:20, 8:14, 1] = 1.0
    rules = [TumorRules(radius_mm=6.0, grid=grid) for grid in ("network", "image")]
    sizes = [mask_on_image(probability, one, (0.5, 0.5, 2.0), (64, 48)).sum() for one in rules]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_skip_ends_leaves_a_share_of_the_slices_at_either_end_empty() -> None:
    mask = tumor_mask(np.ones((4, 4, 13), np.float32), TumorRules(kernel="none", skip_ends=0.2), SPACING)
    assert np.flatnonzero(mask.any(axis=(0, 1))).tolist() == list(range(2, 11))
    assert tumor_mask(np.ones((4, 4, 13), np.float32), PLAIN, SPACING).all()


@pytest.mark.parametrize("shape", [(10, 6, 2), (20, 12, 3), (40, 24, 1), (7, 31, 2)])
def test_resizing_equals_torchs(shape: tuple[int, int, int]) -> None:
    torch = pytest.importorskip("torch")
    volume = np.random.default_rng(0).random((20, 12, shape[2]), np.float32)
    planes = torch.from_numpy(volume).permute(2, 0, 1)[None]
    functional = torch.nn.functional
    linear = functional.interpolate(planes, shape[:2], mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
    np.testing.assert_allclose(resize_linear(volume, shape[:2]), linear.numpy(), atol=1e-6)
    nearest = functional.interpolate(planes, shape[:2], mode="nearest-exact")[0].permute(1, 2, 0)
    np.testing.assert_array_equal(resize_nearest(volume, shape[:2]), nearest.numpy())


def test_rules_survive_json_and_refuse_nonsense() -> None:
    rules = TumorRules(0.8, "square", 2, "image", 12.0, 30.0)
    assert rules_from(rules.as_dict()) == rules
    assert rules_from({}) == TumorRules() == RULES["paper"]
    with pytest.raises(ConfigError, match=r"treshold not known; wanted some of .*threshold"):
        rules_from({"treshold": 0.5})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"threshold": 1.5}, r"threshold is 1.5; wanted a number from 0 to 1"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"threshold": True}, "threshold is True"),
        ({"kernel": "circle"}, "kernel 'circle' is not known; choose one of disk, square, none"),
        ({"radius": 2.5}, "radius is 2.5; wanted a whole number"),
        ({"radius_mm": -1.0}, "radius_mm is -1.0"),
        ({"grid": "256"}, "grid '256' is not known; choose one of network, image"),
        ({"within_mm": "15"}, "within_mm is '15'"),
        ({"least_mm3": -1}, "least_mm3 is -1"),
        ({"skip_ends": 0.6}, "skip_ends is 0.6; wanted a number from 0 to 0.5"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_name(wrong: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TumorRules(**wrong)


def test_grids_that_differ_and_spacings_that_cannot_be_are_refused() -> None:
    probability = np.zeros((4, 5, 6), np.float32)
    with pytest.raises(ConfigError, match=r"a lung mask of shape \(4, 5, 5\) for \(4, 5, 6\) voxels"):
        tumor_mask(probability, TumorRules(), SPACING, np.zeros((4, 5, 5), bool))
    with pytest.raises(ConfigError, match="wanted three lengths above 0"):
        tumor_mask(probability, TumorRules(), (1.0, 0.0, 1.0))
    with pytest.raises(ConfigError, match=r"wanted one volume \(I, J, K\)"):
        tumor_mask(probability[None], TumorRules(), SPACING)


def test_a_whole_scan_takes_well_under_a_second_even_with_specks_in_its_corners() -> None:
    probability = np.zeros((512, 512, 200), np.float32)
    probability[200:260, 100:150, 50:70] = 0.9
    probability[20, 20, 3] = probability[500, 500, 190] = 0.8
    lungs = np.zeros(probability.shape, bool)
    lungs[100:400, 50:200, 30:180] = True
    began = time.process_time()
    mask = tumor_mask(probability, TumorRules(within_mm=15.0, least_mm3=100.0), (0.97, 0.97, 3.0), lungs)
    assert time.process_time() - began < 3  # 0.4 s alone; a distance map of the volume takes over 10
    assert mask[230, 120, 60]
    assert not mask[20, 20, 3]
