"""The lung network's loss: the weights against a brute-force reference, and what the loss tells apart."""

import numpy as np
import pytest
import torch

from lungseg_monai.losses_lung import LungLoss, WeighVoxels, near_change, surrounded


def test_a_change_of_label_is_near_within_the_cube():
    label = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (1, 1, 9, 8, 7))).float()
    label[..., 2:7, 1:6, :] = 2
    padded = np.pad(label[0, 0].numpy(), 1, mode="edge")
    cubes = np.lib.stride_tricks.sliding_window_view(padded, (3, 3, 3)).reshape(9, 8, 7, 27)
    assert np.array_equal(near_change(label, 1)[0, 0].numpy(), cubes.max(-1) != cubes.min(-1))
    assert not near_change(label, 0).any()


def test_air_counts_more_inside_the_body_only_and_borders_on_both_sides():
    image = torch.full((1, 1, 24, 20, 4), -1.04)
    image[..., 2:22, 2:18, :] = 0.7  # the body
    image[..., 4:10, 4:16, :] = -0.7  # a lung
    image[..., 16:20, 8:12, :] = -1.0  # bowel gas
    label = torch.zeros_like(image)
    label[..., 4:10, 4:16, :] = 1
    weight = WeighVoxels(air_weight=5.0, border_weight=3.0).weights(image, label)[0, 0, ..., 2]
    assert weight[18, 10] == 5 and weight[0, 0] == 1 and weight[14, 5] == 1
    assert weight[4, 10] == weight[5, 10] == weight[3, 10] == weight[2, 10] == 3 and weight[7, 10] == 1
    assert not surrounded(image > 0)[..., :2, :, :].any()


def test_the_loss_is_small_for_what_is_right_and_knows_the_sides():
    label = torch.zeros(1, 1, 16, 16, 16)
    label[..., 2:6, 3:13, 3:13], label[..., 10:14, 3:13, 3:13] = 1, 2
    right = 20 * torch.nn.functional.one_hot(label[0].long(), 3).movedim(-1, 1).float() - 10
    swapped, nothing = right[:, [0, 2, 1]], right.clone()
    nothing[:, 0] = 20
    loss = LungLoss()
    assert loss(right, label) < 0.01 < 1 < loss(nothing, label) < loss(swapped, label)
    plain = torch.cat([label, torch.ones_like(label)], 1)
    torch.testing.assert_close(loss(swapped, plain), loss(swapped, label))


def test_an_absent_lung_costs_only_where_something_is_found():
    label, quiet = torch.zeros(1, 1, 16, 16, 16), torch.zeros(1, 3, 16, 16, 16)
    quiet[:, 0] = 20
    false = quiet.clone()
    false[:, 2, 4:8, 4:8, 4:8] = 40
    assert LungLoss()(quiet, label) < 1e-3 < 0.1 < LungLoss()(false, label)


def test_weights_that_come_with_the_batch_are_used():
    batch = {"image": torch.rand(1, 1, 8, 8, 8), "label": torch.zeros(1, 1, 8, 8, 8, dtype=torch.uint8)}
    given = torch.full((1, 1, 8, 8, 8), 2.0).half()
    _, target = WeighVoxels()({**batch, "weight": given})
    assert target.shape == (1, 2, 8, 8, 8) and bool((target[:, 1] == 2).all())
    assert WeighVoxels()(batch)[1][:, 1].max() == pytest.approx(1.0)
