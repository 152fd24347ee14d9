"""Pieces by where they lie: distances of the patient, whatever the grid's axes."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from lungseg_monai.errors import ConfigError
from lungseg_monai.transforms.piece_position import PiecesNearMiddled, near_middle

# Middle at (19.5, 14.5, 4.5); each piece's centre and how far it lies from the middle in mm, for 2 x 3 x 5 mm.
PIECES = {
    "near": (slice(15, 20), slice(12, 15)),
    "aside": (slice(1, 4), slice(14, 16)),
    "behind": (slice(19, 21), slice(27, 30)),
}
AWAY_MM = {"near": (5.0, 4.5), "aside": (35.0, 0.0), "behind": (0.0, 40.5)}


def made():
    mask = np.zeros((40, 30, 10), bool)
    for i, j in PIECES.values():
        mask[i, j, 2:9] = True
    return mask


def left(mask):
    return {name for name, (i, j) in PIECES.items() if mask[i, j, 2:9].any()}


@pytest.mark.parametrize("within_mm", [(36, 41), (34, 41), (36, 40), (4.9, 100), (5.1, 4.6)])
def test_a_piece_stays_where_both_distances_allow_it(within_mm):
    wanted = {name for name, (aside, ahead) in AWAY_MM.items() if aside <= within_mm[0] and ahead <= within_mm[1]}
    kept = near_middle(made(), np.diag([2.0, 3.0, 5.0, 1.0]), within_mm)
    assert left(kept) == wanted
    assert kept.sum() == sum(made()[i, j].sum() for name, (i, j) in PIECES.items() if name in wanted)


def test_sides_are_the_patients_in_any_order_of_axes():
    order = [2, 0, 1]
    affine = np.diag([-2.0, 3.0, -5.0, 1.0])[:, [*order, 3]]
    affine[:3, 3] = [112, -40, 7]
    masks = MetaTensor(torch.from_numpy(made().transpose(order)[None].astype(np.uint8)), affine=affine)
    found = PiecesNearMiddled("pred", [30, 50])({"pred": masks})["pred"]
    assert left(found[0].numpy().transpose(np.argsort(order))) == {"near", "behind"}
    assert found.dtype == torch.uint8


def test_nothing_stays_nothing():
    assert not near_middle(np.zeros((4, 5, 6), bool), np.eye(4), (1, 1)).any()


@pytest.mark.parametrize("wrong", [None, [100], [100, 0], [100, "x"], 100])
def test_lengths_that_can_not_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="--within_mm"):
        PiecesNearMiddled("pred", wrong)
