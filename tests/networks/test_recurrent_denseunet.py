"""RecurrentDenseUNet3D against the layer table of the authors' code, and its other forms."""

import pytest
import torch

from lungseg_monai.errors import ConfigError
from lungseg_monai.networks import RecurrentDenseUNet3D
from lungseg_monai.networks.conv_lstm import ConvLSTM2d

# Layer: in-plane size, channels in, channels out (docs/papers/kamal.md). In-plane size of the input: 256.
TABLE = {
    "encoder.0.a": (256, 1, 32),
    "encoder.0.b": (256, 33, 32),
    "encoder.1.a": (128, 33, 64),
    "encoder.1.b": (128, 97, 64),
    "encoder.2.a": (64, 97, 128),
    "encoder.2.b": (64, 225, 128),
    "bottom.lstms.0": (32, 225, 256),
    "bottom.lstms.1": (32, 256, 256),
    "bottom.lstms.2": (32, 256, 256),
    "bottom.norms.2": (32, 256, 256),
    "decoder.0.up": (32, 256, 128),
    "decoder.0.after.block.a": (64, 353, 128),
    "decoder.0.after.block.b": (64, 481, 128),
    "decoder.0.after": (64, 353, 481),
    "decoder.1.up": (64, 481, 64),
    "decoder.1.after.block.a": (128, 128, 64),
    "decoder.1.after.block.b": (128, 192, 64),
    "decoder.1.after": (128, 128, 192),
    "decoder.2.up": (128, 192, 32),
    "decoder.2.after.block.a": (256, 64, 32),
    "decoder.2.after.block.b": (256, 96, 32),
    "out": (256, 96, 1),
}


def shapes(network: torch.nn.Module, x: torch.Tensor) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """By layer: channels first, then the sides sorted as they come."""
    found = {}
    for name, module in network.named_modules():

        def note(_, given, out, name=name):
            if isinstance(out, torch.Tensor):
                found[name] = tuple(given[0].shape), tuple(out.shape)

        module.register_forward_hook(note)
    with torch.inference_mode():
        network.eval()(x)
    return found


def test_every_layer_of_the_table_has_its_shape():
    """At a 16th of the size in plane, which no layer's channels depend on, and not square."""
    found = shapes(RecurrentDenseUNet3D(), torch.rand(1, 1, 16, 24, 2))
    for name, (side, channels_in, channels_out) in TABLE.items():
        given, out = found[name]
        assert (given[1], out[1]) == (channels_in, channels_out), name
        height, width = 16 * side // 256, 24 * side // 256
        sizes = (height, width, 2) if "lstms" in name else (2, height, width)
        assert given[2:] == sizes, name


def test_kernels_strides_and_norms_are_the_tables():
    network = RecurrentDenseUNet3D()
    for name, module in network.named_modules():
        if name.endswith((".a.conv", ".b.conv")):
            assert module.kernel_size == (3, 3, 3) and module.padding == (1, 1, 1) and module.bias is not None, name
        if isinstance(module, torch.nn.ConvTranspose3d):
            assert module.kernel_size == module.stride == (1, 2, 2)
        if isinstance(module, torch.nn.BatchNorm3d):
            assert (module.eps, module.momentum) == (1e-3, 0.01)
        if isinstance(module, torch.nn.Dropout3d):
            assert module.p == (0.1 if name == "dropout" else 0.0), name
    assert network.out.kernel_size == (1, 1, 1)
    assert [type(one) for one in network.bottom.lstms] == [ConvLSTM2d] * 3


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 19_096_833),
        ({"dense": "none", "recurrent_layers": 0}, 5_430_497),
        ({"dense": "full", "recurrent_layers": 0}, 15_981_857),
        ({"dense": "full"}, 23_581_985),
        ({"architecture": "text"}, 15_269_249),
    ],
)
def test_a_pinned_number_of_parameters(options, count):
    assert sum(p.numel() for p in RecurrentDenseUNet3D(**options).parameters()) == count


def test_the_text_prints_these_sizes():
    """Table 1 of the paper: what each row gives, at a 16th of the size in plane."""
    found = shapes(RecurrentDenseUNet3D(architecture="text"), torch.rand(1, 1, 16, 16, 2))
    rows = {
        "encoder.0.b": (16, 32), "encoder.1.b": (8, 64), "encoder.2.b": (4, 128),
        "decoder.0.before": (2, 128), "decoder.0.up": (4, 128), "decoder.1.before": (4, 64), "decoder.1.up": (8, 64),
        "decoder.2.before": (8, 32), "decoder.2.up": (16, 32), "out": (16, 1),
    }  # fmt: skip
    assert {name: (found[name][1][-1], found[name][1][1]) for name in rows} == rows
    assert [found[f"bottom.lstms.{n}"][1][1:3] for n in range(3)] == [(256, 2)] * 3


def test_the_text_has_dropout_in_its_encoders_blocks_alone():
    network = RecurrentDenseUNet3D(width=1, architecture="text", dropout=0.3)
    active = [name for name, module in network.named_modules() if getattr(module, "p", 0) == 0.3]
    assert active == [f"encoder.{level}.{part}.adn.D" for level in range(3) for part in "ab"]


@pytest.mark.parametrize("architecture", ["code", "text"])
@pytest.mark.parametrize("dense", [None, "none", "inside", "full"])
def test_any_number_of_slices(architecture, dense):
    for layers in (0, 1):
        network = RecurrentDenseUNet3D(
            1, 2, width=1, dense=dense, recurrent_layers=layers, architecture=architecture
        ).eval()
        for slices in (1, 2, 9):
            assert network(torch.rand(1, 1, 8, 16, slices)).shape == (1, 2, 8, 16, slices)


def test_pooling_stays_within_slices():
    """Without recurrence the text's convolutions over slices are those of its encoder: six, one slice each way."""
    torch.manual_seed(0)
    network = RecurrentDenseUNet3D(width=2, dense="none", recurrent_layers=0, architecture="text").double().eval()
    x = torch.rand(1, 1, 8, 8, 20, dtype=torch.float64)
    other = x.clone()
    other[..., 19] += 1.0
    with torch.inference_mode():
        differs = (network(x) != network(other)).flatten(0, 3).any(dim=0)
    assert not differs[:11].any()  # two more are at the bottom
    assert differs[19]


def test_the_state_flows_from_low_slices_to_high_ones():
    """One direction: the last slice reaches others by the twelve 3x3x3 convolutions alone, the first reaches all."""
    torch.manual_seed(0)
    network = RecurrentDenseUNet3D(width=2, recurrent_layers=3).double().eval()
    x = torch.rand(1, 1, 8, 8, 30, dtype=torch.float64)
    first, last = x.clone(), x.clone()
    first[..., 0] += 1.0
    last[..., 29] += 1.0
    with torch.inference_mode():
        y = network(x)
        assert torch.equal(network(last)[..., :17], y[..., :17])
        assert not torch.equal(network(first)[..., 29], y[..., 29])


@pytest.mark.parametrize("size", [(24, 20, 3), (20, 24, 3), (24, 24)])
def test_a_size_that_does_not_fit_is_refused_with_the_size(size):
    with pytest.raises(ValueError, match="got " + " x ".join(map(str, size))):
        RecurrentDenseUNet3D(width=1)(torch.rand(1, 1, *size))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"architecture": "figure"}, "figure"),
        ({"dense": "some"}, "some"),
        ({"width": 0}, "got 0"),
        ({"recurrent_layers": -1}, "-1"),
    ],
)
def test_what_does_not_exist_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        RecurrentDenseUNet3D(**given)
