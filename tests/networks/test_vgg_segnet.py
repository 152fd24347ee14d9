"""VGG-SegNet: its encoder against VGG19's table, where unpooling puts values."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from lungseg_monai.errors import ConfigError
from lungseg_monai.networks import VggSegNet
from lungseg_monai.networks.vgg_segnet import VggEncoder, unpooled

# Simonyan and Zisserman 2015, Table 1, configuration E; "M" is max pooling.
VGG19 = (64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M")
DENSE = 25088 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000  # what VGG19 has after them, for 224 x 224


def build(**settings) -> VggSegNet:
    torch.manual_seed(0)
    return VggSegNet(width=2, **settings).eval()


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_encoder_has_the_parameters_of_vgg19():
    with torch.device("meta"):
        assert parameters(VggEncoder(3, 64, norm=False)) + DENSE == 143_667_240
        kernels = [module for module in VggEncoder(3, 64, norm=False).modules() if isinstance(module, nn.Conv2d)]
    assert [kernel.out_channels for kernel in kernels] == [size for size in VGG19 if size != "M"]


def test_the_encoder_computes_what_vgg19_does():
    encoder = VggEncoder(3, 2, norm=False)
    kernels = iter([module for module in encoder.modules() if isinstance(module, nn.Conv2d)])
    y = x = torch.rand(2, 3, 64, 96)
    for size in VGG19:
        if size == "M":
            y = F.max_pool2d(y, 2)
        else:
            kernel = next(kernels)
            y = F.conv2d(y, kernel.weight, kernel.bias, padding=1).relu()
    torch.testing.assert_close(encoder(x)[-1], y)


def test_the_decoder_mirrors_the_encoder():
    with torch.device("meta"):
        kernels = [module for module in VggSegNet(3, 3).modules() if isinstance(module, nn.Conv2d)]
    sizes = [(kernel.in_channels, kernel.out_channels) for kernel in kernels]
    assert len(sizes) == 32 and sizes[16:] == [(outputs, inputs) for inputs, outputs in reversed(sizes[:16])]


def test_values_go_back_to_where_each_maximum_was():
    """The first level's indices, unpooled with the maxima themselves, leave the maxima in place and 0 elsewhere."""
    network, x = build(norm=False), torch.rand(2, 1, 64, 96)
    maps = network.encoder.level1(x)
    pooled, indices = network.encoder.pool(maps)
    assert torch.equal(indices, network.encoder(x)[0])
    back = unpooled(pooled, indices)
    assert torch.equal(back[back != 0], maps[back != 0])
    assert torch.equal(F.max_pool2d(back, 2), pooled)
    assert ((back != 0).float().sum() <= pooled.numel()) and (back == 0).float().mean() >= 0.75


def test_two_classes_at_the_size_of_the_image():
    network = build(in_channels=3)
    assert network(torch.rand(3, 3, 32, 96)).shape == (3, 2, 32, 96)
    assert network.encoder(torch.rand(1, 3, 224, 224))[-1].shape == (1, 16, 7, 7)  # the paper's size


def test_settings_and_sizes_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="got 0; that of VGG19 is 64"):
        VggSegNet(width=0)
    with pytest.raises(ValueError, match="divide by 32, got 48 x 64"):
        build().encoder(torch.rand(1, 1, 48, 64))


def test_without_normalisation_there_is_none():
    assert not any(isinstance(module, nn.BatchNorm2d) for module in build(norm=False).modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in build().modules()) == 31  # all but the last
