"""Pre-processing of radiographs against references, and what must not change it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungseg_monai.errors import ConfigError, ImageError
from lungseg_monai.pictures.clahe import clahe
from lungseg_monai.pictures.files import picture_grid, read_masks, read_picture
from lungseg_monai.pictures.gaussian_blur import gaussian_blur
from lungseg_monai.pictures.grey import grey
from lungseg_monai.pictures.morphological_gradient import morphological_gradient
from lungseg_monai.pictures.normalise import inside_borders, normalise
from lungseg_monai.pictures.resize import resize
from lungseg_monai.pictures.steps import SETTINGS, STEPS, apply, parts, prepare, steps_of, without


def film(shape=(90, 70), seed=0):
    """Smooth grey values without flat parts, from 0.2 to 0.8."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)
    return (0.2 + 0.6 * (noise - noise.min()) / np.ptp(noise)).astype(np.float32)


def test_eight_and_sixteen_bits_and_colours_mean_the_same():
    eight = np.random.default_rng(1).integers(0, 256, (5, 7)).astype(np.uint8)
    sixteen = eight.astype(np.uint16) * 257
    assert np.allclose(grey(eight), grey(sixteen), atol=1e-6)
    assert np.allclose(grey(np.repeat(eight[..., None], 4, axis=2)), eight / 255, atol=1e-6)
    assert grey(np.full((2, 2, 3), [255, 0, 0], np.uint8))[0, 0] == pytest.approx(0.299)


@pytest.mark.parametrize("wrong", [np.zeros((2, 3, 4, 3)), np.zeros((2, 2), int), np.zeros((0, 3)), [[np.nan, 1.0]]])
def test_what_is_no_picture(wrong):
    with pytest.raises(ImageError, match=r"wanted|finite"):
        grey(np.asarray(wrong))


def test_gaussian_blur_is_the_sum_over_its_kernel():
    picture = film((9, 12))
    weights = np.exp(-0.5 * (np.arange(-2, 3) / 1.1) ** 2)
    kernel = np.outer(weights, weights) / weights.sum() ** 2
    padded = np.pad(picture, 2, mode="reflect")
    expected = [[(padded[i : i + 5, j : j + 5] * kernel).sum() for j in range(12)] for i in range(9)]
    assert np.allclose(gaussian_blur(picture), expected, atol=1e-6)


@pytest.mark.parametrize(("size", "times"), [(3, 1), (3, 2), (5, 2)])
def test_morphological_gradient_is_most_minus_least(size, times):
    expected = film((8, 11))
    for _ in range(times):
        padded = np.pad(expected, size // 2, mode="symmetric")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
        expected = windows.max(axis=(2, 3)) - windows.min(axis=(2, 3))
    picture = film((8, 11))
    assert np.allclose(morphological_gradient(picture, size, times), expected, atol=1e-6)
    assert np.allclose(morphological_gradient(picture, size, times, added=True), np.minimum(picture + expected, 1))


def test_clahe_has_scikit_images_values_in_the_usual_unit():
    from skimage.exposure import equalize_adapthist

    picture = film((64, 96))
    assert np.allclose(clahe(picture, 2.56, (8, 8)), equalize_adapthist(picture, clip_limit=0.01), atol=1e-6)
    contrast = [clahe(picture, limit, (4, 4)).std() for limit in (1.0, 2.0, 8.0)]
    assert picture.std() < contrast[1] < contrast[2]
    assert not clahe(np.full((20, 20), 0.4, np.float32)).any()


@settings(max_examples=15, deadline=None)
@given(factor=st.floats(0.1, 3), offset=st.floats(-1, 1), seed=st.integers(0, 20), robust=st.booleans())
def test_normalising_forgets_brightness_and_contrast(factor, offset, seed, robust):
    picture = film(seed=seed)
    changed = picture * np.float32(factor) + np.float32(offset)
    assert np.allclose(normalise(changed, robust=robust), normalise(picture, robust=robust), atol=2e-3)
    assert np.allclose(normalise(1 - picture, robust=robust), 1 - normalise(picture, robust=robust), atol=2e-3)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("margins", [(0, 0, 9, 0), (12, 7, 9, 11), (0, 22, 0, 0)])
def test_borders_and_letters_do_not_rule_the_range(value, margins):
    top, bottom, left, right = margins
    picture = film()
    alone = normalise(picture)
    framed = np.pad(picture, ((top, bottom), (left, right)), constant_values=value)
    framed[2:7, 2:10] = 1 - value  # a marker in the border, or on the film where there is none
    inner = normalise(framed)[top : top + 90, left : left + 70]
    seen = np.ones((90, 70), bool)
    seen[:12, :14] = False
    assert np.abs(inner - alone)[seen].max() < 0.05
    plain = normalise(framed, 0, 100, robust=False)[top : top + 90, left : left + 70]
    assert np.abs(plain - alone)[seen].max() > 0.15


def test_a_plane_of_black_corners_does_not_rule_the_range():
    picture = film()
    rows, columns = np.ogrid[:90, :70]
    turned = np.where(rows + columns < 50, 0, picture)
    assert np.abs(normalise(turned) - normalise(picture))[rows + columns >= 50].max() < 0.06


def test_sixteen_bits_of_tiny_range_are_stretched_and_one_value_is_black():
    tiny = np.round(film() * 900).astype(np.uint16)
    assert np.abs(normalise(grey(tiny)) - normalise(film())).max() < 0.01
    assert not normalise(np.full((9, 9), 0.3, np.float32)).any()
    assert inside_borders(film()).shape == (90, 70)
    with pytest.raises(ConfigError, match="low < high"):
        normalise(film(), 60, 40)


@pytest.mark.parametrize("size", [(33, 128), (200, 31), (90, 70)])
def test_resizing_is_torchs_antialiased_one(size):
    import torch
    from torch.nn.functional import interpolate

    picture = film()
    whole = torch.from_numpy(picture)[None, None]
    expected = interpolate(whole, size=size, mode="bilinear", align_corners=False, antialias=True)[0, 0].numpy()
    assert np.allclose(resize(picture, size), expected, atol=1e-5)


def test_steps_are_done_in_the_order_of_the_list():
    stored = (film() * 255).astype(np.uint8)
    steps = [{"name": "clahe", "clip_limit": 3.0}, {"name": "gaussian_blur", "sigma": 0.8}]
    by_hand = resize(gaussian_blur(clahe(grey(stored), 3.0), 0.8), (32, 40))
    assert np.array_equal(prepare(stored, steps, (32, 40)), by_hand)
    assert not np.allclose(prepare(stored, steps[::-1], (32, 40)), by_hand, atol=1e-3)


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_can_be_ablated_step_by_step(setting):
    stored = (film() * 65535).astype(np.uint16)
    whole = prepare(stored, setting, (40, 32))
    assert whole.shape == (40, 32) and whole.dtype == np.float32 and 0 <= whole.min() < whole.max() <= 1
    before, after = parts(setting)
    assert np.array_equal(apply(apply(stored, before, (40, 32)), after, (40, 32)), whole)
    for name in {step["name"] for step in steps_of(setting)} - {"grey", "resize", "augmentation"}:
        off = [{**step, "enabled": step["name"] != name} for step in SETTINGS[setting]]
        assert steps_of(off) == without(setting, name)
        if (setting, name) != ("paper", "normalise"):  # what CLAHE makes goes from 0 to 1 already
            assert not np.array_equal(prepare(stored, off, (40, 32)), whole)


@pytest.mark.parametrize(
    "steps",
    [
        "papers",
        [{"name": "sharpen"}],
        [{"name": "clahe", "clip": 2}],
        [{"name": "resize", "spatial_size": [3, 3]}],
        [{"name": "resize"}, {"name": "resize"}],
        [{"name": "clahe"}, {"name": "grey"}],
        [{"name": "augmentation"}, {"name": "resize"}],
        ["clahe"],
    ],
)
def test_senseless_steps_are_refused(steps):
    with pytest.raises(ConfigError):
        steps_of(steps)


@pytest.mark.parametrize("name", ["grey", "resize", "clahe"])
def test_what_can_not_be_left_out(name):
    with pytest.raises(ConfigError, match="can't leave out"):
        without("recommended", name)


def test_wrong_parameters_say_what_is_wanted():
    for name, wrong in [
        ("gaussian_blur", {"sigma": 0}),
        ("morphological_gradient", {"size": 4}),
        ("clahe", {"clip_limit": 0.01}),
        ("clahe", {"tiles": [80, 8]}),
        ("resize", {"spatial_size": [4, 0]}),
    ]:
        with pytest.raises(ConfigError, match="wanted"):
            STEPS[name](film(), **wrong)


def test_files_of_eight_and_sixteen_bits_and_what_is_none(tmp_path):
    from PIL import Image

    for kind in (np.uint8, np.uint16):
        stored = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (6, 9)).astype(kind)
        Image.fromarray(stored).save(tmp_path / "image.png")
        read = read_picture(tmp_path / "image.png")
        assert np.array_equal(read, stored) and read.dtype == kind
    assert picture_grid(tmp_path / "image.png")[0] == (6, 9, 1)
    one, other = np.zeros((2, 6, 9), np.uint8)
    one[1:3, 2:4], other[4, 5:8] = 255, 255
    for name, mask in (("one", one), ("other", other)):
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    both = read_masks([tmp_path / "one.png", tmp_path / "other.png"], (6, 9))
    assert np.array_equal(both, ((one + other) > 0).astype(np.uint8))
    assert not read_masks([], (6, 9)).any()
    with pytest.raises(ImageError, match=r"\[6, 9\] pixels"):
        read_masks([tmp_path / "one.png"], (9, 6))
    whole = (tmp_path / "image.png").read_bytes()
    (tmp_path / "image.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match="can't be read"):
        read_picture(tmp_path / "image.png")
    with pytest.raises(ImageError, match="missing"):
        read_picture(tmp_path / "none.png")


@pytest.mark.parametrize(
    "stored",
    [
        np.array([[0, 1, 2], [2, 0, 0]], np.uint8),  # as lungseg segment writes lungs
        np.array([[0, 1, 1], [1, 0, 0]], np.uint8),
        np.array([[0, 200, 255], [128, 90, 3]], np.uint8),
        np.array([[0, 255, 255], [255, 0, 0]], np.uint16),
        np.array([[0, 65535, 40000], [65535, 3000, 0]], np.uint16),
        np.dstack([np.array([[0, 255, 255], [255, 0, 0]], np.uint8), np.full((2, 3), 255, np.uint8)]),  # with opacity
    ],
)
def test_masks_of_any_two_values_and_of_both_lungs_are_read(stored, tmp_path):
    from PIL import Image

    Image.fromarray(stored).save(tmp_path / "m.png")
    assert read_masks([tmp_path / "m.png"], (2, 3)).tolist() == [[0, 1, 1], [1, 0, 0]]


def test_a_mask_of_other_values_is_told(tmp_path):
    from PIL import Image

    Image.fromarray(np.array([[0, 5, 9], [70, 0, 0]], np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(ImageError, match=r"m\.png holds 4 values \(0, 5, 9, 70 \.\.\.\), none above 127"):
        read_masks([tmp_path / "m.png"], (2, 3))
