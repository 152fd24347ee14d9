"""Small pieces and small holes of slices: against MONAI and scipy slice by slice, and in mm2 on any grid."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import FillHoles
from scipy.ndimage import binary_fill_holes, label

from lungseg_monai.errors import ConfigError
from lungseg_monai.transforms.slice_pieces import SlicePiecesd, without_small_holes, without_small_pieces

SHAPE = (23, 17, 5)


@pytest.fixture
def mask():
    return np.random.default_rng(3).random(SHAPE) < 0.45


@pytest.mark.parametrize("least", [0, 1, 2, 4.5, 1000])
def test_pieces_are_those_of_each_slice_alone(mask, least):
    kept = without_small_pieces(mask, least)
    for k in range(SHAPE[2]):
        numbers, count = label(mask[:, :, k], np.ones((3, 3)))
        large = [number for number in range(1, count + 1) if (numbers == number).sum() >= least]
        np.testing.assert_array_equal(kept[:, :, k], np.isin(numbers, large))


def test_without_a_limit_all_holes_are_filled_as_scipy_and_monai_fill_them(mask):
    filled = without_small_holes(mask, np.inf)
    for k in range(SHAPE[2]):
        np.testing.assert_array_equal(filled[:, :, k], binary_fill_holes(mask[:, :, k]))
        monai = FillHoles(connectivity=1)(torch.from_numpy(mask[None, :, :, k]).float())
        np.testing.assert_array_equal(filled[:, :, k], monai[0].numpy() > 0)


def test_a_hole_is_filled_below_the_limit_alone_and_the_outside_never():
    mask = np.zeros((12, 9, 2), bool)
    mask[1:11, 1:8] = True
    mask[3:5, 3:5, 0] = False  # 4 pixels, in one slice
    mask[6:10, 4:6] = False  # 8, in both
    assert without_small_holes(mask, 4).sum() == mask.sum()
    assert without_small_holes(mask, 5).sum() == mask.sum() + 4
    assert without_small_holes(mask, 9).sum() == mask.sum() + 20
    assert not without_small_holes(np.zeros_like(mask), np.inf).any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_areas_are_those_of_axial_slices_however_the_volume_lies_in_memory(axis):
    mask = torch.zeros(1, 20, 24, 6)
    mask[0, 2:8, 3:9, 1:5] = 1  # 36 pixels of 1.5 x 2 mm: 108 mm2
    mask[0, 4:6, 4:7, 1:5] = 0  # a hole of 6: 18 mm2
    mask[0, 12:14, 15:20, 2] = 1  # 10: 30 mm2
    affine = np.diag([-1.5, 2.0, 4.0, 1.0])
    order = np.roll([0, 1, 2], axis - 2)
    turned = MetaTensor(mask.permute(0, *(1 + order)), affine=affine[:, [*order, 3]])
    for areas, wanted in [((30, 18), (4 * 30, 10)), ((30, 18.1), (4 * 36, 10)), ((30.1, 0), (4 * 30, 0))]:
        found = SlicePiecesd("pred", *areas)({"pred": turned.clone()})["pred"]
        found = found.as_tensor().permute(0, *(1 + np.argsort(order)))
        assert (int(found[0, :10].sum()), int(found[0, 10:].sum())) == wanted


@pytest.mark.parametrize("wrong", [-1, "30", True, None, float("nan")])
def test_areas_that_can_not_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="--fill_holes_mm2"):
        SlicePiecesd("pred", fill_holes_mm2=wrong)
