"""Deep features: pooled maps of the encoder, the network left as it was."""

import numpy as np
import pytest
import torch

from lungseg_monai.errors import ConfigError
from lungseg_monai.features.deep import deep_features
from lungseg_monai.networks import DilatedUNet, ResNet50UNet, VggSegNet


def slice_of(shape: tuple[int, ...] = (64, 96)) -> np.ndarray:
    return np.random.default_rng(0).random(shape)


@pytest.mark.parametrize("kind", [VggSegNet, ResNet50UNet])
def test_mean_and_maximum_of_the_deepest_maps(kind):
    torch.manual_seed(0)
    network = kind(width=2).eval()
    maps = network.encoder(torch.from_numpy(slice_of()[None, None]).float())[-1][0].detach().numpy()
    found = deep_features(network, slice_of())
    assert found.dtype == np.float32 and found.shape == (2 * len(maps),)
    np.testing.assert_allclose(found, [*maps.mean(axis=(1, 2)), *maps.max(axis=(1, 2))], rtol=1e-5)


def test_at_vgg19s_width_there_are_1024():
    with torch.device("meta"):
        maps = VggSegNet().encoder(torch.empty(1, 1, 32, 32))[-1]
    assert 2 * maps.shape[1] == 1024


def test_the_network_stays_as_it_was():
    network = VggSegNet(width=2).train()
    network.encoder.level2.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    first = deep_features(network, slice_of())
    assert np.array_equal(first, deep_features(network, slice_of()))
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_one_channel_is_repeated_where_three_are_wanted():
    network, image = VggSegNet(in_channels=3, width=2), slice_of()
    assert np.array_equal(deep_features(network, image), deep_features(network, np.stack([image] * 3)))


def test_what_has_no_encoder_or_is_no_slice_is_refused():
    with pytest.raises(ConfigError, match="DilatedUNet has no encoder"):
        deep_features(DilatedUNet(width=2), slice_of())
    with pytest.raises(ConfigError, match="wanted"):
        deep_features(VggSegNet(width=2), slice_of((1, 1, 64, 64)))
    with pytest.raises(ValueError, match="got 40 x 64"):
        deep_features(VggSegNet(width=2), slice_of((40, 64)))
