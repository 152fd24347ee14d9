"""Small pieces are dropped by their volume, whatever the voxels' sides."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from lungseg_monai.errors import ConfigError
from lungseg_monai.transforms.small_pieces import DropSmallPiecesd

AFFINE = torch.diag(torch.tensor([-0.5, -2.0, 3.0, 1.0]))  # 3 mm3 a voxel


def volume():
    """Two channels: pieces of 1 and 4 voxels, the latter joined by a corner alone; and nothing."""
    masks = np.zeros((2, 5, 7, 6), np.float32)
    masks[0, 0, 0, 0] = 1
    masks[0, 2, 3:5, 3] = masks[0, 3, 5, 4:6] = 1
    return MetaTensor(torch.from_numpy(masks), affine=AFFINE)


@pytest.mark.parametrize(("least_mm3", "voxels"), [(0, 5), (3, 5), (3.1, 4), (12, 4), (12.5, 0)])
def test_pieces_below_the_volume_go_and_the_others_stay(least_mm3, voxels):
    before = volume()
    after = DropSmallPiecesd("pred", least_mm3)({"pred": volume()})["pred"]
    assert after.sum() == voxels and after.dtype == before.dtype and after.shape == before.shape
    assert bool((after <= before).all())
    torch.testing.assert_close(after.affine, before.affine)


def test_a_volume_below_0_can_not_be():
    with pytest.raises(ConfigError, match="least_mm3 is -1"):
        DropSmallPiecesd("pred", -1)
