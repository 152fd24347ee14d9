"""A small tumour network from a run to a bundle, and what each backend makes of it; folding."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from tumor_bundle import chest_with_tumors, tumor_model

from lungseg_monai.bundle import bundle_path
from lungseg_monai.errors import CheckpointError, ConfigError, ModelError, UsageError
from lungseg_monai.folding import folded
from lungseg_monai.inferers import SliceWindowInferer
from lungseg_monai.io import sha256
from lungseg_monai.networks import LungUNet3D
from lungseg_monai.networks.trained import network_of
from lungseg_monai.postprocessing import TumorRules
from lungseg_monai.segment.backends import devices, open_backend
from lungseg_monai.segment.image import Image
from lungseg_monai.segment.tumor_grid import network_volume
from lungseg_monai.segment.tumor_options import TRAINED
from lungseg_monai.training import export_tumor
from lungseg_monai.training.checkpoints import read_checkpoint
from lungseg_monai.tuned import TUNED, carry_tuned, read_tuned, write_tuned

NUMBERS = {
    "network_name": "recurrent_3d_denseunet", "width": 2, "recurrent_layers": 1, "slices": 8, "seed": 7,
    "spatial_size": [40, 24], "window_hu": [-900, 300], "intensity": "window",
}  # fmt: skip
RULES = TumorRules(threshold=0.5, radius=1, least_mm3=20.0)
NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def trained(numbers=NUMBERS, seed=0):
    """The network as if it had been trained: its normalisation does something."""
    torch.manual_seed(seed)
    return livened(network_of(numbers))


def livened(network):
    for module in network.modules():
        if isinstance(module, NORMS):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return network.eval()


def write_run(folder, network, **changes):
    (folder / "checkpoints").mkdir(parents=True)
    best = {"score": 0.8, "epoch": 3, "by": "validation dice"}
    content = {"model": network.state_dict(), "numbers": NUMBERS, "bundle": {"name": "b"}, "best": best}
    torch.save({**content, **changes}, folder / "checkpoints" / "best.pt")
    (folder / "run.json").write_text(json.dumps({"status": "done", "seconds": 12.0}))
    (folder / "curves.csv").write_text("epoch,split,loss,dice\n3,training,0.2,\n3,validation,0.3,0.8\n")
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    for name in ("onnxscript", "openvino", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    folder = tmp_path_factory.mktemp("tumour")
    run = write_run(folder / "run", trained())
    write_tuned(run / "checkpoints", RULES, {"weights_sha256": sha256(run / "checkpoints" / "best.pt"), "stride": 4})
    shutil.copytree(bundle_path("ct_tumor_recurrent_denseunet") / "configs", folder / "bundle" / "configs")
    assert export_tumor.main([str(run), "--bundle", str(folder / "bundle")]) == 0
    return folder / "bundle"


def test_the_segmenter_is_told_what_the_weights_were_trained_with(exported):
    """And nothing else in metadata.json changes, not even a space."""
    old = bundle_path("ct_tumor_recurrent_denseunet") / "configs" / "metadata.json"
    before, after = (path.read_text().partition('"segmenter"') for path in (old, exported / "configs/metadata.json"))
    assert before[0] == after[0] and after[2].endswith("}\n")
    told = json.loads((exported / "configs" / "metadata.json").read_text())["segmenter"]
    assert {name: told[name] for name in TRAINED} == {name: NUMBERS[name] for name in TRAINED}
    assert told["divisor"] == 8 and told["rules"] == {}
    export_tumor.tell_segmenter(exported / "configs" / "metadata.json", NUMBERS, 8)
    assert (exported / "configs" / "metadata.json").read_text() == "".join(after)


@pytest.mark.parametrize("name", ["torch", "onnxruntime", "openvino"])
def test_tuned_rules_count_and_masks_agree_whatever_runs(exported, name):
    model = tumor_model(exported, backend=name, device="cpu", threads=1, stride=4, precision="float32")
    assert model.rules == RULES and model.options.window_hu == [-900, 300] and model.options.width == 2
    assert read_tuned(exported / "models" / "model.pt") == RULES  # as inference.yaml asks
    image = Image(chest_with_tumors(shape=(50, 37, 11)), np.diag([-4.0, -5.0, 6.0, 1.0]), phantom=True)
    _, found = model.probabilities(image)
    volume = network_volume(image.array_ijk, "window", (-900, 300), (40, 24))
    wanted = SliceWindowInferer(stride=4)(torch.from_numpy(volume)[None, None], trained())[0, 0].numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_what_does_not_belong_together_is_refused(exported, tmp_path):
    bundle = shutil.copytree(exported, tmp_path / "bundle")
    with pytest.raises(ModelError, match=r"spatial_size \[48, 48\] \(trained with \[40, 24\]\).*export_tumor"):
        tumor_model(bundle, spatial_size=(48, 48), backend="onnxruntime", device="cpu")
    write_tuned(bundle / "models", RULES, {"weights_sha256": "ab" * 32})
    with pytest.raises(UsageError, match=r"made for other weights.*lungseg tune again"):
        tumor_model(bundle, backend="onnxruntime", device="cpu")
    assert tumor_model(bundle, backend="onnxruntime", device="cpu", rules_name="paper").rules == TumorRules()
    table = json.loads((bundle / "models" / "weights.json").read_text())["sha256"]
    for digest in table.values():  # rules that were tuned with one file count for the other
        write_tuned(bundle / "models", RULES, {"weights_sha256": digest})
        assert read_tuned(bundle / "models" / "model.pt") == read_tuned(bundle / "models", table["model.onnx"]) == RULES


def test_rules_of_other_weights_are_neither_exported_nor_left(tmp_path):
    run = write_run(tmp_path / "run", trained())
    write_tuned(run / "checkpoints", RULES, {"weights_sha256": "ab" * 32})
    with pytest.raises(ConfigError, match=r"made for other weights than best\.pt"):
        export_tumor.export(run, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    (run / "checkpoints" / TUNED).unlink()
    write_tuned(tmp_path / "models", RULES, {"weights_sha256": "cd" * 32})
    assert not carry_tuned(run / "checkpoints" / "best.pt", tmp_path / "models", [])
    assert not (tmp_path / "models" / TUNED).exists()


def windows(*shape):
    return np.random.default_rng(1).uniform(0, 1, shape).astype(np.float32)


def test_what_is_exported_says_what_it_is(exported):
    models = exported / "models"
    table = json.loads((models / "weights.json").read_text())
    assert set(table["sha256"]) == {"model.pt", "model.onnx"} and table["differences"]["openvino"]["logit_max"] < 1e-3
    assert table["run"]["numbers"] == NUMBERS and table["run"]["scores"] == {"loss": 0.3, "dice": 0.8}
    content = read_checkpoint(models / "model.pt")
    assert content["numbers"] == NUMBERS and content["best"]["epoch"] == 3
    types = {value.dtype for value in content["model"].values() if value.is_floating_point() and value.numel() >= 256}
    assert types == {torch.float16}
    graph = (models / "model.onnx").read_bytes()
    assert str(exported.parent).encode() not in graph and b"/site-packages/" not in graph


@pytest.mark.parametrize("name", ["torch", "onnxruntime", "openvino"])
def test_every_backend_computes_what_was_trained(exported, name):
    backend = open_backend(exported, name, "cpu", 1, "float32")
    assert backend.precision == "float32" and backend.notes == []
    network = trained()
    for shape in ((1, 1, 24, 40, 8), (3, 1, 16, 8, 8), (1, 1, 24, 40, 8)):
        x = windows(*shape)
        with torch.inference_mode():
            wanted = network(torch.from_numpy(x)).numpy()
        assert wanted.std() > 0.01
        np.testing.assert_allclose(backend(x), wanted, atol=3e-3 * np.abs(wanted).max())  # weights in float16


def test_bf16_where_there_is_none_is_float32_and_said(exported, monkeypatch):
    from lungseg_monai.segment.backends import torch_windows

    monkeypatch.setattr(torch_windows, "has_bf16", lambda: False)
    backend = open_backend(exported, "torch", "cpu", 1, "bf16")
    assert backend.precision == "float32" and "bf16" in backend.notes[0]
    monkeypatch.setattr(torch_windows, "has_bf16", lambda: True)
    half, x = open_backend(exported, "torch", "cpu", 1, "bf16"), windows(1, 1, 16, 24, 8)
    assert half.precision == "bf16" and 0 < np.abs(half(x) - backend(x)).max() < 0.1
    assert open_backend(exported, "onnxruntime", "cpu", 1, "bf16").precision == "float32"
    by_openvino = open_backend(exported, "openvino", "cpu", 1, "bf16")
    assert by_openvino.notes == [] if by_openvino.precision == "bf16" else "bf16" in by_openvino.notes[0]
    with pytest.raises(UsageError, match="int3"):
        open_backend(exported, "torch", "cpu", 1, "int3")


def test_openvino_takes_windows_without_torch(exported):
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from lungseg_monai.segment.backends import open_backend\n"
        "from lungseg_monai.window_stream import WindowAverage\n"
        f"backend = open_backend(Path({str(exported)!r}), 'openvino', 'auto', 1, 'bf16')\n"
        "assert WindowAverage(backend)(np.zeros((20, 16, 9), np.float32)).shape == (20, 16, 9)\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'monai', 'openvino_telemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_failed_or_foreign_run_is_not_exported(tmp_path):
    state = trained().state_dict()
    broken = {**state, "out.weight": torch.full_like(state["out.weight"], torch.nan)}
    run = write_run(tmp_path / "broken", trained(), model=broken)
    with pytest.raises(CheckpointError, match=r"out\.weight .*training failed"):
        export_tumor.export(run, tmp_path / "bundle")
    run = write_run(tmp_path / "other", trained(), numbers={**NUMBERS, "width": 3})
    with pytest.raises(CheckpointError, match="another network"):
        export_tumor.export(run, tmp_path / "bundle")
    run = write_run(tmp_path / "lungs", trained(), numbers={"features": [2]})
    with pytest.raises(ModelError, match="network_name"):
        export_tumor.export(run, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists() and export_tumor.main([str(run), "--bundle", str(tmp_path)]) == 3


def test_large_weights_are_halved_unless_that_would_lose_them():
    weight = torch.ones(16, 16)
    assert export_tumor.small("w", weight).dtype == torch.float16
    assert export_tumor.small("w", weight * 1e5).dtype == torch.float32
    assert export_tumor.small("w", torch.ones(300)).dtype == torch.float32


def norms(network):
    return sum(isinstance(module, NORMS) for module in network.modules())


@pytest.mark.parametrize("name", ["recurrent_3d_denseunet", "unet3d", "unet2d", "lungnet2d", "lungnet3d"])
def test_folding_changes_nothing(name):
    network, x = trained({**NUMBERS, "network_name": name, "recurrent_layers": None}), torch.rand(1, 1, 16, 32, 8)
    before = norms(network)
    plain = folded(network, x)
    assert norms(network) == before and not plain.training
    with torch.inference_mode():
        wanted = network(x)
        torch.testing.assert_close(plain(x), wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
    left = {"recurrent_3d_denseunet": 3, "unet3d": 0}.get(name)  # those after the recurrent layers stay
    assert left is None or norms(plain) == left < before


def test_folding_serves_other_networks_and_leaves_alone_what_it_cannot():
    network = livened(LungUNet3D(features=(2, 2, 2, 2, 2, 2)))
    assert norms(folded(network, torch.rand(1, 1, 32, 32, 32))) == 0

    class Residual(nn.Module):  # the convolution's output is read twice
        def __init__(self):
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x):
            y = self.convolution(x)
            return y + self.norm(y)

    assert norms(folded(livened(Residual()), torch.rand(1, 1, 8, 8))) == 1


def test_bf16_is_read_off_the_processors_flags(tmp_path):
    told = tmp_path / "cpuinfo"
    for text, wanted in (
        ("processor : 0\nflags\t\t: fpu avx512f avx512_bf16 sse\n", True),
        ("flags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("flags\t\t: fpu avx2 sse\nbugs\t\t: bf16\n", False),
    ):
        told.write_text(text)
        assert devices.has_bf16(told) is wanted
    assert not devices.has_bf16(tmp_path / "nothing")
