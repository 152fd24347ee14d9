"""From a run to the weights that are shipped: `python -m lungseg_monai.training.export_lungs RUN --bundle BUNDLE`.

Writes models/model.pt (float16 state dict), models/model.onnx (batch normalisation folded, float16 weights) and
models/weights.json (their SHA-256, and what run they come from), once ONNX Runtime and OpenVINO agree with torch.
"""

import argparse
import copy
import sys
import tempfile
from collections.abc import Callable, Mapping
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lungseg_monai.errors import LungsegError, ModelError
from lungseg_monai.io import atomic_file, read_json, sha256, write_json
from lungseg_monai.networks import LungUNet3D
from lungseg_monai.training.checkpoints import check_fit, read_checkpoint, save_checkpoint
from lungseg_monai.training.epochs import read_curves

OPSET = 18
SMALL = 256  # values: below that half the precision saves nothing
LARGEST_LOGIT, LARGEST_PROBABILITY = 2e-2, 1e-3  # greatest and mean difference that backends may have from torch
SHAPES = ((64, 32, 96), (96, 64, 32))  # to try them on
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def export(run: Path, bundle: Path) -> dict[str, Any]:
    """Write the weights of `run`'s best.pt into `bundle`/models; returns the content of weights.json.

    Raises CheckpointError where best.pt can't be read or is of another network, ModelError where a backend computes
    something else than torch; then nothing in the bundle has changed.
    """
    best = run / "checkpoints" / "best.pt"
    content = read_checkpoint(best)
    weights = {name: half(value) for name, value in content["model"].items()}
    network = LungUNet3D(features=content["numbers"]["features"]).eval()
    check_fit(network, weights, best)
    network.load_state_dict(weights)  # the very numbers that are shipped
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "model.onnx")
        write_onnx(network, made)
        differences = compare(network, made)
        graph = made.read_bytes()
    models = bundle / "models"
    save_checkpoint(models / "model.pt", weights)
    with atomic_file(models / "model.onnx") as stream:
        stream.write(graph)
    table = {
        "schema_version": "1.0",
        "sha256": {"model.onnx": new_sha256(graph).hexdigest(), "model.pt": sha256(models / "model.pt")},
        "run": run_facts(run, content),
        "differences": differences,
    }
    write_json(models / "weights.json", table)
    return table


def half(value: torch.Tensor) -> torch.Tensor:
    return value.half().contiguous() if value.is_floating_point() else value


def folded(network: LungUNet3D) -> LungUNet3D:
    """A copy that computes the same without batch normalisation: its factors are in the convolutions before it."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(getattr(module, "conv", None), nn.Conv3d) and hasattr(getattr(module, "adn", None), "N"):
            module.conv = torch.nn.utils.fuse_conv_bn_eval(module.conv, module.adn.N)  # type: ignore[union-attr, arg-type, type-var]
            module.adn.N = nn.Identity()  # type: ignore[union-attr]
    return network


def write_onnx(network: LungUNet3D, path: Path) -> None:
    """The folded network as ONNX for any I, J, K that it takes; weights in float16, computed with in float32."""
    import onnx

    sides = {axis + 2: 32 * torch.export.Dim(name, min=1, max=64) for axis, name in enumerate("ijk")}
    fixed = dict.fromkeys((0, 1), torch.export.Dim.STATIC)
    torch.onnx.export(
        folded(network), (torch.zeros(1, 1, 64, 96, 128),), path, dynamo=True, dynamic_shapes=(fixed | sides,),
        input_names=["image"], output_names=["logits"], opset_version=OPSET, external_data=False, verbose=False,
    )  # fmt: skip
    model = onnx.load(path)
    halve(model)
    graph = model.graph  # without the exporter's notes, which hold paths of this machine
    for part in (model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    onnx.checker.check_model(model)
    onnx.save(model, path)


def halve(model: Any) -> None:
    """Keep the large weights of an ONNX model as float16, each behind a Cast to float32."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < SMALL:
            continue
        name, values = weight.name, numpy_helper.to_array(weight)
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT))
    for place, cast in enumerate(casts):
        model.graph.node.insert(place, cast)
    halves = {cast.output[0] for cast in casts}
    kept = [value for value in model.graph.value_info if value.name not in halves]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)


def compare(network: LungUNet3D, path: Path) -> dict[str, dict[str, float]]:
    """By backend: greatest difference of a logit and mean one of a probability from torch. Raises ModelError."""
    backends = {"onnxruntime": by_onnx(path), "openvino": by_openvino(path)}
    return {name: differences(name, network, run) for name, run in backends.items()}


def differences(name: str, network: LungUNet3D, run: Run) -> dict[str, float]:
    random, found = np.random.default_rng(0), {"logit_max": 0.0, "probability_mean": 0.0}
    for shape in SHAPES:
        x = random.uniform(-1.04, 1.67, (1, 1, *shape)).astype(np.float32)
        with torch.inference_mode():
            wanted = network(torch.from_numpy(x))
        got = torch.from_numpy(run(x))
        if got.shape != wanted.shape:
            raise ModelError(f"{name} gives logits of the shape {list(got.shape)}, wanted {list(wanted.shape)}")
        mean = (got.softmax(1) - wanted.softmax(1)).abs().mean()
        found["logit_max"] = max(found["logit_max"], float((got - wanted).abs().max()))
        found["probability_mean"] = max(found["probability_mean"], float(mean))
    if not (found["logit_max"] <= LARGEST_LOGIT and found["probability_mean"] <= LARGEST_PROBABILITY):
        raise ModelError(
            f"{name} differs from torch by {found['logit_max']:.2g} in a logit and {found['probability_mean']:.2g} in "
            f"the mean probability; at most {LARGEST_LOGIT} and {LARGEST_PROBABILITY} were wanted: nothing is exported"
        )
    return found


def by_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {session.get_inputs()[0].name: x})[0]


def by_openvino(path: Path) -> Run:
    from lungseg_monai.segment.backends.openvino_backend import import_openvino

    openvino = import_openvino()  # without its telemetry
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", exact)
    return lambda x: compiled(x)[0]


def run_facts(run: Path, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What the weights come from: of run.json, of best.pt and of the row of curves.csv that it was chosen by."""
    record, best = read_json(run / "run.json"), checkpoint["best"]
    rows = [row for row in read_curves(run / "curves.csv") if row["epoch"] == str(best["epoch"])]
    scores = next((row for row in rows if row["split"] == "validation"), {})
    numbers = checkpoint["numbers"]
    return {
        "numbers": numbers,
        "seed": numbers["seed"],
        "epoch": best["epoch"],
        "scenes_seen": int(best["epoch"]) * int(numbers["scenes_per_epoch"]),
        "seconds": record.get("seconds"),
        "status": record.get("status"),
        "device": record.get("device"),
        "pretrained": bool(record.get("pretrained")),
        "versions": record.get("versions"),
        "scores": {name: float(value) for name, value in scores.items() if name not in ("split", "epoch") and value},
    }


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 3 where nothing could be exported."""
    parser = argparse.ArgumentParser(description="Put the weights of a run into a bundle, as PyTorch and as ONNX.")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder that the training wrote")
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle, as bundles/ct_lungs")
    given = parser.parse_args(arguments)
    try:
        table = export(given.run, given.bundle)
    except LungsegError as error:
        sys.stderr.write(f"error: {error}\n")
        return 3
    for name, digest in table["sha256"].items():
        sys.stdout.write(f"{given.bundle / 'models' / name}  {digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
