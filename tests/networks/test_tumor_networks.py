"""The tumour networks by name, and those of Table 3."""

import itertools

import numpy as np
import pytest
import torch

from lungseg_monai.errors import ConfigError
from lungseg_monai.networks import LungNet2D, LungNet3D
from lungseg_monai.networks.lungnet import DILATIONS, RECEPTIVE_FIELD
from lungseg_monai.networks.slicewise import Slicewise
from lungseg_monai.networks.tumor import TUMOR_NETWORKS, initialise_glorot, tumor_network

TRAINABLE = {
    "recurrent_3d_denseunet": 19_096_833,
    "unet3d": 5_430_497,
    "denseunet3d": 15_981_857,
    "denseunet3d_recurrent": 23_581_985,
    "unet2d": 31_036_481,
    "lungnet2d": 129_891,
    "lungnet3d": 402_467,
}


@pytest.fixture(params=TUMOR_NETWORKS)
def name(request):
    return request.param


def with_statistics(network: torch.nn.Module) -> int:
    """Parameters and running means and variances, as Keras counts them."""
    return sum(value.numel() for value in network.state_dict().values() if value.dim())


def test_a_pinned_number_of_parameters(name):
    assert sum(p.numel() for p in TUMOR_NETWORKS[name]().parameters() if p.requires_grad) == TRAINABLE[name]


def test_the_lungnets_have_the_size_that_hossain_prints():
    assert with_statistics(LungNet2D()) == 130_853  # 1.30e5
    assert with_statistics(LungNet3D()) == 403_557  # 4.03e5


def test_volumes_go_in_and_logits_of_the_same_shape_come_out(name):
    torch.manual_seed(0)
    network = tumor_network(name, width=2).eval()
    x = torch.rand(2, 1, 16, 32, 3)
    with torch.inference_mode():
        y = network(x)
        assert y.shape == x.shape
        assert torch.equal(torch.jit.script(network)(x), y)
        for volume in range(2):  # each volume by itself
            torch.testing.assert_close(network(x[volume : volume + 1]), y[volume : volume + 1], rtol=1e-4, atol=1e-5)


def test_a_wider_network_is_larger(name):
    sizes = [sum(p.numel() for p in tumor_network(name, width=width).parameters()) for width in (2, 4)]
    assert 3 < sizes[1] / sizes[0] < 4.1


def test_momentum_of_normalisation_is_0_1_unless_told(name):
    for given, wanted in (({}, 0.1), ({"norm_momentum": None}, 0.1), ({"norm_momentum": 0.01}, 0.01)):
        modules = tumor_network(name, width=1, **given).modules()
        found = {m.momentum for m in modules if isinstance(m, (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d))}
        assert found == {wanted}


def test_dropout_is_the_networks_own_unless_told(name):
    own = {"unet2d": 0.0, "lungnet2d": 0.5, "lungnet3d": 0.25}.get(name, 0.1)
    for given, wanted in ((None, own), (0.3, 0.3)):
        found = {getattr(module, "p", 0.0) for module in tumor_network(name, width=1, dropout=given).modules()}
        assert max(found) == wanted


def test_an_option_that_is_none_is_the_networks_own_even_where_it_has_none(name):
    torch.manual_seed(0)
    own = tumor_network(name, width=1).state_dict()
    torch.manual_seed(0)
    told = tumor_network(name, width=1, architecture=None, dropout=None).state_dict()
    assert own.keys() == told.keys() and all(torch.equal(own[key], told[key]) for key in own)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "unet4d"}, "unet4d"),
        ({"name": "lungnet3d", "architecture": "text"}, "lungnet3d.*architecture"),
        ({"norm_momentum": 1.5}, "1.5"),
        ({"name": "lungnet2d", "width": 0}, "got 0"),
    ],
)
def test_what_does_not_exist_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        tumor_network(**{"width": 1, **given})


def test_a_glorot_start_has_glorots_bounds_and_spread(name):
    torch.manual_seed(0)
    network = TUMOR_NETWORKS[name](width=8)
    initialise_glorot(network)
    for key, weight in network.state_dict().items():
        if weight.dim() >= 4 and weight.numel() > 2000:
            field = weight[0, 0].numel()
            bound = (6 / (field * (weight.shape[0] + weight.shape[1]))) ** 0.5
            assert 0.98 * bound < weight.abs().max() <= bound, key
            assert abs(float(weight.std()) * 3**0.5 / bound - 1) < 0.05, key
        elif key.endswith("bias") and not key.endswith("input.bias"):
            assert not weight.any(), key


def test_slicewise_is_the_2d_network_on_each_slice():
    torch.manual_seed(0)
    network = LungNet2D(1, 2, width=2).eval()
    x = torch.rand(2, 1, 6, 9, 4)
    with torch.inference_mode():
        wanted = torch.stack([network(x[..., k]) for k in range(4)], dim=-1)
        torch.testing.assert_close(Slicewise(network)(x), wanted)
    with pytest.raises(ValueError, match="6 x 9"):
        Slicewise(network)(x[..., 0])


def test_lungnet_sees_287_pixels():
    assert RECEPTIVE_FIELD == 287 and DILATIONS[2:] == tuple(map(sum, itertools.pairwise(DILATIONS)))[:-1]
    torch.manual_seed(0)
    network = LungNet2D(width=4).double().eval()
    x = torch.rand(1, 1, 1, 321, dtype=torch.float64, requires_grad=True)
    network(x)[0, 0, 0, 160].backward()
    seen = x.grad[0, 0, 0].nonzero().flatten()
    assert seen.min() >= 160 - 143 and seen.max() <= 160 + 143 and len(seen) > 200


def test_onnx_takes_any_batch_height_and_width(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    torch.manual_seed(0)
    network = tumor_network(width=1, recurrent_layers=1).eval()
    free = {axis: 8 * torch.export.Dim(name, min=1, max=64) for axis, name in ((2, "h"), (3, "w"))}
    sizes = {0: torch.export.Dim("b", min=1, max=64), 1: torch.export.Dim.STATIC, 4: torch.export.Dim.STATIC}
    torch.onnx.export(
        network, (torch.rand(2, 1, 16, 24, 2),), tmp_path / "network.onnx", dynamo=True, verbose=False,
        dynamic_shapes=(sizes | free,), external_data=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(str(tmp_path / "network.onnx"), providers=["CPUExecutionProvider"])
    for shape in ((1, 1, 32, 8, 2), (3, 1, 16, 40, 2)):
        x = torch.rand(shape)
        (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(y, network(x).detach().numpy(), atol=1e-5)
