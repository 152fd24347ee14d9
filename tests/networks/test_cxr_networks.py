"""The three networks of the chest X-ray paper: their layers line by line, what they learn, ONNX, folding."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from lungseg_monai import networks
from lungseg_monai.errors import ConfigError
from lungseg_monai.folding import folded
from lungseg_monai.networks.cxr_deeplabv3 import RATES

# Channels that go into and come out of each layer, in units of n_filters; 0 is the image. The output layer not.
CONVS = {
    "CxrUNet": [
        (0, 1), (1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8),
        (8, 16), (16, 16),
        (16, 8), (8, 8), (8, 4), (4, 4), (4, 2), (2, 2), (2, 1), (1, 1),
    ],
    "CxrFCNN": [(0, 1), (1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (2, 2), (2, 2), (1, 1), (1, 1)],
    "CxrDeepLabV3": [(0, 1), (1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (4, 4), *[(4, 4)] * 8],
}  # fmt: skip
DECONVS = {
    "CxrUNet": [(16, 8), (8, 4), (4, 2), (2, 1)],
    "CxrFCNN": [(4, 2), (2, 1)],
    "CxrDeepLabV3": [(16, 4), (4, 2), (2, 1)],
}
POOLINGS = {"CxrUNet": 4, "CxrFCNN": 2, "CxrDeepLabV3": 3}
DROPOUTS = {"CxrUNet": 8, "CxrFCNN": 4, "CxrDeepLabV3": 4}
DIVISOR = {"CxrUNet": 16, "CxrFCNN": 4, "CxrDeepLabV3": 8}


@pytest.fixture(params=CONVS)
def name(request):
    return request.param


def build(name: str, **settings) -> nn.Module:
    torch.manual_seed(0)
    return getattr(networks, name)(**settings)


def count(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


@pytest.mark.parametrize("n_filters", [1, 16])
def test_the_parameters_are_those_of_the_layers_counted_by_hand(name, n_filters):
    layers = [*CONVS[name], *DECONVS[name]]
    weights = sum(9 * (i * n_filters or 1) * o * n_filters for i, o in layers)
    biases = sum(o * n_filters for _, o in layers)
    output = n_filters + 1
    plain, normed = (build(name, n_filters=n_filters, batch_normalization=norm) for norm in (False, True))
    assert count(plain) == weights + biases + output
    assert count(normed) == weights + 2 * biases + output
    assert not any(isinstance(module, nn.BatchNorm2d) for module in plain.modules())


def test_every_layer_of_the_algorithm_is_run_once(name):
    network, calls = build(name, n_filters=2), Counter()
    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda module, given, output: calls.update([type(module)]))
    network(torch.rand(1, 1, 32, 48))
    convolutions, deconvolutions = len(CONVS[name]), len(DECONVS[name])
    assert calls == {
        nn.Conv2d: convolutions + 1,
        nn.ConvTranspose2d: deconvolutions,
        nn.BatchNorm2d: convolutions + deconvolutions,
        nn.ReLU: convolutions + deconvolutions,  # all but the output layer
        nn.MaxPool2d: POOLINGS[name],
        nn.Dropout: DROPOUTS[name],
    }


def test_dropout_acts_in_training_only_and_leaves_the_weights_alone(name):
    network, x = build(name, n_filters=2, dropout_rate=0.5), torch.rand(1, 1, 32, 48)
    assert not torch.equal(network(x), network(x))
    network.eval()
    without = build(name, n_filters=2, dropout_rate=0.0).eval()
    without.load_state_dict(network.state_dict())
    assert torch.equal(network(x), without(x))


@pytest.mark.parametrize("batch_normalization", [False, True])
def test_two_unequal_lungs_are_learnt(name, batch_normalization):
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(48.0), indexing="ij")
    right, left = (((rows - 14) / h) ** 2 + ((columns - c) / w) ** 2 < 1 for h, c, w in ((11, 11, 7), (9, 31, 6)))
    truth = (right | left).float()[None, None]
    network = build(name, n_filters=4, dropout_rate=0.0, batch_normalization=batch_normalization)
    x = 1 - truth + 0.3 * torch.rand(truth.shape)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(network(x), truth).backward()
        optimizer.step()
    found = (network(x) > 0).float()
    assert 2 * (found * truth).sum() / (found + truth).sum() > 0.95


def test_onnx_takes_any_batch_height_and_width(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    network, side = build(name, n_filters=2).eval(), DIVISOR[name]
    free = {axis: side * torch.export.Dim(axis_name, min=1, max=128) for axis, axis_name in ((2, "h"), (3, "w"))}
    sizes = {0: torch.export.Dim("b", min=1, max=64), 1: torch.export.Dim.STATIC}
    torch.onnx.export(
        network, (torch.rand(2, 1, 2 * side, 3 * side),), tmp_path / "network.onnx", dynamo=True, verbose=False,
        dynamic_shapes=(sizes | free,), external_data=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(str(tmp_path / "network.onnx"), providers=["CPUExecutionProvider"])
    for batch, rows, columns in ((1, 5, 2), (3, 1, 4)):
        x = torch.rand(batch, 1, rows * side, columns * side)
        (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(y, network(x).detach().numpy(), atol=1e-5)


def test_folding_takes_the_normalisation_out_of_every_plain_convolution(name):
    network, x = build(name, n_filters=2), torch.rand(2, 1, 32, 48)
    network(x)  # so that there are statistics to fold
    network.eval()
    plain = folded(network, x)
    left = sum(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    assert left <= len(DECONVS[name])
    torch.testing.assert_close(plain(x), network(x), rtol=1e-4, atol=1e-5)


def test_settings_that_cannot_be_are_refused(name):
    for settings in ({"n_filters": 0}, {"dropout_rate": 1.0}, {"dropout_rate": -0.1}):
        with pytest.raises(ConfigError, match=f"of {name} .* got {next(iter(settings.values()))}"):
            build(name, **settings)


def test_only_what_divides_is_taken(name):
    network, side = build(name, n_filters=1).eval(), DIVISOR[name]
    assert network(torch.rand(1, 1, 3 * side, side)).shape == (1, 1, 3 * side, side)
    for shape in ((1, 1, 3 * side, side + side // 2), (1, 1, side + 1, side), (1, 1, side, side, side)):
        with pytest.raises(ValueError, match=f"divide by {side}, got {' x '.join(map(str, shape[2:]))}"):
            network(torch.rand(shape))


def seen(name: str, size: int, place: int) -> tuple[int, int]:
    """First and last column of a row that the pixel at `place` depends on, with no value lost to ReLU or pooling."""
    network = build(name, n_filters=1, dropout_rate=0.0, batch_normalization=False).double()
    for value in network.parameters():
        nn.init.constant_(value, 0.5)
    network.pool = nn.AvgPool2d(2)  # of equal values max pooling would follow one alone
    x = torch.ones(1, 1, 16, size, dtype=torch.float64, requires_grad=True)
    network(x)[0, 0, 8, place].backward()
    columns = x.grad[0, 0].abs().sum(dim=0).nonzero().flatten()
    return int(columns.min()), int(columns.max())


def test_fcnn_sees_little_of_an_image_and_deeplab_all_of_256_pixels():
    assert seen("CxrFCNN", 80, 40) == (40 - 22, 40 + 25)  # 48 pixels
    assert seen("CxrDeepLabV3", 320, 160) == (160 - 138, 160 + 145)  # 284 pixels


def test_deeplab_branches_dilate_layer_by_layer():
    network = build("CxrDeepLabV3", n_filters=1)
    rates = [module.dilation[0] for module in network.branches.modules() if isinstance(module, nn.Conv2d)]
    assert rates == list(RATES) == sorted(set(RATES))
    wide = build("CxrDeepLabV3", n_filters=1, dilation_rates=[1, 1, 6, 6, 12, 12, 18, 18])
    wide.load_state_dict(network.state_dict())
    for wrong in ([1, 2, 3], [0, *RATES[1:]]):
        with pytest.raises(ConfigError, match="eight numbers"):
            build("CxrDeepLabV3", dilation_rates=wrong)
