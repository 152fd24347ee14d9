"""Scores of radiographs against libraries and by hand: off-centre, not square, with pixels that are not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_iou

from lungseg_monai.errors import EvaluationError
from lungseg_monai.evaluation.bootstrap import Bootstrap
from lungseg_monai.evaluation.pictures import PICTURE_METRICS, picture_scores, summarise_pictures, worst_mean

masks = arrays(np.bool_, (13, 21))


def ellipse(shape=(60, 90), centre=(22.0, 55.0), axes=(14.0, 20.0)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return ((rows - centre[0]) / axes[0]) ** 2 + ((columns - centre[1]) / axes[1]) ** 2 < 1


def tensors(*pictures):
    return [torch.from_numpy(picture.astype(np.float32))[None, None] for picture in pictures]


@settings(max_examples=12, deadline=None)
@given(masks, masks)
def test_overlap_and_distance_are_monais(one, other):
    found = picture_scores(one, other, spacing_mm=(0.2, 0.7))
    if not one.any() or not other.any():
        assert found["hd95_px"] is found["hd95_mm"] is None
        return
    a, b = tensors(one, other)
    assert found["dice"] == pytest.approx(float(compute_dice(a, b)), abs=1e-6)
    assert found["iou"] == pytest.approx(float(compute_iou(a, b)), abs=1e-6)
    for name, spacing in (("hd95_px", 1.0), ("hd95_mm", (0.2, 0.7))):
        theirs = compute_hausdorff_distance(a, b, include_background=True, percentile=95, spacing=spacing)
        assert found[name] == pytest.approx(float(theirs), abs=1e-5)


@settings(max_examples=12, deadline=None)
@given(masks, masks)
def test_scores_turn_with_the_picture_and_do_not_care_who_is_first(one, other):
    found = picture_scores(one, other, spacing_mm=(0.5, 1.25))
    turned = picture_scores(one.T[::-1], other.T[::-1], spacing_mm=(1.25, 0.5))
    assert turned == pytest.approx(found)
    assert picture_scores(other, one, spacing_mm=(0.5, 1.25)) == pytest.approx(found)


def test_a_picture_against_itself_and_against_itself_moved():
    mask = ellipse()
    same = picture_scores(mask, mask, mask.astype(float), (0.3, 0.4))
    assert same == dict.fromkeys(PICTURE_METRICS, 0.0) | {"dice": 1.0, "iou": 1.0, "accuracy": 1.0}
    moved = picture_scores(np.roll(mask, 3, axis=1), mask, spacing_mm=(0.3, 0.4))
    assert 2 < moved["hd95_px"] <= 3 and moved["hd95_mm"] == pytest.approx(0.4 * moved["hd95_px"])
    assert moved["iou"] == pytest.approx(moved["dice"] / (2 - moved["dice"]))


def test_mse_is_what_table_2_says():
    one, other = ellipse(), ellipse(centre=(25, 50))
    found = picture_scores(one, other, probability=np.where(one, 0.75, 0.125))
    assert found["mse"] == pytest.approx(np.mean((one.astype(float) - other) ** 2))
    assert found["mse_probability"] == pytest.approx(np.mean((np.where(one, 0.75, 0.125) - other) ** 2))
    assert found["mse"] + found["accuracy"] == pytest.approx(1) and found["hd95_mm"] is None


def test_empty_masks():
    nothing, mask = np.zeros((60, 90), bool), ellipse()
    assert picture_scores(nothing, nothing)["dice"] == 1
    assert picture_scores(nothing, nothing, empty="skip")["iou"] is None
    assert picture_scores(mask, nothing, empty="skip")["dice"] == picture_scores(nothing, mask)["iou"] == 0


def test_what_does_not_fit_is_refused():
    mask = ellipse()
    with pytest.raises(EvaluationError, match=r"\[60, 89\] pixels.*\[60, 90\].*never resample"):
        picture_scores(mask[:, 1:], mask)
    with pytest.raises(EvaluationError, match=r"probability has \[30, 45\]"):
        picture_scores(mask, mask, probability=np.zeros((30, 45)))
    for wrong in (1.5, np.nan):
        with pytest.raises(EvaluationError, match="wanted 0 to 1"):
            picture_scores(mask, mask, probability=np.full(mask.shape, wrong))


def rows(dice, **more):
    return [{"dice": one, **{name: values[at] for name, values in more.items()}} for at, one in enumerate(dice)]


def test_the_worst_twentieth():
    assert worst_mean([0.5]) == 0.5 and worst_mean([]) is None
    assert worst_mean([0.9] * 38 + [0.2, 0.4]) == pytest.approx(0.3)  # 2 of 40
    assert worst_mean([0.9] * 39 + [0.2, 0.4]) == pytest.approx(0.5)  # 3 of 41: rounded up
    found = summarise_pictures(rows([0.9, 0.7, None], mse=[0.1, 0.3, 0.2]))
    assert found["dice"]["worst_5_percent"] == 0.7 and found["mse"]["worst_5_percent"] == 0.3
    assert (found["dice"]["n"], found["dice"]["not_computed"]) == (2, 1) and "hd95_px" not in found


def test_intervals_draw_patients():
    dice = list(np.linspace(0.6, 0.98, 40))
    alone = summarise_pictures(rows(dice))["dice"]
    pairs = summarise_pictures(rows(dice, group=[f"P{at // 20}" for at in range(40)]))["dice"]
    assert alone["mean_interval"][0] < alone["mean"] < alone["mean_interval"][1]
    assert np.ptp(pairs["mean_interval"]) > np.ptp(alone["mean_interval"])
    assert summarise_pictures(rows(dice))["dice"] == alone
    assert summarise_pictures(rows(dice), Bootstrap(seed=1))["dice"]["mean_interval"] != alone["mean_interval"]
    assert summarise_pictures(rows([0.9]))["dice"]["mean_interval"] is None
