"""Noise that multiplies each voxel."""

import pytest
import torch

from lungseg_monai.transforms.multiplicative_noise import RandMultiplicativeNoised, multiply_noise


def test_the_spread_grows_with_the_value_and_the_mean_stays():
    image = torch.tensor([0.0, 0.2, 0.8])[:, None, None].expand(3, 100, 100)
    noisy = multiply_noise(image, 0.05 * torch.randn(3, 100, 100, generator=torch.Generator().manual_seed(1)))
    assert not noisy[0].any()
    assert noisy.std(dim=(1, 2))[1:].tolist() == pytest.approx([0.01, 0.04], rel=0.05)
    assert noisy.mean(dim=(1, 2)).tolist() == pytest.approx([0, 0.2, 0.8], abs=0.003)


def test_seeded_and_each_time_another():
    image = torch.full((1, 20, 20), 0.5)
    noise = RandMultiplicativeNoised("image", prob=1.0, std=0.1)
    noise.set_random_state(seed=4)
    one, two = (noise({"image": image})["image"] for _ in range(2))
    noise.set_random_state(seed=4)
    assert torch.equal(noise({"image": image})["image"], one) and not torch.equal(one, two)
    assert (
        one.dtype == torch.float32 and RandMultiplicativeNoised("image", prob=0.0)({"image": image})["image"] is image
    )
