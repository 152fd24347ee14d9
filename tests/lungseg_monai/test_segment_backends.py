"""The same network by OpenVINO, ONNX Runtime and torch; which one is taken; what is refused."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from lungseg_monai.errors import ModelError, UsageError
from lungseg_monai.segment import backends
from lungseg_monai.segment.backends import open_backend
from lungseg_monai.segment.backends.devices import has_cuda

RUNTIMES = ("openvino", "onnxruntime")


@pytest.fixture(scope="module")
def weights():
    """(3, 1, 3, 3, 3) of a convolution, and its 3 biases."""
    rng = np.random.default_rng(7)
    return rng.normal(size=(3, 1, 3, 3, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)


@pytest.fixture
def bundle(tmp_path, weights):
    """A bundle whose model.onnx is one convolution over any number of voxels."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def value(name, channels):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, "i", "j", "k"])

    kernel, bias = (numpy_helper.from_array(one, name) for one, name in zip(weights, "wb", strict=True))
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[1] * 6)
    graph = helper.make_graph([node], "conv", [value("x", 1)], [value("y", 3)], [kernel, bias])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "models").mkdir()
    onnx.save(model, tmp_path / "models" / "model.onnx")
    return tmp_path


def convolved(x, weights):
    from scipy.ndimage import correlate

    kernel, bias = weights
    return np.stack(
        [correlate(x[0, 0], k[0], mode="constant") + b for k, b in zip(kernel, bias, strict=True)], dtype=np.float32
    )[None]


@pytest.mark.parametrize("name", RUNTIMES)
def test_logits_are_those_of_the_graph_for_any_shape(name, bundle, weights):
    pytest.importorskip(name)
    backend = open_backend(bundle, name, "cpu", 2)
    rng = np.random.default_rng(0)
    for shape in [(4, 6, 8), (8, 6, 4), (4, 6, 8), (2, 2, 2), (3, 5, 9), (4, 6, 8)]:
        x = rng.normal(size=(1, 1, *shape)).astype(np.float32)
        given = np.asfortranarray(x)
        np.testing.assert_allclose(backend(given), convolved(x, weights), atol=1e-4)
        np.testing.assert_array_equal(given, x)
    assert (backend.name, backend.device, backend.notes) == (name, "cpu", [])
    assert backend.sha256 == hashlib.sha256((bundle / "models" / "model.onnx").read_bytes()).hexdigest()


def test_earlier_logits_stay_when_the_network_runs_again(bundle):
    pytest.importorskip("openvino")
    backend = open_backend(bundle, "openvino")
    first = backend(np.ones((1, 1, 4, 4, 4), np.float32))
    kept = first.copy()
    backend(np.zeros((1, 1, 4, 4, 4), np.float32))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("as_checkpoint", [False, True])
def test_torch_reads_half_precision_weights_and_folds_norms(tmp_path, as_checkpoint):
    torch = pytest.importorskip("torch")
    from lungseg_monai.networks.lung_unet3d import LungUNet3D

    torch.manual_seed(1)
    features = (4, 6, 8, 10, 12, 4) if as_checkpoint else (8, 12, 16, 20, 24, 6)
    network = LungUNet3D(features=features).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    half = {name: one.half() if one.is_floating_point() else one for name, one in network.state_dict().items()}
    network.load_state_dict({name: one.float() if one.is_floating_point() else one for name, one in half.items()})
    (tmp_path / "models").mkdir()
    checkpoint = {"model": half, "numbers": {"features": list(features)}, "best": 0.97}
    torch.save(checkpoint if as_checkpoint else half, tmp_path / "models" / "model.pt")
    x = np.random.default_rng(0).normal(size=(1, 1, 32, 64, 32)).astype(np.float32)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(x)).numpy()
    found = open_backend(tmp_path, "torch", "cpu", 2)(x)
    assert found.shape == (1, 3, 32, 64, 32) and wanted.std() > 0.01
    np.testing.assert_allclose(found, wanted, atol=1e-3 * np.abs(wanted).max())


def test_a_gpu_that_cannot_be_used_is_told_and_the_cpu_taken(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    from lungseg_monai.networks.lung_unet3d import LungUNet3D

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "models").mkdir()
    torch.save(LungUNet3D().state_dict(), tmp_path / "models" / "model.pt")
    backend = open_backend(tmp_path, "auto", "cuda", 1)
    assert backend.name == "torch" and backend.device == "cpu" and "cuda" in backend.notes[0]


def test_too_little_memory_on_a_gpu_moves_the_network_to_the_cpu(monkeypatch):
    torch = pytest.importorskip("torch")
    from lungseg_monai.segment.backends.torch_backend import TorchBackend

    backend = TorchBackend.__new__(TorchBackend)
    backend.device, backend.notes, backend._network = "cuda", [], torch.nn.Identity()

    def run(x):
        if backend.device == "cuda":
            raise torch.OutOfMemoryError("full")
        return x

    monkeypatch.setattr(backend, "_run", run)
    x = np.ones((1, 1, 2, 3, 4), np.float32)
    assert backend(x) is x and backend.device == "cpu" and "2x3x4" in backend.notes[0]


def test_damaged_weights_are_named(tmp_path):
    (tmp_path / "models").mkdir()
    for file, name in (("model.onnx", "openvino"), ("model.onnx", "onnxruntime"), ("model.pt", "torch")):
        pytest.importorskip(name)
        (tmp_path / "models" / file).write_bytes(b"no weights")
        with pytest.raises(ModelError, match=file):
            open_backend(tmp_path, name, "cpu")


def test_weights_are_those_that_the_table_names(bundle):
    path = bundle / "models" / "model.onnx"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    table = bundle / "models" / "weights.json"
    table.write_text(json.dumps({"sha256": {"model.onnx": digest}}))
    open_backend(bundle, "onnxruntime")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelError) as caught:
        open_backend(bundle, "onnxruntime")
    assert digest in str(caught.value) and hashlib.sha256(path.read_bytes()).hexdigest() in str(caught.value)
    table.write_text("{")
    with pytest.raises(ModelError, match=r"weights\.json"):
        open_backend(bundle, "onnxruntime")


def test_missing_weights_say_what_is_there(bundle):
    with pytest.raises(ModelError, match=r"model\.pt .*model\.onnx"):
        open_backend(bundle, "torch", "cpu")


@pytest.mark.parametrize(
    ("name", "device", "threads"),
    [("tensorrt", "cpu", None), ("auto", "tpu", None), ("openvino", "cuda", None), ("auto", "cpu", 0)],
)
def test_what_makes_no_sense_is_refused(bundle, name, device, threads):
    with pytest.raises(UsageError):
        open_backend(bundle, name, device, threads)


def installed(monkeypatch, *names):
    monkeypatch.setattr(backends, "find_spec", lambda name: object() if name in names else None)


@pytest.mark.parametrize(
    ("there", "cuda", "wanted"),
    [
        (("openvino", "onnxruntime", "torch"), False, ("openvino", "cpu")),
        (("onnxruntime", "torch"), False, ("onnxruntime", "cpu")),
        (("torch",), False, ("torch", "cpu")),
        (("openvino", "torch"), True, ("torch", "cuda")),
    ],
)
def test_auto_takes_a_gpu_then_what_is_fastest(bundle, monkeypatch, there, cuda, wanted):
    (bundle / "models" / "model.pt").touch()
    installed(monkeypatch, *there)
    monkeypatch.setattr(backends, "has_cuda", lambda: cuda)
    assert backends.choose_backend("auto", "auto", bundle) == wanted


def test_auto_takes_what_there_are_weights_for(bundle, monkeypatch):
    (bundle / "models" / "model.onnx").rename(bundle / "models" / "model.pt")
    installed(monkeypatch, "openvino", "torch")
    monkeypatch.setattr(backends, "has_cuda", lambda: False)
    assert backends.choose_backend("auto", "auto", bundle) == ("torch", "cpu")


def test_what_to_install_is_said(bundle, monkeypatch):
    installed(monkeypatch)
    with pytest.raises(ModelError, match=r"lungseg-monai\[segment\].*lungseg-monai\[train\]"):
        open_backend(bundle)
    for name, extra in (("openvino", "segment"), ("torch", "train")):
        with pytest.raises(ModelError, match=rf"lungseg-monai\[{extra}\]"):
            open_backend(bundle, name, "cpu")


def test_a_hidden_gpu_is_none(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not has_cuda()


def test_openvino_loads_no_torch_and_nothing_that_reports(bundle):
    pytest.importorskip("openvino")
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from lungseg_monai.segment.backends import open_backend\n"
        f"backend = open_backend(Path({str(bundle)!r}), 'openvino', 'auto', 1)\n"
        "backend(np.zeros((1, 1, 4, 4, 4), np.float32))\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'monai', 'openvino_telemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_openvino_converts_models_when_it_is_asked_to(bundle):
    pytest.importorskip("openvino")
    code = """
import sys
from lungseg_monai.segment.backends.openvino_backend import import_openvino
openvino = import_openvino()
assert "openvino.tools.ovc" not in sys.modules and "openvino_telemetry" not in sys.modules
sys.modules["openvino_telemetry"] = None
assert openvino.convert_model(sys.argv[1]).inputs
"""
    subprocess.run([sys.executable, "-c", code, str(bundle / "models" / "model.onnx")], check=True)


def test_torch_runs_without_monai_and_refuses_other_networks(tmp_path):
    torch = pytest.importorskip("torch")
    from lungseg_monai.networks.lung_unet3d import LungUNet3D

    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "model.pt"
    state = LungUNet3D(features=(2, 3, 4, 5, 6, 2)).state_dict()
    torch.save(state, path)
    code = """
import sys
from pathlib import Path
import numpy as np
from lungseg_monai.segment.backends import open_backend
x = np.zeros((1, 1, 32, 64, 32), np.float32)
assert open_backend(Path(sys.argv[1]), "torch", "cpu", 1)(x).shape == (1, 3, 32, 64, 32)
assert "torch" in sys.modules and "monai" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    for other in ({**state, "unet.more": torch.zeros(1)}, {name: state[name] for name in list(state)[1:]}):
        torch.save(other, path)
        with pytest.raises(ModelError, match="holds no weights of LungUNet3D"):
            open_backend(tmp_path, "torch", "cpu", 1)


def test_a_backend_that_cannot_be_imported_gives_way_to_the_next(monkeypatch, tmp_path):
    class Other:
        name, device, sha256 = "onnxruntime", "cpu", ""

        def __init__(self):
            self.notes = []

    def opening(name, device, bundle, threads):
        if name == "openvino":
            raise ModelError("OpenVINO can't load it") from ImportError("libtbb")
        return Other()

    monkeypatch.setattr(backends, "_open", opening)
    monkeypatch.setattr(backends, "choose_backend", lambda *chosen: ("openvino", "cpu"))
    assert "can't be imported" in backends.open_backend(tmp_path).notes[0]
    with pytest.raises(ModelError):
        backends.open_backend(tmp_path, "openvino")
