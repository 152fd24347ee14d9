"""pictures/corruptions.py: what may change under a corruption, and what may not."""

import numpy as np
import pytest

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures.corruptions import CORRUPTIONS, LEVELS, corrupt, grades, mixed
from lungseg_monai.transforms.radiograph_chains import AUGMENTATIONS

SHAPE = (120, 104)
STAYING = [one for one in grades() if not CORRUPTIONS[one[0]].moves]
MOVING = [one for one in grades() if CORRUPTIONS[one[0]].moves]


@pytest.fixture(scope="module")
def chest():
    """Two unequal lungs off the centre, dark in a body that is brighter to the right, air about it."""
    down, across = np.mgrid[: SHAPE[0], : SHAPE[1]]
    right = ((down - 52) / 30) ** 2 + ((across - 32) / 15) ** 2 <= 1
    left = ((down - 56) / 26) ** 2 + ((across - 70) / 12) ** 2 <= 1
    body = (across > 6) & (across < 96)
    picture = np.where(body, 0.6 + 0.2 * across / SHAPE[1], 0.03)
    picture[right | left] = 0.25
    picture += 0.02 * np.sin(down / 3) * np.cos(across / 4) * body
    labels = np.where(right, 1, np.where(left, 2, 0)).astype(np.uint8)
    return picture.astype(np.float32), labels


def dice(first, second):
    return 2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


@pytest.mark.parametrize(("name", "level"), grades())
def test_form(chest, name, level):
    picture, labels = chest
    before = picture.copy(), labels.copy()
    out, moved = corrupt(picture, labels, name, level, seed=3)
    assert out.dtype == np.float32
    assert moved.dtype == np.uint8
    assert out.shape == moved.shape
    assert 0 <= out.min() <= out.max() <= 1
    assert set(np.unique(moved)) == {0, 1, 2}
    assert out.shape != picture.shape or np.abs(out - picture).max() > 0.01
    assert np.array_equal(picture, before[0])
    assert np.array_equal(labels, before[1])


@pytest.mark.parametrize(("name", "level"), grades())
def test_same_seed_same_pixels(chest, name, level):
    first, again = (corrupt(*chest, name, level, seed=11) for _ in range(2))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])


@pytest.mark.parametrize("name", ["rotated", "cropped", "noise", "text", "devices", "pneumonia", "squeezed", "child"])
def test_seeds_differ(chest, name):
    results = [corrupt(*chest, name, "strong", seed) for seed in range(6)]
    assert any(one[0].shape != results[0][0].shape or not np.array_equal(one[0], results[0][0]) for one in results)


@pytest.mark.parametrize(("name", "level"), STAYING)
def test_labels_stay(chest, name, level):
    assert np.array_equal(corrupt(*chest, name, level)[1], chest[1])


@pytest.mark.parametrize(("name", "level"), MOVING)
def test_labels_go_with_the_picture(chest, name, level):
    """A picture of a lung itself: where it is bright afterwards, that lung's label lies."""
    _, labels = chest
    for side in (1, 2):
        own = (labels == side).astype(np.float32)
        out, moved = corrupt(own, labels, name, level, seed=5)
        field = corrupt(np.ones_like(own), labels, name, level, seed=5)[0] if name == "borders" else None
        seen = out > 0.5 if name != "borders" or level == "mild" else (out > 0.5) & (field > 0.5) & (moved > 0)
        assert dice(seen, moved == side) > 0.97


GRADED = [name for name, one in CORRUPTIONS.items() if len(one.levels) == 2 and not one.moves]


@pytest.mark.parametrize("name", [name for name in GRADED if name not in ("inverted", "clahe")])
def test_strong_changes_more_than_mild(chest, name):
    picture, labels = chest
    mild, strong = (
        np.mean([np.abs(corrupt(picture, labels, name, level, seed)[0] - picture).mean() for seed in range(4)])
        for level in LEVELS
    )
    assert strong > mild > 0


def test_rotated_as_much_as_said():
    one = np.zeros(SHAPE, np.uint8)
    one[20:100, 48:56] = 1  # an upright bar through the centre
    for level, degrees in (("mild", 10), ("strong", 20)):
        _, moved = corrupt(one.astype(np.float32), one, "rotated", level, seed=1)
        rows, columns = np.nonzero(moved)
        slope = np.polyfit(rows, columns, 1)[0]
        assert abs(abs(np.degrees(np.arctan(slope))) - degrees) < 1.0
        assert abs(np.count_nonzero(moved) / np.count_nonzero(one) - 1) < 0.03


def test_child_is_as_small_as_said(chest):
    _, moved = corrupt(*chest, "child", "strong", seed=2)
    share = np.count_nonzero(moved) / np.count_nonzero(chest[1])
    assert share == pytest.approx(0.48 * 0.48 * 1.16, rel=0.05)


def test_strong_crop_cuts_lungs_and_mild_does_not(chest):
    whole = np.count_nonzero(chest[1])
    assert np.count_nonzero(corrupt(*chest, "cropped", "mild")[1]) == whole
    shares = [np.count_nonzero(corrupt(*chest, "cropped", "strong", seed)[1]) / whole for seed in range(8)]
    assert all(0.85 < share < 0.999 for share in shares)


def test_mirrored_twice_is_nothing(chest):
    again = corrupt(*corrupt(*chest, "mirrored", "mild"), "mirrored", "mild")
    assert np.array_equal(again[0], chest[0])
    assert np.array_equal(again[1], chest[1])


def test_inverted_twice_is_nothing(chest):
    again, _ = corrupt(*corrupt(*chest, "inverted", "mild"), "inverted", "mild")
    assert np.abs(again - chest[0]).max() < 1e-6


def test_disease_stays_in_the_lungs(chest):
    picture, labels = chest
    for name in ("pneumonia", "white_lung"):
        change = np.abs(corrupt(picture, labels, name, "strong")[0] - picture)
        assert change[labels > 0].sum() > 20 * change[labels == 0].sum()


def test_white_lung_hides_one_lung_and_leaves_the_other(chest):
    picture, labels = chest
    change = corrupt(picture, labels, "white_lung", "strong")[0] - picture
    means = sorted(float(change[labels == side].mean()) for side in (1, 2))
    assert abs(means[0]) < 0.01
    assert means[1] > 0.3


def test_a_mask_without_sides_does_too(chest):
    picture, labels = chest
    together = (labels > 0).astype(np.uint8)
    for name in ("pneumonia", "white_lung"):
        out, moved = corrupt(picture, together, name, "strong")
        assert np.abs(out - picture).max() > 0.2
        assert np.array_equal(moved, together)


def test_no_lungs_are_no_error(chest):
    empty = np.zeros(SHAPE, np.uint8)
    for name, level in grades():
        assert not corrupt(chest[0], empty, name, level)[1].any()


def test_equalised_harder_shows_more_of_what_is_faint(chest):
    def faint(picture):
        return float(np.abs(np.diff(picture, axis=0)[45:60, 62:80]).mean())

    picture, labels = chest
    mild, strong = (faint(corrupt(picture, labels, "clahe", level)[0]) for level in LEVELS)
    assert strong > mild > 2 * faint(picture)


def test_few_values_are_left():
    ramp = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (8, 1))
    labels = np.zeros(ramp.shape, np.uint8)
    for level, values in (("mild", 64), ("strong", 12)):
        out, _ = corrupt(ramp, labels, "squeezed", level)
        found = np.unique(np.rint(out * 255))
        assert len(found) == values
        assert np.ptp(found) == values - 1


def test_noise_grows_with_density():
    flat = np.zeros((90, 300), np.float32)
    flat[:, 150:] = 0.7
    out, _ = corrupt(flat + 0.2, np.zeros(flat.shape, np.uint8), "noise", "mild")
    assert out[:, 150:].std() > 1.5 * out[:, :150].std()


def test_moving_does_not_shift():
    """Smeared, a symmetric spot keeps its centre."""
    spot = np.zeros((61, 81), np.float32)
    spot[28:33, 38:43] = 1
    out, _ = corrupt(spot, np.zeros(spot.shape, np.uint8), "blur", "strong")
    rows, columns = np.indices(spot.shape)
    assert (rows * out).sum() / out.sum() == pytest.approx(30, abs=0.05)
    assert (columns * out).sum() / out.sum() == pytest.approx(40, abs=0.05)


def test_mixed_draws_different_ones(chest):
    out, moved, done = mixed(*chest, seed=4)
    assert len({one.split("/")[0] for one in done}) == 3
    assert out.shape == moved.shape
    again = mixed(*chest, seed=4)
    assert again[2] == done
    assert np.array_equal(again[0], out)


def test_kin_are_augmentations_of_training():
    for one in CORRUPTIONS.values():
        assert set(one.kin) <= set(AUGMENTATIONS)
        assert one.beyond
        assert set(one.levels) <= set(LEVELS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "rain"}, "no corruption 'rain'"),
        ({"level": "worse"}, "no level 'worse'"),
        ({"labels": np.zeros((4, 5), np.uint8)}, "labels of"),
        ({"picture": np.full(SHAPE, 2, np.float32)}, "wanted 0 to 1"),
        ({"picture": np.full(SHAPE, np.nan, np.float32)}, "wanted 0 to 1"),
    ],
)
def test_bad_input(chest, change, said):
    given = {"picture": chest[0], "labels": chest[1], "name": "gamma", "level": "mild", **change}
    with pytest.raises(ConfigError, match=said):
        corrupt(**given)
