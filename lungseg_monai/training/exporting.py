"""What the exports of all networks share: small weights, a clean ONNX file, and the proof that backends agree."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lungseg_monai.errors import ModelError
from lungseg_monai.io import read_json
from lungseg_monai.training.epochs import read_curves

OPSET = 18
SMALL = 256  # values: below that half the precision saves nothing
LARGEST_LOGIT, LARGEST_PROBABILITY = 2e-2, 1e-3  # greatest and mean difference that backends may have from torch
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def half(value: Tensor) -> Tensor:
    return value.half().contiguous() if value.is_floating_point() else value


def write_graph(network: nn.Module, example: Tensor, sides: Mapping[int, Any], path: Path) -> None:
    """`network` as ONNX, input "image", output "logits"; weights in float16, computed with in float32.

    sides: which axes of `example` are free, and their torch.export.Dim. Nothing in the file tells of this machine.
    """
    import onnx

    fixed = dict.fromkeys(range(example.dim()), torch.export.Dim.STATIC)
    torch.onnx.export(
        network, (example,), path, dynamo=True, dynamic_shapes=(fixed | dict(sides),),
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


def differences(
    name: str,
    network: nn.Module,
    run: Run,
    inputs: Iterable[NDArray[np.float32]],
    probabilities: Callable[[Tensor], Tensor],
) -> dict[str, float]:
    """Greatest difference of a logit and mean one of a probability of `run` from torch, over `inputs`.

    Raises ModelError where they are more than LARGEST_LOGIT or LARGEST_PROBABILITY, or shapes differ.
    """
    found = {"logit_max": 0.0, "probability_mean": 0.0}
    for x in inputs:
        with torch.inference_mode():
            wanted = network(torch.from_numpy(x))
        got = torch.from_numpy(run(x))
        if got.shape != wanted.shape:
            raise ModelError(f"{name} gives logits of the shape {list(got.shape)}, wanted {list(wanted.shape)}")
        mean = (probabilities(got) - probabilities(wanted)).abs().mean()
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


BACKENDS = {"onnxruntime": by_onnx, "openvino": by_openvino}


def run_facts(run: Path, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What the weights come from: of run.json, of best.pt and of the row of curves.csv that it was chosen by."""
    record, best = read_json(run / "run.json"), checkpoint["best"]
    rows = [row for row in read_curves(run / "curves.csv") if row["epoch"] == str(best["epoch"])]
    scores = next((row for row in rows if row["split"] == "validation"), {})
    numbers = checkpoint["numbers"]
    return {
        "numbers": numbers,
        "seed": numbers.get("seed"),
        "epoch": best["epoch"],
        "seconds": record.get("seconds"),
        "status": record.get("status"),
        "device": record.get("device"),
        "pretrained": bool(record.get("pretrained")),
        "versions": record.get("versions"),
        "scores": {name: float(value) for name, value in scores.items() if name not in ("split", "epoch") and value},
    }
