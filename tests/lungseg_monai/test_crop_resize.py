"""Random cropping that keeps the size."""

import numpy as np
import pytest
import torch

from lungseg_monai.transforms.crop_resize import RandCropResized, crop_resize


def test_the_whole_is_itself_and_a_half_is_twice_as_large():
    picture = torch.rand(3, 12, 10)
    assert torch.equal(crop_resize(picture, (0, 0, 12, 10), linear=True), picture)
    doubled = crop_resize(picture, (3, 5, 6, 5), linear=False)
    assert torch.equal(doubled, picture[:, 3:9, 5:10].repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_boxes_lie_in_the_picture_keep_its_ratio_and_reach_everywhere():
    crop = RandCropResized(["image"], prob=1, smallest=0.5)
    crop.set_random_state(seed=0)
    boxes = np.array([crop.draw(40, 80) for _ in range(400)])
    top, left, height, width = boxes.T
    assert (top >= 0).all() and (top + height <= 40).all() and (left + width <= 80).all()
    assert (abs(width - 2 * height) <= 1).all() and height.min() <= 21 and height.max() >= 39
    assert left.min() == 0 and (left + width).max() == 80


def test_the_label_is_enlarged_with_the_image_and_stays_what_it_is():
    picture = torch.zeros(2, 30, 20)
    picture[:, 8:15, 4:12] = 1
    crop = RandCropResized(["image", "label"], prob=1, smallest=0.6)
    crop.set_random_state(seed=1)
    out = crop({"image": picture, "label": picture.to(torch.uint8)})
    assert out["label"].dtype == torch.uint8 and set(out["label"].unique().tolist()) == {0, 1}
    assert ((out["image"] > 0.5) == (out["label"] > 0)).float().mean() > 0.97
    assert out["label"].sum() > picture.sum()


@pytest.mark.parametrize("smallest", [0, 1.2])
def test_senseless_parts(smallest):
    with pytest.raises(ValueError, match="smallest"):
        RandCropResized(["image"], smallest=smallest)
