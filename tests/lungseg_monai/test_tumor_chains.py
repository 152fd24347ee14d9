"""The tumour chains: the union of masks, intensities, empty tumours, and changes that keep image and label together."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose
from tumor_items import AFFINE, make_item

from lungseg_monai.errors import ConfigError
from lungseg_monai.transforms.stretch import eight_bits_to_one, stretch_slices
from lungseg_monai.transforms.tumor_chains import AUGMENTATIONS, patch_augmentation, tumor_image, tumor_volume

WINDOW = (-1000, 400)
SHAPE = (24, 20, 16)


@pytest.fixture(scope="module")
def item(tmp_path_factory):
    """One patient with two tumours in two files."""
    folder = tmp_path_factory.mktemp("ct")
    item = make_item(folder, "A", [3, 4, 9])
    second = np.zeros(SHAPE, np.uint8)
    second[15:20, 11:18, 4:7] = 1
    nib.save(nib.Nifti1Image(second, AFFINE), folder / "A" / "gtv2.nii.gz")
    return {**item, "tumor": [*item["tumor"], str(folder / "A" / "gtv2.nii.gz")]}


def run(chain, item):
    made = Compose(chain)(item)
    return [np.asarray(made[key][0]) for key in ("image", "label") if key in made]


def voxels(path):
    return np.asarray(nib.load(path).dataobj)


def test_unresized_volumes_are_the_files_and_masks_are_united(item):
    image, label = run(tumor_volume(["tumor"], "window", WINDOW, SHAPE[:2]), item)
    np.testing.assert_allclose(image, np.clip((voxels(item["image"]).astype(float) + 1000) / 1400, 0, 1), atol=1e-6)
    np.testing.assert_array_equal(label, np.maximum(*(voxels(file) for file in item["tumor"])))


@pytest.mark.parametrize("intensity", ["window", "stretch"])
def test_prediction_and_training_see_the_same_image(item, intensity):
    (alone,) = run(tumor_image(intensity, WINDOW, (16, 12)), {"image": item["image"]})
    image, label = run(tumor_volume(["tumor"], intensity, WINDOW, (16, 12)), item)
    np.testing.assert_array_equal(alone, image)
    assert image.shape == label.shape == (16, 12, 16) and image.min() >= 0 and image.max() <= 1
    assert label.mean() == pytest.approx(np.maximum(*map(voxels, item["tumor"])).mean(), rel=0.2)


def test_no_mask_file_is_an_empty_label(item):
    image, label = run(tumor_volume(["tumor"], "window", WINDOW, (16, 12)), {**item, "tumor": []})
    assert label.shape == image.shape and not label.any() and label.dtype == np.uint8
    kept = run(tumor_volume(["tumor"], "window", WINDOW, (16, 12)), {**item, "tumor": [], "slices": [[2, 5], [8, 9]]})
    assert kept[1].shape == (16, 12, 4)


def test_a_slice_is_stretched_from_its_lowest_to_its_highest_value():
    image = torch.randint(-1000, 3000, (1, 7, 5, 4)).float()
    image[..., 2] = 40
    made = stretch_slices(image)
    for k in (0, 1, 3):
        slice_ = image[0, ..., k].double()
        expected = np.rint((slice_ - slice_.min()) / (slice_.max() - slice_.min()) * 255)
        np.testing.assert_allclose(made[0, ..., k], expected, atol=1e-3)
        assert made[..., k].min() == 0 and made[..., k].max() == 255
    assert not made[..., 2].any()
    assert torch.equal(stretch_slices(image * 0.5 + 7), made)  # neither slope nor intercept matters


def test_eight_bits_stay_eight_bits(item):
    image, _ = run(tumor_volume(["tumor"], "stretch", WINDOW, (16, 12)), item)
    np.testing.assert_allclose(image * 255, np.rint(image * 255), atol=1e-4)
    assert eight_bits_to_one(torch.tensor([0.4, 127.6, 255])).tolist() == pytest.approx([0, 128 / 255, 1])


def test_unknown_intensities_and_augmentations_are_refused():
    with pytest.raises(ConfigError, match="window, stretch, got 'hu'"):
        tumor_image("hu", WINDOW, (16, 16))
    with pytest.raises(ConfigError, match="no augmentation 'rotations'; there are: rotation, cropping"):
        patch_augmentation(True, {"rotations": 0.5})
    for wrong in (1.5, -0.1, "half", True, float("nan")):
        with pytest.raises(ConfigError, match="give a number from 0 to 1"):
            patch_augmentation(True, {"blur": wrong})
    assert patch_augmentation(False, {"blur": 1}) == []


def patch():
    """A bright box, off-centre, another one in each slice."""
    label = torch.zeros(1, 48, 40, 8)
    for k in range(8):
        label[0, 12 + k : 24 + k, 9:21, k] = 1
    return 0.1 + 0.7 * label, label


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_augmentation_happens_when_named_and_keeps_image_and_label_together(name):
    image, label = patch()
    augment = Compose(patch_augmentation(True, {name: 1.0}))
    moves = name in ("rotation", "cropping", "flip")
    outcomes, moved = [], []
    for seed in range(8):
        augment.set_random_state(seed=seed)
        out = augment({"image": image, "label": label})
        after, mask = np.asarray(out["image"]), np.asarray(out["label"])
        assert after.shape == mask.shape == (1, 48, 40, 8) and after.min() >= 0 and after.max() <= 1
        assert set(np.unique(mask)) <= {0, 1}
        assert ((after > 0.45) == (mask > 0)).mean() > 0.98
        outcomes.append(after)
        moved.append(not np.array_equal(mask, label.numpy()))
    assert sum(moved) >= 6 if moves else not any(moved)  # a turn or a crop may be too small to move a pixel
    assert not all(np.array_equal(after, image.numpy()) for after in outcomes)
    assert name == "flip" or not np.array_equal(outcomes[0], outcomes[1])


def test_probability_nought_or_no_name_changes_nothing():
    image, label = patch()
    for probabilities in ({}, dict.fromkeys(AUGMENTATIONS, 0)):
        out = Compose(patch_augmentation(True, probabilities))({"image": image, "label": label})
        assert torch.equal(torch.as_tensor(out["image"]), image) and torch.equal(torch.as_tensor(out["label"]), label)


def test_the_flip_is_left_to_right():
    """The first axis of a patch points to the patient's left."""
    image, label = patch()
    out = Compose(patch_augmentation(True, {"flip": 1.0}))({"image": image, "label": label})
    for key, before in (("image", image), ("label", label)):
        np.testing.assert_array_equal(out[key], before.flip(1))


def test_all_slices_of_a_patch_turn_alike():
    same = patch()[1][..., :1].expand(1, 48, 40, 8)
    augment = Compose(patch_augmentation(True, {"rotation": 1.0, "cropping": 1.0, "flip": 0.5}))
    augment.set_random_state(seed=3)
    out = augment({"image": same * 0.8, "label": same})
    for key in ("image", "label"):
        assert all(torch.equal(torch.as_tensor(out[key][..., k]), torch.as_tensor(out[key][..., 0])) for k in range(8))
