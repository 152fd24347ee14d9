"""Laws of what is measured, and of the options."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungseg_monai.errors import UsageError
from lungseg_monai.segment.measures import measure
from lungseg_monai.segment.options import LungOptions

NAMES = {1: "lung_right", 2: "lung_left"}


def test_a_known_volume_and_known_hu_on_an_oblique_mirrored_grid():
    labels = np.zeros((11, 7, 5), np.uint8)
    labels[:4, :5], labels[6:, 2:, :2] = 1, 2
    hu = np.full(labels.shape, 40, np.int16)
    hu[labels == 1] = -820
    hu[labels == 2] = np.arange(50) - 1000
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn * [-0.7, 0.9, 2.5]
    measured = measure(labels, hu, affine, NAMES)
    assert measured["volumes_ml"]["lung_right"] == pytest.approx(100 * 0.7 * 0.9 * 2.5 / 1000, abs=1e-3)
    assert measured["volumes_ml"]["lung_left"] == pytest.approx(50 * 0.7 * 0.9 * 2.5 / 1000, abs=1e-3)
    assert measured["hu"]["lung_right"] == {"mean": -820, "p15": -820, "below_950_percent": 0}
    assert measured["hu"]["lung_left"]["mean"] == -975.5
    assert measured["hu"]["lung_left"]["p15"] == pytest.approx(np.percentile(np.arange(50) - 1000, 15))
    assert measured["hu"]["lung_left"]["below_950_percent"] == 100  # -951 is the last
    hu[labels == 2] += 26
    assert measure(labels, hu, affine, NAMES)["hu"]["lung_left"]["below_950_percent"] == 48


def test_what_is_not_there_has_no_hu():
    labels = np.ones((2, 2, 2), np.uint8)
    measured = measure(labels, np.zeros(labels.shape), np.eye(4), NAMES)
    assert measured["volumes_ml"] == {"lung_right": 0.008, "lung_left": 0}
    assert measured["hu"]["lung_left"] == {"mean": None, "p15": None, "below_950_percent": None}


def test_sums_do_not_overflow():
    labels = np.ones((400, 400, 40), np.uint8)
    measured = measure(labels, np.full(labels.shape, -1000, np.int16), np.eye(4), {1: "lung_right"})
    assert measured["hu"]["lung_right"] == {"mean": -1000, "p15": -1000, "below_950_percent": 100}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vessels", "some"),
        ("airways", "no"),
        ("refine", 1),
        ("border_mm", -0.1),
        ("border_mm", float("nan")),
        ("border_mm", "3"),
        ("threshold_hu", 40),
        ("threshold_hu", -2000),
        ("min_lung_ml", -1),
        ("min_pocket_ml", float("inf")),
        ("max_hole_ml", True),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(name, value):
    with pytest.raises(UsageError, match=f"{name}.*{value}"):
        LungOptions(**{name: value})


@given(st.floats(0, 20), st.floats(-900, -100), st.floats(0, 2000))
def test_options_that_make_sense_are_kept(border_mm, threshold_hu, min_lung_ml):
    options = LungOptions(border_mm=border_mm, threshold_hu=threshold_hu, min_lung_ml=min_lung_ml)
    assert (options.border_mm, options.threshold_hu, options.min_lung_ml) == (border_mm, threshold_hu, min_lung_ml)
