"""The shared transform lists: HU window, the union of masks, the way to the network's grid and back."""

import re

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, Invertd
from prepared import make_prepared
from scipy.ndimage import center_of_mass

from lungseg_monai.data import select_cases
from lungseg_monai.errors import ConfigError, DatasetError
from lungseg_monai.slices import reason_of, root_cause
from lungseg_monai.transforms.chains import DEFAULT_CHANGES, image_volume, labelled_volume, slice_augmentation, unite
from lungseg_monai.transforms.mirror import mirror_places

LABELS = {"lungs": ["lung_left", "lung_right"]}
WINDOW = (-1000, 400)


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    """P1 on an upright, P2 on an oblique grid."""
    folder = make_prepared(tmp_path_factory.mktemp("prepared"))
    return select_cases(folder, LABELS).items("training")


def union(item: dict) -> np.ndarray:
    return np.maximum.reduce([np.asarray(nib.load(file).dataobj) for file in item["lungs"]])


def test_unresized_volumes_are_the_files(items):
    for item in items:
        image, label = np.asarray(nib.load(item["image"]).dataobj), union(item)
        loaded = Compose(labelled_volume(["lungs"], WINDOW, image.shape[:2]))(item)
        windowed = np.clip((image.astype(float) + 1000) / 1400, 0, 1)
        np.testing.assert_allclose(loaded["image"][0].numpy(), windowed, atol=1e-6)
        np.testing.assert_array_equal(loaded["label"][0].numpy(), label)
        assert loaded["label"].dtype == torch.uint8


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_refuse_the_image(items, tmp_path, value):
    image = nib.load(items[0]["image"])
    voxels = np.asarray(image.dataobj).astype(np.float32)
    voxels[3, :, 2] = value
    nib.save(nib.Nifti1Image(voxels, image.affine), tmp_path / "image.nii.gz")
    item = {**items[0], "image": str(tmp_path / "image.nii.gz")}
    for chain in (image_volume(WINDOW, (32, 32)), labelled_volume(["lungs"], WINDOW, (32, 32))):
        with pytest.raises(RuntimeError) as error:
            Compose(chain)(item)
        assert f"{voxels.shape[1]} voxels that are no finite numbers" in root_cause(error.value)


@pytest.mark.parametrize(
    ("values", "window_hu", "told"),
    [
        (lambda hu: np.clip((hu + 1000) / 1400 * 255, 0, 255).astype(np.uint8), WINDOW, "from 0 to .*an 8-bit picture"),
        (lambda hu: (hu - hu.min()) / np.ptp(hu), WINDOW, "from 0 to 1, none near the lower end"),
        (lambda hu: hu + 1024, WINDOW, "or never rescaled"),
        (lambda hu: hu, (2000, 3000), r"nothing lies within window_hu \[2000, 3000\]"),
        (lambda hu: hu, (-5000, -3000), "nothing lies within"),
        (lambda hu: hu * 0 - 1000, WINDOW, "from -1000 to -1000: nothing lies within"),
    ],
    ids=["8 bits", "0 to 1", "no intercept", "window above", "window below", "blank"],
)
def test_what_the_window_does_not_fit_is_refused(items, tmp_path, values, window_hu, told):
    image = nib.load(items[0]["image"])
    made = values(np.asarray(image.dataobj).astype(np.float32)).copy()
    nib.save(nib.Nifti1Image(made, image.affine), tmp_path / "image.nii.gz")
    item = {**items[0], "image": str(tmp_path / "image.nii.gz")}
    with pytest.raises(RuntimeError) as error:
        Compose(image_volume(window_hu, (32, 32)))(item)
    assert re.search(told, reason_of(error.value))
    if made.min() < made.max():
        Compose(image_volume((float(made.min()), float(made.max())), (32, 32)))(item)  # the window of these values


def test_masks_of_two_values_are_what_is_not_0_and_of_more_are_refused():
    masks = torch.tensor([[0, 255, 0, 0], [0, 0, 2, 0]], dtype=torch.uint8)[..., None, None]
    assert unite(masks).flatten().tolist() == [0, 1, 1, 0]
    masks[0, 3] = 1
    with pytest.raises(DatasetError, match="several values besides 0, from 1 to 255"):
        unite(masks)


@pytest.mark.parametrize("size", [(96, 80), (32, 24)])
def test_resizing_moves_nothing(items, size):
    """Image and label keep their centres, in shares of the slice, and the area its share."""
    for item in items:
        loaded = Compose(labelled_volume(["lungs"], WINDOW, size))(item)
        label, before = loaded["label"][0].numpy(), union(item)
        for axis, length in enumerate(size):  # to 0.15 pixels of the network's grid
            centre = (center_of_mass(label)[axis] + 0.5) / length
            assert centre == pytest.approx((center_of_mass(before)[axis] + 0.5) / before.shape[axis], abs=0.15 / length)
        assert label.mean() == pytest.approx(before.mean(), rel=0.05)
        assert loaded["label"].shape[1:] == loaded["image"].shape[1:] == (*size, before.shape[2])


def test_several_targets_are_channels_in_order(items):
    item = {**items[0], "left": items[0]["lungs"][:1], "right": items[0]["lungs"][1:]}
    label = Compose(labelled_volume(["right", "left"], WINDOW, (48, 40)))(item)["label"]
    np.testing.assert_array_equal(label[0], np.asarray(nib.load(item["right"][0]).dataobj))
    np.testing.assert_array_equal(label[1], np.asarray(nib.load(item["left"][0]).dataobj))


@pytest.mark.parametrize("axcodes", ["LPS", "RAS", "PSL", "ARI"])
def test_whatever_way_a_file_lies_slices_are_axial_and_come_back(items, tmp_path, axcodes):
    """The same chest stored along other axes gives the same network input, and its mask its own grid."""
    original = nib.load(items[0]["image"])
    wanted = nib.orientations.axcodes2ornt(axcodes)
    turned = original.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(original.affine), wanted))
    nib.save(turned, tmp_path / "turned.nii.gz")
    chain = Compose(image_volume(WINDOW, (64, 64)))
    straight, item = chain({"image": items[0]["image"]}), chain({"image": str(tmp_path / "turned.nii.gz")})
    np.testing.assert_allclose(item["image"].numpy(), straight["image"].numpy(), atol=1e-5)

    item["pred"] = item["image"].clone()
    back = Invertd("pred", chain, "image", nearest_interp=False)(item)
    assert back["pred"].shape[1:] == turned.shape
    np.testing.assert_allclose(back["pred"].affine, turned.affine, atol=1e-4)


def test_augmentation_moves_image_and_label_together_and_keeps_the_label_binary():
    label = torch.zeros(1, 64, 64)
    label[:, 14:34, 30:50] = 1
    augment = Compose(slice_augmentation(True))
    moved = 0
    for seed in range(20):
        augment.set_random_state(seed=seed)
        out = augment({"image": label * 0.8, "label": label})
        assert set(np.unique(out["label"].numpy())) <= {0, 1}
        overlap = (out["image"].numpy() > 0.45) == (out["label"].numpy() > 0)
        assert overlap.mean() > 0.97
        moved += not np.array_equal(out["label"].numpy(), label.numpy())
    assert moved > 5
    assert slice_augmentation(False) == []


def changed(names, seed, labels=None, item=None):
    augment = Compose(slice_augmentation(True, names, labels))
    augment.set_random_state(seed=seed)
    return augment(item or {"image": torch.rand(1, 32, 24), "label": torch.zeros(1, 32, 24)})


def test_changes_that_are_left_out_change_nothing_in_the_others():
    item = {"image": torch.rand(1, 32, 24), "label": (torch.rand(1, 32, 24) > 0.7).float()}
    for seed in range(8):
        assert torch.equal(changed([], seed, item=item)["image"], item["image"])
        both = changed(["intensity", "noise"], seed, item=item)["image"]
        assert torch.equal(changed(["noise"], seed, item=changed(["intensity"], seed, item=item))["image"], both)
        moved = changed(["rotation", "scale", "shift"], seed, item=item)["label"]
        assert torch.equal(changed(DEFAULT_CHANGES, seed, item=item)["label"], moved)


def test_a_flip_exchanges_the_sides_of_image_and_targets():
    labels = {"r": ["lung_right"], "l": ["lung_left"], "lungs": ["lung_left", "lung_right"]}
    item = {"image": torch.rand(1, 8, 6), "label": (torch.rand(3, 8, 6) > 0.5).float()}
    flipped = 0
    for seed in range(12):
        out = changed(["flip"], seed, labels, item)
        if not torch.equal(out["image"], item["image"]):
            flipped += 1
            assert torch.equal(out["image"], item["image"].flip(1))
            assert torch.equal(out["label"], item["label"][[1, 0, 2]].flip(1))
    assert 2 < flipped < 10


def test_a_flip_needs_the_other_side_and_a_change_its_right_name():
    assert mirror_places({"lungs": ["lung_left", "lung_right"], "heart": ["heart"]}) == [0, 1]
    assert mirror_places({"lung_right": 1, "lung_left": 2}) == [1, 0]
    with pytest.raises(ConfigError, match=r"target l \(lung_left\) has a side.*lung_right.*leave flip out"):
        slice_augmentation(True, ["flip"], {"l": ["lung_left"]})
    with pytest.raises(ConfigError, match="no augmentation 'flop'; there are: rotation, scale"):
        slice_augmentation(True, ["flop"])
