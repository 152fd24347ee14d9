"""pictures/left_lung.py on made radiographs and on shapes: what completing brings and what it leaves alone."""

import numpy as np
import pytest

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures.left_lung import complete_left_lung, complete_lungs
from lungseg_monai.synthesis.radiograph import TINY, make_radiograph


def dice(first, second):
    return 2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


def exchanged(labels):
    return np.array([0, 2, 1], np.uint8)[labels][:, ::-1]


@pytest.fixture(scope="module")
def films():
    from dataclasses import replace

    options = replace(TINY, view="PA", findings=(), children=0.0, difficulty=0.3, film=False)
    return [make_radiograph(61, index, options) for index in range(4)]


def bitten():
    """Two lungs, upright: both lack a box beside the heart, the right one a narrower and lower one."""
    whole = np.zeros((110, 150), np.uint8)
    whole[12:92, 24:66] = 1
    whole[12:92, 82:124] = 2
    seen = whole.copy()
    seen[60:92, 58:66] = 0
    seen[54:92, 82:100] = 0
    return seen, whole


def test_both_are_filled_to_the_line_where_they_reach_furthest():
    seen, whole = bitten()
    assert np.array_equal(complete_lungs(seen), whole)
    left = complete_left_lung(seen)
    assert np.array_equal(left == 2, whole == 2)
    assert np.array_equal(left == 1, seen == 1)


def test_what_is_whole_stays():
    _, whole = bitten()
    assert np.array_equal(complete_lungs(whole), whole)


def test_exchanging_the_lungs_exchanges_what_is_filled(films):
    for film in films:
        assert np.array_equal(complete_lungs(exchanged(film.visible)), exchanged(complete_lungs(film.visible)))


def test_a_mirrored_picture_is_filled_mirrored(films):
    for film in films:
        assert np.array_equal(complete_lungs(film.visible[:, ::-1]), complete_lungs(film.visible)[:, ::-1])


def test_nothing_is_taken_away_and_nothing_below_the_diaphragm_added(films):
    for film in films:
        seen, full = film.visible, complete_lungs(film.visible)
        assert np.array_equal(full[seen > 0], seen[seen > 0])
        lowest = np.flatnonzero((seen > 0).any(axis=1))[-1]
        assert not full[lowest + 1 :].any()


def test_completing_comes_nearer_to_the_lungs_behind_the_heart(films):
    """Measured, with the lungs known: each film gains by the left lung, and again by the right one."""
    for film in films:
        truth = film.completed > 0
        left, both = complete_left_lung(film.visible), complete_lungs(film.visible)
        assert dice(film.visible > 0, truth) + 0.01 < dice(left > 0, truth) < dice(both > 0, truth)
        added = (both > 0) & (film.visible == 0)
        assert np.count_nonzero(added & (film.anatomical > 0)) > 0.9 * np.count_nonzero(added)


def test_a_heart_on_one_side_does_not_tilt_the_line():
    """The left border runs outwards along the heart in all rows: the line stays upright, as the ribs' borders are."""
    seen, whole = bitten()
    rows = np.arange(seen.shape[0])
    slant = 82 + np.clip((rows - 25) * 0.35, 0, 24)
    seen = np.where((whole == 2) & (np.arange(seen.shape[1])[None] < slant[:, None]), 0, whole).astype(np.uint8)
    border = (complete_left_lung(seen) == 2)[60:84].argmax(axis=1)
    assert np.ptp(border) <= 1
    assert border[0] < slant[60] - 8


def test_a_wide_mediastinum_is_filled_to_the_spine():
    """Lungs far apart in all rows: the line lies a tenth of their width from the middle, not where they reach."""
    seen = np.zeros((100, 200), np.uint8)
    seen[10:90, 20:70] = 1
    seen[10:90, 130:180] = 2
    filled = (complete_left_lung(seen) == 2).any(axis=0)
    assert np.flatnonzero(filled)[0] == round(99.5 + 0.1 * 160)


def test_one_lung_or_none():
    seen, _ = bitten()
    empty = np.zeros_like(seen)
    assert not complete_lungs(empty).any()
    alone = np.where(seen == 1, seen, 0).astype(np.uint8)
    assert set(np.unique(complete_lungs(alone))) == {0, 1}
    with pytest.raises(ConfigError, match="of 0, 1"):
        complete_lungs(seen * 2)
