"""Every network that lungseg_monai.networks exports: shapes, gradients, TorchScript, ONNX, parameter count."""

import io

import numpy as np
import pytest
import torch

from lungseg_monai import networks
from lungseg_monai.networks.lung_unet3d import blocks, voxels

# As built with defaults: input shape, and the number of trainable parameters.
EXPECTED = {
    "CxrDeepLabV3": ((2, 1, 32, 48), 575_681),
    "CxrFCNN": ((2, 1, 32, 48), 118_401),
    "CxrUNet": ((2, 1, 32, 48), 2_160_129),
    "DilatedUNet": ((2, 1, 32, 48), 7_762_465),
    "GaoUNet": ((2, 1, 32, 48), 7_762_465),
    "LungNet2D": ((2, 1, 15, 22), 129_891),
    "LungNet3D": ((2, 1, 15, 22, 3), 402_467),
    "LungUNet3D": ((2, 1, 64, 32, 96), 3_474_200),
    "RecurrentDenseUNet3D": ((2, 1, 24, 16, 3), 19_096_833),
    "ResNet50UNet": ((2, 1, 32, 64), 32_517_058),
    "VggSegNet": ((2, 1, 64, 96), 40_057_026),
}
SMALL = {
    "CxrDeepLabV3": {"n_filters": 2},
    "CxrFCNN": {"n_filters": 2},
    "CxrUNet": {"n_filters": 2},
    "DilatedUNet": {"width": 2},
    "GaoUNet": {"width": 2},
    "LungNet2D": {"width": 2},
    "LungNet3D": {"width": 2},
    "LungUNet3D": {"features": (2, 2, 3, 4, 4, 2)},
    "RecurrentDenseUNet3D": {"width": 2},
    "ResNet50UNet": {"width": 2},
    "VggSegNet": {"width": 4},
}
WRONG = {
    "CxrDeepLabV3": (44, 48),
    "CxrFCNN": (42, 48),
    "CxrUNet": (40, 48),
    "DilatedUNet": (40, 48),
    "GaoUNet": (40, 48),
    "LungNet2D": (15, 22, 3),
    "LungNet3D": (15, 22),
    "LungUNet3D": (64, 48, 32),
    "RecurrentDenseUNet3D": (24, 20, 3),
    "ResNet50UNet": (48, 64),
    "VggSegNet": (48, 64),
}


@pytest.fixture(params=networks.__all__)
def name(request):
    return request.param


def small(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return getattr(networks, name)(**SMALL[name]), torch.rand(EXPECTED[name][0])


def test_a_pinned_number_of_parameters(name):
    network = getattr(networks, name)()
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == EXPECTED[name][1]


def test_the_output_is_a_logit_for_each_pixel_and_channel(name):
    _, x = small(name)
    network = getattr(networks, name)(out_channels=3, **SMALL[name])
    y = network(x)
    assert y.shape == (x.shape[0], 3, *x.shape[2:])
    assert y.min() < 0 or y.max() > 1


def test_every_parameter_gets_a_gradient(name):
    network, x = small(name)
    network(x).square().sum().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_torchscript_computes_the_same(name):
    network, x = small(name)
    network.eval()
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(network), stream)
    stream.seek(0)
    loaded, wanted = torch.jit.load(stream), network(x)
    for _ in range(3):  # TorchScript optimises after the first
        torch.testing.assert_close(loaded(x), wanted)


def test_onnx_computes_the_same(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    network, x = small(name)
    network.eval()
    torch.onnx.export(network, (x,), tmp_path / "network.onnx", dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(str(tmp_path / "network.onnx"), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(y, network(x).detach().numpy(), atol=1e-4)


def test_a_size_that_does_not_fit_is_refused_with_the_size(name):
    network, x = small(name)
    with pytest.raises(ValueError, match=" x ".join(map(str, WRONG[name]))):
        network(torch.rand(*x.shape[:2], *WRONG[name]))


def test_gao_width_64_is_the_unet_of_ronneberger():
    """31.0 million parameters are what the U-Net of 2015 has with padding; here with batch normalisation."""
    network = networks.GaoUNet(width=64, norm=False)
    assert sum(p.numel() for p in network.parameters()) == 31_030_593


def test_gao_dropout_acts_in_training_only():
    torch.manual_seed(0)
    network, x = networks.GaoUNet(width=2, dropout=0.5), torch.rand(1, 1, 32, 32)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_gao_weights_fit_whatever_the_dropout():
    networks.GaoUNet(width=2, dropout=0.3).load_state_dict(networks.GaoUNet(width=2).state_dict())


def test_lung_blocks_and_voxels_are_each_others_way_back():
    x = torch.rand(2, 3, 4, 6, 8)
    assert torch.equal(voxels(blocks(x)), x)
    first = blocks(x)[:, :8]
    assert torch.equal(first[:, 0], x[:, 0, ::2, ::2, ::2]) and torch.equal(first[:, 1], x[:, 0, ::2, ::2, 1::2])


def test_lung_frozen_statistics_stay_while_weights_learn():
    network, x = small("LungUNet3D")
    network.frozen_statistics = True
    before = {name: value.clone() for name, value in network.named_buffers()}
    network.train()(x).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    network.frozen_statistics = False
    network.train()(x)
    assert not all(torch.equal(value, before[name]) for name, value in network.named_buffers())
