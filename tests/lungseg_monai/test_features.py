"""PHOG, GLCM and LBP of a region: symmetries, scikit-image's own figures, textures that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

from lungseg_monai.errors import ConfigError
from lungseg_monai.features.glcm import ANGLES, OF_SKIMAGE, STATISTICS, co_occurrence, glcm
from lungseg_monai.features.join import handcrafted, join, random_half
from lungseg_monai.features.lbp import lbp
from lungseg_monai.features.phog import phog


def scene(seed: int = 0, shape: tuple[int, int] = (40, 52)) -> tuple[np.ndarray, np.ndarray]:
    """A slice in HU, and a region off its centre with a ragged border."""
    random = np.random.default_rng(seed)
    image = random.integers(-1000, 400, shape).astype(np.int16)
    region = np.zeros(shape, bool)
    region[7:23, 16:40] = random.random((16, 24)) < 0.9
    region[[7, 22], [16, 39]] = True  # the box stays as it is
    return image, region


@pytest.mark.parametrize("feature", [phog, glcm, lbp])
def test_brighter_and_of_more_contrast_is_the_same(feature):
    image, region = scene()
    np.testing.assert_allclose(feature(image * 2.0 + 300, region), feature(image, region), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("feature", [phog, glcm, lbp])
def test_what_lies_far_outside_the_region_counts_nothing(feature):
    image, region = scene()
    changed, far = image.copy(), np.ones(image.shape, bool)
    far[2:29, 10:46] = False
    changed[far] = 0
    assert np.array_equal(feature(changed, region), feature(image, region))
    moved = feature(np.roll(image, (3, 5), (0, 1)), np.roll(region, (3, 5), (0, 1)))
    np.testing.assert_allclose(moved, feature(image, region), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("feature", [phog, glcm, lbp])
def test_what_is_no_slice_with_a_region_is_refused(feature):
    image, region = scene()
    broken = image.astype(float)
    broken[0, 0] = np.nan
    cases = [
        (image[None], region[None], "wanted both"), (image, region.T, "of one shape"), (image, region * 3, "one label"),
        (image, region & False, "empty"), (broken, region, "not finite"),
    ]  # fmt: skip
    for picture, mask, words in cases:
        with pytest.raises(ConfigError, match=words):
            feature(picture, mask)


# PHOG


def edge(degrees: float, size: int = 64) -> np.ndarray:
    """A soft edge through the centre whose gradient points `degrees` from a row towards a column."""
    row, column = np.mgrid[:size, :size] - (size - 1) / 2
    angle = np.deg2rad(degrees)
    return np.tanh((column * np.cos(angle) + row * np.sin(angle)) / 6)


@given(turned=st.sampled_from([0, 20, 45, 70, 90, 110, 135, 160]))
@settings(max_examples=8, deadline=None)
def test_phog_of_an_edge_peaks_where_its_gradient_points(turned):
    whole = phog(edge(turned), np.ones((64, 64), bool), bins=18, levels=0)
    at = turned / 10
    assert whole[int(at) % 18] + whole[int(at + 0.5) % 18] > 0.9 * whole.sum()


def test_phog_of_an_edge_turned_by_a_quarter_shifts_by_half_the_bins():
    image, region = scene(shape=(40, 40))
    region[:] = False
    region[6:22, 9:33] = True  # 16 x 24, which eight cells divide
    cells, bins = 2, 8
    upright = phog(image, region, bins, levels=1)[bins:].reshape(cells, cells, bins)
    lying = phog(np.rot90(image), np.rot90(region), bins, levels=1)[bins:].reshape(cells, cells, bins)
    np.testing.assert_allclose(lying, np.roll(np.rot90(upright), bins // 2, axis=-1), atol=1e-6)


def test_phog_levels_hold_the_same_sum_and_cells_add_up_to_their_parent():
    image, region = scene()
    values = phog(image, region, bins=3, levels=3)
    assert values.shape == (85 * 3,) and values.sum() == pytest.approx(1)
    first, second = values[3:15].reshape(2, 2, 3), values[15:63].reshape(2, 2, 2, 2, 3)
    np.testing.assert_allclose(second.sum(axis=(1, 3)), first, atol=1e-6)
    np.testing.assert_allclose(first.sum(axis=(0, 1)), values[:3], atol=1e-6)


def test_phog_of_a_negative_is_the_same_and_of_nothing_is_nothing():
    image, region = scene()
    np.testing.assert_allclose(phog(-image.astype(float), region), phog(image, region), atol=1e-6)
    assert not phog(np.full((9, 7), -700), np.ones((9, 7), bool)).any()


# GLCM


def test_glcm_of_a_whole_slice_is_that_of_scikit_image():
    levels = np.random.default_rng(1).integers(0, 8, (21, 34))
    levels[0, :2] = 0, 7
    counts = graycomatrix(levels.astype(np.uint8), [1], np.deg2rad(ANGLES), 8, symmetric=True)
    wanted = counts.sum(axis=-1, keepdims=True).astype(float)
    whole = np.ones(levels.shape, bool)
    np.testing.assert_allclose(co_occurrence(levels, whole, 8), (wanted / wanted.sum())[:, :, 0, 0])
    found = dict(zip(STATISTICS, glcm(levels, whole, 8), strict=True))
    for name in (*OF_SKIMAGE, "mean", "variance", "std"):
        assert found[name] == pytest.approx(graycoprops(wanted, name)[0, 0], rel=1e-5), name


def test_glcm_counts_pairs_inside_the_region_alone():
    image, region = scene(2)
    low, high = image[region].min(), image[region].max()
    level = np.minimum((image.astype(float) - low) / (high - low) * 5, 4).astype(int)
    counts = np.zeros((5, 5))
    for row, column in zip(*np.nonzero(region), strict=True):
        for down, along in ((0, 1), (1, 0), (1, 1), (1, -1)):
            if region[row + down, column + along]:
                pair = level[row, column], level[row + down, column + along]
                counts[pair] += 1
                counts[pair[::-1]] += 1
    np.testing.assert_allclose(co_occurrence(image, region, 5), counts / counts.sum())


def named(image: np.ndarray, **settings) -> dict[str, float]:
    return dict(zip(STATISTICS, glcm(image, np.ones(image.shape, bool), **settings).tolist(), strict=True))


def test_glcm_of_stripes_that_can_be_counted():
    """0 1 0 1 ... in a row: two apart each pixel meets its like."""
    apart = named(np.tile([0, 1], (1, 8)), grey_levels=2, distance=2)
    assert len(apart) == 25
    for name, wanted in {
        "contrast": 0, "homogeneity": 1, "correlation": 1, "entropy": 1, "sum_entropy": 1, "information_1": -1,
        "maximal_correlation": 1, "inverse_difference": 1, "inverse_variance": 0, "maximum_probability": 0.5,
        "cluster_tendency": 1, "cluster_shade": 0, "cluster_prominence": 1, "autocorrelation": 0.5,
        "difference_entropy": 0, "difference_variance": 0, "information_2": (1 - np.exp(-2)) ** 0.5,
    }.items():  # fmt: skip
        assert apart[name] == pytest.approx(wanted, abs=1e-6), name
    stripes = np.tile([0, 1], (10, 8))
    beside = co_occurrence(stripes, np.ones(stripes.shape, bool), 2)
    along, down, across = 10 * 15, 9 * 16, 2 * 9 * 15
    assert beside[0, 1] * 2 == pytest.approx((along + across) / (along + down + across))


def test_glcm_of_noise_is_uncorrelated_and_of_one_level_is_certain():
    noise = named(np.random.default_rng(3).integers(0, 4, (200, 200)), grey_levels=4)
    for name in ("correlation", "information_1", "information_2", "maximal_correlation", "cluster_shade"):
        assert abs(noise[name]) < 0.05, name
    assert noise["entropy"] == pytest.approx(4, abs=0.01) and noise["mean"] == pytest.approx(1.5, abs=0.02)
    flat = named(np.full((6, 9), -700))
    assert flat["entropy"] == flat["contrast"] == flat["information_1"] == 0
    assert flat["ASM"] == flat["maximal_correlation"] == flat["correlation"] == 1


def test_glcm_of_a_turned_or_mirrored_slice_is_the_same():
    image, region = scene(4)
    for turn in (np.rot90, np.flipud, np.transpose):
        np.testing.assert_allclose(glcm(turn(image), turn(region)), glcm(image, region), rtol=1e-4, atol=1e-5)


def test_glcm_with_a_window_tells_brightness_and_bad_settings_are_refused():
    image, region = scene()
    dark, bright = (named(np.full((6, 6), hu), window=(-1000, 400))["mean"] for hu in (-900, 200))
    assert dark < 4 < 25 < bright
    for settings_, words in (
        ({"window": (400, -1000)}, "lower first"), ({"grey_levels": 1}, "from 2"), ({"distance": 0}, "from 1"),
        ({"distance": 60}, "60 apart"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            glcm(image, region, **settings_)


# LBP


def test_lbp_of_a_whole_slice_is_that_of_scikit_image():
    image = np.random.default_rng(5).integers(0, 65536, (30, 41)).astype(np.uint16)
    image[3, 3], image[5, 5] = 0, 65535
    region = np.zeros(image.shape, bool)
    region[6:20, 9:33] = True
    codes = local_binary_pattern(image, 8, 2, "nri_uniform")[region].astype(int)
    assert lbp(image, region, (2,)).shape == (59,)
    # The grey values are spread over the neighbourhood's own range, which can flip a tie.
    np.testing.assert_allclose(lbp(image, region, (2,)), np.bincount(codes, minlength=59) / len(codes), atol=0.01)


def test_lbp_uniform_patterns_of_a_turned_slice_are_the_same():
    image, region = scene(6)
    turned = lbp(np.rot90(image), np.rot90(region), rotation_invariant=True)
    np.testing.assert_allclose(turned, lbp(image, region, rotation_invariant=True), atol=0.01)
    assert turned.shape == (4 * 10,)
    assert not np.allclose(lbp(np.rot90(image), np.rot90(region)), lbp(image, region), atol=0.01)


def test_lbp_of_a_flat_region_is_one_pattern_and_of_a_dot_another():
    flat, region = np.full((12, 15), -700.0), np.zeros((12, 15), bool)
    region[5, 6] = True
    everything_as_bright = lbp(flat, region, (1,), rotation_invariant=True)
    assert everything_as_bright[8] == 1
    flat[5, 6] = 40
    assert lbp(flat, region, (1,), rotation_invariant=True)[0] == 1
    for settings_ in ({"radii": ()}, {"radii": (0,)}, {"points": 1}):
        with pytest.raises(ConfigError):
            lbp(flat, region, **settings_)


# All together


def test_handcrafted_are_the_771_of_the_paper_each_with_a_name():
    image, region = scene()
    names, values = handcrafted(image, region)
    assert len(names) == len(set(names)) == len(values) == 25 + 4 * 59 + 85 * (1 + 2 + 3) == 771
    of = dict(zip(names, values, strict=True))
    assert of["glcm_contrast"] == glcm(image, region)[0]
    assert of["lbp_radius3_7"] == lbp(image, region, (3,))[7]
    assert of["phog_bins2_11"] == phog(image, region, 2)[11]


def test_join_keeps_the_order_and_refuses_what_is_no_row():
    names, values = join({"a": np.array([3, 1]), "b": np.array([2.0])})
    assert names == ("a_0", "a_1", "b_0") and values.tolist() == [3, 1, 2] and values.dtype == np.float32
    for parts in ({}, {"a": np.zeros((2, 2))}, {"a": np.array([np.inf])}):
        with pytest.raises(ConfigError):
            join(parts)


def test_random_half_is_half_and_the_same_for_a_seed():
    names = [str(index) for index in range(771)]
    kept = random_half(names, seed=3)
    assert len(set(kept.tolist())) == 386 and np.array_equal(kept, random_half(names, seed=3))
    assert not np.array_equal(kept, random_half(names, seed=4)) and (np.diff(kept) > 0).all()
    with pytest.raises(ConfigError):
        random_half([])
