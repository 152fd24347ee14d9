"""Kuppili's network: its encoder against a ResNet50 written out, weights from files, ONNX, folding."""

import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from lungseg_monai.errors import CheckpointError, ConfigError
from lungseg_monai.folding import folded
from lungseg_monai.networks import ResNet50UNet


def torchvision_shapes(width: int = 64, classes: int = 1000) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the state dict of torchvision's ResNet50, whose width is 64."""
    shapes: dict[str, tuple[int, ...]] = {}

    def unit(conv: str, norm: str, inputs: int, outputs: int, kernel: int) -> None:
        shapes[f"{conv}.weight"] = (outputs, inputs, kernel, kernel)
        shapes.update({f"{norm}.{part}": (outputs,) for part in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{norm}.num_batches_tracked"] = ()

    unit("conv1", "bn1", 3, width, 7)
    channels = width
    for layer, (blocks, planes) in enumerate(zip((3, 4, 6, 3), (1, 2, 4, 8), strict=True), start=1):
        planes *= width
        for block in range(blocks):
            at = f"layer{layer}.{block}"
            unit(f"{at}.conv1", f"{at}.bn1", channels, planes, 1)
            unit(f"{at}.conv2", f"{at}.bn2", planes, planes, 3)
            unit(f"{at}.conv3", f"{at}.bn3", planes, 4 * planes, 1)
            if block == 0:
                unit(f"{at}.downsample.0", f"{at}.downsample.1", channels, 4 * planes, 1)
            channels = 4 * planes
    return shapes | {"fc.weight": (classes, channels), "fc.bias": (classes,)}


def resnet50(width: int = 2) -> dict[str, Tensor]:
    """Weights and statistics of a ResNet50 as torchvision names them, random."""
    random = torch.Generator().manual_seed(0)
    weights = {name: torch.rand(shape, generator=random) + 0.5 for name, shape in torchvision_shapes(width, 5).items()}
    for name, value in weights.items():
        if name.endswith("num_batches_tracked"):
            weights[name] = torch.tensor(7)
        elif value.dim() == 4:
            fan_in = value[0].numel()
            weights[name] = torch.randn(value.shape, generator=random) / fan_in**0.5
    return weights


def maps(weights: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """What ResNet50 computes after its first convolution and each layer, written out (He et al. 2015, Table 1)."""

    def unit(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        kernel = weights[f"{conv}.weight"]
        x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        parts = (weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts)

    x = unit(x, "conv1", "bn1", stride=2).relu()
    found = [x]
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    for layer, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            at, stride = f"layer{layer}.{block}", 2 if block == 0 and layer > 1 else 1
            y = unit(x, f"{at}.conv1", f"{at}.bn1").relu()
            y = unit(y, f"{at}.conv2", f"{at}.bn2", stride).relu()
            y = unit(y, f"{at}.conv3", f"{at}.bn3")
            x = unit(x, f"{at}.downsample.0", f"{at}.downsample.1", stride) if block == 0 else x
            x = (x + y).relu()
        found.append(x)
    return found


def build(in_channels: int = 1, out_channels: int = 2, width: int = 2) -> ResNet50UNet:
    torch.manual_seed(0)
    return ResNet50UNet(in_channels, out_channels, width).eval()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "resnet50.pth"
    torch.save(resnet50(), path)
    return path


def test_the_encoder_holds_what_torchvision_names():
    with torch.device("meta"):
        encoder = ResNet50UNet(in_channels=3).encoder
    wanted = {name: shape for name, shape in torchvision_shapes().items() if not name.startswith("fc.")}
    assert {name: tuple(value.shape) for name, value in encoder.state_dict().items()} == wanted
    assert sum(value.numel() for value in encoder.parameters()) + 1000 * 2048 + 1000 == 25_557_032  # He's ResNet50


def test_the_encoder_computes_what_resnet50_does(saved):
    network, x = build(in_channels=3), torch.rand(2, 3, 64, 96)
    network.load_encoder(saved)
    for found, wanted in zip(network.encoder(x), maps(resnet50(), x), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_a_grey_image_gives_what_three_equal_channels_give(saved):
    grey, colour, x = build(1), build(3), torch.rand(1, 1, 32, 64)
    grey.load_encoder(saved)
    colour.load_encoder(saved)
    for one, three in zip(grey.encoder(x), colour.encoder(x.expand(-1, 3, -1, -1)), strict=True):
        torch.testing.assert_close(one, three, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["bare", "state_dict", "model", "uncounted", "safetensors"])
def test_weights_are_read_however_they_are_kept(tmp_path, kind):
    weights, path = resnet50(), tmp_path / ("a.safetensors" if kind == "safetensors" else "a.pt")
    if kind == "safetensors":
        pytest.importorskip("safetensors.torch", reason="safetensors is not installed").save_file(weights, path)
    elif kind == "uncounted":
        torch.save({name: value for name, value in weights.items() if "num_batches" not in name}, path)
    else:
        torch.save(weights if kind == "bare" else {kind: weights, "epoch": 3}, path)
    network = build(3)
    network.load_encoder(path)
    found = network.encoder.state_dict()
    for name in ("conv1.weight", "layer3.5.bn2.running_var", "layer4.0.downsample.1.bias"):
        assert torch.equal(found[name], weights[name])


def refused(path, words: str, width: int = 2) -> None:
    network = build(width=width)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(CheckpointError, match=words):
        network.load_encoder(path)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_files_that_are_not_resnet50_are_refused(tmp_path, saved):
    refused(tmp_path / "nothing.pth", "there is no file .*nothing.pth")
    for name in ("noise.pth", "noise.safetensors"):
        (tmp_path / name).write_bytes(b"\x80\x02no weights at all")
        refused(tmp_path / name, "can't be read as weights")
    torch.save(nn.Linear(2, 2), tmp_path / "object.pth")
    refused(tmp_path / "object.pth", "state_dict")
    torch.save([1, 2], tmp_path / "list.pth")
    refused(tmp_path / "list.pth", "but a list")
    torch.save({"conv1.weight": torch.zeros(2), "epoch": 3, 5: torch.zeros(2)}, tmp_path / "mixed.pth")
    refused(tmp_path / "mixed.pth", "epoch, 5 is no weight")
    weights = resnet50()
    weights["backbone.conv1.weight"] = weights.pop("conv1.weight")
    del weights["layer2.3.bn1.bias"]
    torch.save(weights, tmp_path / "renamed.pth")
    missing = "conv1.weight, layer2.3.bn1.bias missing, backbone.conv1.weight unexpected. The names wanted are"
    refused(tmp_path / "renamed.pth", re.escape(missing))
    refused(saved, re.escape("conv1.weight [2, 1, 7, 7] (wanted [4, 1, 7, 7])"), width=4)


def test_settings_and_sizes_that_cannot_be_are_refused():
    for width in (0, 3):
        with pytest.raises(ConfigError, match=f"got {width}"):
            ResNet50UNet(width=width)
    with pytest.raises(ValueError, match="divide by 32, got 48 x 64"):
        build()(torch.rand(1, 1, 48, 64))


def test_logits_of_two_classes_at_the_size_of_the_image():
    network = build()
    assert network(torch.rand(3, 1, 32, 96)).shape == (3, 2, 32, 96)
    assert network(torch.rand(1, 1, 96, 32)).shape == (1, 2, 96, 32)


def test_folding_leaves_no_normalisation():
    network, x = build(), torch.rand(2, 1, 32, 64)
    network.train()(x)
    network.eval()
    plain = folded(network, x)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    torch.testing.assert_close(plain(x), network(x), rtol=1e-3, atol=1e-4)


def test_onnx_takes_any_batch_height_and_width(tmp_path, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    # One bottleneck a layer: each kind of step at a third of the time; test_networks.py exports all of them.
    monkeypatch.setattr("lungseg_monai.networks.resnet50_unet.BOTTLENECKS", (1, 1, 1, 1))
    network = build()
    free = {axis: 32 * torch.export.Dim(name, min=1, max=64) for axis, name in ((2, "h"), (3, "w"))}
    sizes = {0: torch.export.Dim("b", min=1, max=64), 1: torch.export.Dim.STATIC}
    torch.onnx.export(
        network, (torch.rand(2, 1, 64, 96),), tmp_path / "network.onnx", dynamo=True, verbose=False,
        dynamic_shapes=(sizes | free,), external_data=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(str(tmp_path / "network.onnx"), providers=["CPUExecutionProvider"])
    for shape in ((1, 1, 96, 32), (3, 1, 32, 128)):
        x = torch.rand(shape)
        (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(y, network(x).detach().numpy(), atol=1e-4)
