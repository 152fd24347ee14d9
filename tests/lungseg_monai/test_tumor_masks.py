"""Masks on the file's grid: any orientation, and the grid on which the rules run."""

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import Compose
from tumor_items import make_item

from lungseg_monai.postprocessing import TumorRules, mask_on_image
from lungseg_monai.segment.tumor_grid import upright_grid
from lungseg_monai.transforms.tumor_chains import tumor_image, tumor_volume
from lungseg_monai.transforms.tumor_masks import TumorMaskd

SHAPE, SPACING = (6, 9, 4), (1.5, 0.7, 4.0)
ALONE = TumorRules(kernel="none", threshold=0.5)


@settings(deadline=None, max_examples=30)
@given(order=st.permutations([0, 1, 2]), signs=st.tuples(*[st.sampled_from([-1, 1])] * 3))
def test_turning_back_is_the_inverse_whatever_the_axes(order, signs):
    """A file whose axes lie anyhow, turned by nibabel's own LPS, comes back voxel by voxel."""
    voxels = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    affine = np.eye(4)
    affine[:3, :3] = np.diag(SPACING)[:, order] * np.array(signs)
    lps = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt("LPS"))
    upright = nib.Nifti1Image(voxels.astype(np.int32), affine).as_reoriented(lps)
    grid = upright_grid(SHAPE, affine)
    assert grid.array.shape == upright.shape
    assert grid.spacing_mm == pytest.approx(np.linalg.norm(upright.affine[:3, :3], axis=0))
    np.testing.assert_array_equal(grid.as_image(np.asarray(upright.dataobj)), voxels)


def turned_affine():
    """Axes to S, R, P: the file's slices are its first axis."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2] = 3.5, 1.3, -1.1
    affine[:, 3] = [-91.5, 60.25, -211.0, 1]
    return affine


@pytest.mark.parametrize("affine", [None, turned_affine()])
def test_the_label_itself_comes_back_where_it_was(tmp_path, affine):
    options = {} if affine is None else {"affine": affine, "shape": (16, 24, 20)}
    item = make_item(tmp_path, "A", labelled=range(4, 9), **options)
    chain = Compose(tumor_volume(["tumor"], "window", (-1000, 400), (48, 40)))
    loaded = chain(dict(item))
    made = TumorMaskd("pred", ALONE)({"image": loaded["image"], "pred": loaded["label"].float(), "case_id": "A"})
    reference = nib.load(item["tumor"][0])
    mask = made["pred"]
    np.testing.assert_allclose(mask.affine.numpy(), reference.affine, atol=1e-5)
    found, wanted = mask[0].numpy() > 0, np.asarray(reference.dataobj) > 0
    assert found.shape == wanted.shape
    assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) > 0.9


@pytest.mark.parametrize("grid", ["network", "image"])
def test_the_rules_are_those_of_postprocessing_and_probabilities_are_kept(tmp_path, grid):
    item = make_item(tmp_path, "B", labelled=range(4, 9))
    image = Compose(tumor_image("window", (-1000, 400), (12, 10)))({"image": item["image"]})["image"]
    probability = torch.from_numpy(np.random.default_rng(2).random((1, 12, 10, 16), np.float32))
    rules = TumorRules(threshold=0.9, radius=1, grid=grid)
    made = TumorMaskd("pred", rules, folder=tmp_path / "out")({"image": image, "pred": probability, "case_id": "B"})
    lps = upright_grid(image.meta["spatial_shape"], np.asarray(image.meta["original_affine"]))
    wanted = mask_on_image(probability[0].numpy(), rules, lps.spacing_mm, lps.shape_ij)
    np.testing.assert_array_equal(made["pred"][0].numpy() > 0, lps.as_image(wanted))
    kept = nib.load(tmp_path / "out" / "B" / "probability.nii.gz")
    assert kept.shape == (24, 20, 16) and 0 <= kept.get_fdata().min() < kept.get_fdata().max() <= 1
    np.testing.assert_allclose(kept.affine, nib.load(item["image"]).affine, atol=1e-5)
