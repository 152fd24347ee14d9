"""Scores, losses and optimisers of the radiograph bundles against plain reckoning."""

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.engines import IterationEvents

from lungseg_monai.errors import ConfigError
from lungseg_monai.training.pictures import PictureScores, lung_of, picture_loss, picture_optimizer


def batches(channels):
    """Three pictures in two batches: half right, all wrong, empty and found empty."""
    label = torch.zeros(3, 1, 4, 6)
    label[0, 0, :, :3], label[1, 0, 1:3, 2:4] = 1, 1
    lung = torch.zeros(3, 1, 4, 6)
    lung[0, 0, :, 1:5], lung[1, 0, 3, :] = 1, 1
    logits = torch.where(lung > 0, 2.0, -2.0)
    if channels == 2:
        logits = torch.cat([torch.full_like(logits, 0.5), logits + 0.5], dim=1)
    return [{"pred": logits[:2], "label": label[:2]}, {"pred": logits[2:], "label": label[2:]}]


@pytest.mark.parametrize("channels", [1, 2])
def test_scores_are_means_over_pictures(channels):
    def step(engine, batch):
        engine.state.output = batch
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        return batch

    engine = Engine(step)
    engine.register_events(*IterationEvents)
    PictureScores().attach(engine)
    found = engine.run(batches(channels)).metrics
    first = 2 * 8 / (16 + 12)  # columns 1 and 2 of 4 rows are in both
    assert found["dice"] == pytest.approx((first + 0 + 1) / 3)
    assert found["iou"] == pytest.approx((8 / 20 + 0 + 1) / 3)
    assert found["accuracy"] == pytest.approx((24 - 12 + 24 - 10 + 24) / 72)


def test_two_classes_are_one_logit_between_them():
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 2, 5, 3))).float()
    label = (torch.rand(2, 1, 5, 3, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    one = logits[:, 1:] - logits[:, :1]
    torch.testing.assert_close(picture_loss("cross_entropy")(logits, label), picture_loss("bce")(one, label))
    assert torch.equal(lung_of(logits), lung_of(one))


def test_what_is_not_known_is_refused():
    for wrong in (lambda: picture_loss("hinge"), lambda: picture_optimizer("lion", [], 0.1),
                  lambda: lung_of(torch.zeros(1, 3, 2, 2))):  # fmt: skip
        with pytest.raises(ConfigError):
            wrong()


def test_sgd_has_kuppilis_momentum_and_decay():
    made = picture_optimizer("sgd", [torch.nn.Parameter(torch.zeros(1))], 0.001).defaults
    assert (made["lr"], made["momentum"], made["weight_decay"]) == (0.001, 0.9, 1e-4)
