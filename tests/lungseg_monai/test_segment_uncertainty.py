"""How far a network's answers lie apart: changes, their way back, numbers against brute force, raggedness, the look."""

from itertools import combinations

import numpy as np
import pytest

from lungseg_monai.segment.changes import changes
from lungseg_monai.segment.look import CHANCES, dice_between, look_of
from lungseg_monai.segment.ragged import raggedness
from lungseg_monai.segment.result import Segmentation
from lungseg_monai.segment.uncertainty import Answers, Limits, ask, doubted, numbers, percent

CHANGES = changes(0.25)
NEVER = Limits(border=100, dice=0, ragged=99)


def smooth(shape):
    places = np.indices(shape).astype(np.float32)
    return sum(np.sin(one / (5 + axis)) for axis, one in enumerate(places)).astype(np.float32)


@pytest.mark.parametrize("shape", [(31, 22), (24, 19, 28)])
@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.name)
def test_each_change_keeps_the_shape_and_finds_its_way_back(shape, change):
    image = smooth(shape)
    shown = change.forth(image, across=1)
    assert shown.shape == shape and shown.dtype == np.float32 and not np.array_equal(shown, image)
    back = change.back(shown[None], across=1)[0]
    apart = np.abs(back - image - change.grey)
    assert apart.max() < (0.1 if change.corner is not None else 1e-6)
    assert apart[(slice(1, -1),) * len(shape)].max() < 0.03  # linear between voxels that were themselves between others


def test_smaller_keeps_the_corners_in_the_frame():
    image = smooth((40, 21))
    for change in CHANGES:
        if change.corner is not None:
            at = -change.corner
            assert change.forth(image, 0)[at, at] == pytest.approx(image[at, at], abs=1e-5)


def test_a_network_that_no_change_moves_is_certain():
    image = smooth((20, 16, 12))
    told = ask(lambda shown: np.full((2, *shown.shape), 0.75, np.float32), image, np.full((2, *image.shape), 0.75), 0.1)
    assert told.count == 6 and told.spread.max() < 1e-6 and (told.votes == 6).all()


def test_a_network_that_follows_grey_alone_spreads_by_it():
    image = np.full((8, 9), 0.5, np.float32)
    told = ask(lambda shown: shown[None], image, image[None], 0.2)
    assert told.spread == pytest.approx(np.std([0.5, 0.5, 0.5, 0.5, 0.7, 0.3]), abs=1e-6)
    assert (told.votes == 1).all()  # only the brighter one lies above one half
    assert percent(told.spread).max() == 12


def test_in_a_mirror_sides_are_exchanged():
    """A network that calls the first half right and the second one left, whatever it is shown."""

    def halves(shown):
        right = np.zeros(shown.shape, np.float32)
        right[: len(right) // 2] = 1
        return np.stack([right, 1 - right])

    image = smooth((12, 7))
    told = ask(halves, image, halves(image), 0.0, exchanged=(1, 0))
    assert told.spread[[0, -1]].max() < 1e-6
    wrong = ask(halves, image, halves(image), 0.0)
    assert wrong.spread[0].min() > 0.3


def test_numbers_are_those_of_all_pairs_of_answers():
    random = np.random.default_rng(3)
    given = random.random((5, 2, 6, 7, 8)) < np.array([0.3, 0.6])[:, None, None, None]
    answers = Answers(
        random.random((6, 7, 8)).astype(np.float32) / 2, given.sum(0).astype(np.uint8), ("a", "b", "c", "d")
    )
    told = numbers(answers, {"one": given[0, 0], "other": np.zeros((6, 7, 8), bool)}, (1.0, 1.0, 1.0), 2.0, 1)
    for label, name in enumerate(told):
        pairs = list(combinations(given[:, label], 2))
        expected = 2 * sum((a & b).sum() for a, b in pairs) / sum(a.sum() + b.sum() for a, b in pairs)
        assert told[name]["dice"] == pytest.approx(expected, abs=1e-4)
        some, each = given[:, label].any(0).sum(), given[:, label].all(0).sum()
        assert told[name]["flip_percent"] == pytest.approx(100 * (some - each) / some, abs=0.01)
    assert told["other"]["border_percent"] is None and 0 < told["one"]["border_percent"] < 50


def test_nothing_found_by_any_answer_has_no_numbers_and_no_flag():
    nothing = Answers(np.zeros((4, 5), np.float32), np.zeros((1, 4, 5), np.uint8), ("a",))
    told = numbers(nothing, {"lungs": np.zeros((4, 5), bool)}, (1.0, 1.0), 2.0, 1)
    assert told == {"lungs": {"border_percent": None, "flip_percent": None, "dice": None}}
    found = Segmentation(np.zeros((4, 5), np.uint8), {1: "lungs"})
    limits = Limits(border=0, dice=1, ragged=0)
    whole = doubted(found, nothing, told, np.zeros((4, 5), np.uint8), (1.0, 1.0), limits)
    assert whole.flags == () and whole.uncertainty["rois"]["lungs"]["ragged"] is None


def ball(shape, spacing, radius, centre_shift=0.0):
    grid = np.meshgrid(*(np.arange(n) * step for n, step in zip(shape, spacing, strict=True)), indexing="ij")
    middle = [(n - 1) * step / 2 + centre_shift for n, step in zip(shape, spacing, strict=True)]
    return sum((one - at) ** 2 for one, at in zip(grid, middle, strict=True)) < radius**2


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), (0.75, 1.5, 3.0)])
def test_a_ball_is_smooth_on_any_grid_and_a_gnawed_one_is_not(spacing):
    shape = tuple(round(70 / step) for step in spacing)
    mask = ball(shape, spacing, 28.0)
    smooth_one = raggedness(mask, spacing)
    assert smooth_one == pytest.approx(1, abs=0.07)
    gnawed = mask & (np.random.default_rng(0).random(shape) > 0.25)
    assert raggedness(gnawed, spacing) > 1.5
    assert raggedness(mask.transpose(2, 0, 1), (spacing[2], *spacing[:2])) == pytest.approx(smooth_one, abs=1e-6)


def test_raggedness_of_a_film_and_of_nothing():
    disk = ball((90, 64), (1.0, 1.0), 24.0)
    assert raggedness(disk, (1.0, 1.0), 1.0) == pytest.approx(1, abs=0.05)
    assert raggedness(np.zeros((5, 6), bool), (1.0, 1.0)) is None


def test_flags_begin_at_the_limits_and_name_what_they_mean():
    answers = Answers(np.full((40, 40), 0.2, np.float32), np.full((1, 40, 40), 1, np.uint8), ("a", "b"))
    labels = np.zeros((40, 40), np.uint8)
    labels[8:30, 10:28] = 1
    found = Segmentation(labels, {1: "gtv"})

    def codes(limits, least=1):
        told = numbers(answers, {"gtv": labels == 1}, (1.0, 1.0), 1.0, least)
        whole = doubted(found, answers, told, percent(answers.spread), (1.0, 1.0), limits)
        return [(flag.code, flag.severity) for flag in whole.flags]

    assert codes(NEVER) == []
    assert codes(Limits(border=19, dice=0, ragged=99)) == [("uncertain", "check")]
    assert codes(Limits(border=99, dice=0.1, ragged=99), least=1601) == []
    assert codes(Limits(border=99, dice=0.1, ragged=99), least=1600) == [("uncertain", "check")]
    assert codes(Limits(border=99, dice=0, ragged=0)) == [("ragged_border", "check")]


def flag(code, severity="check"):
    return {"code": code, "severity": severity, "what": ""}


def test_the_look_grows_with_every_reason_and_notes_are_none():
    calm = look_of([flag("backend", "note")], [0.98, 0.95])
    assert calm == {"reasons": [], "score": 0.05}
    one = look_of([flag("odd")], [0.95])
    two = look_of([flag("odd"), flag("odder"), flag("odd")], [0.95])
    alarm = look_of([flag("odd"), flag("no_lung", "alarm")], [])
    assert calm["score"] < one["score"] < two["score"] < alarm["score"] <= 1
    assert alarm["reasons"] == ["no_lung", "odd"] and alarm["score"] >= CHANCES["alarm"]
    assert look_of([], [])["score"] == 0 and look_of([], [-1])["score"] == 1


@pytest.mark.parametrize("odd", [{}, {"rois": None}, {"rois": {"a": 3, "b": {"dice": None}}}])
def test_no_dice_between_answers_is_none(odd):
    assert dice_between(odd) == []
