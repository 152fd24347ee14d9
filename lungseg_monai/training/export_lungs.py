"""From a run to the weights that are shipped: `python -m lungseg_monai.training.export_lungs RUN --bundle BUNDLE`.

Writes models/model.pt (float16 state dict), models/model.onnx (batch normalisation folded, float16 weights) and
models/weights.json (their SHA-256, and what run they come from), once ONNX Runtime and OpenVINO agree with torch.
"""

import argparse
import copy
import sys
import tempfile
from collections.abc import Mapping
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lungseg_monai.errors import CheckpointError, LungsegError, ModelError
from lungseg_monai.io import atomic_file, sha256, write_json
from lungseg_monai.networks import LungUNet3D
from lungseg_monai.training import exporting
from lungseg_monai.training.checkpoints import check_fit, read_checkpoint, save_checkpoint
from lungseg_monai.training.exporting import Run, half

__all__ = ["ModelError", "differences", "export", "main"]
SHAPES = ((64, 32, 96), (96, 64, 32))  # to try them on


def export(run: Path, bundle: Path, last: bool = False) -> dict[str, Any]:
    """Write the weights of `run`'s best.pt into `bundle`/models; returns the content of weights.json.

    last: the averaged weights of the last epoch instead, when the rate has come down to 0; a few scenes to validate on
    may not tell epochs apart. Raises CheckpointError where the file can't be read or is of another network,
    ModelError where a backend computes something else than torch; then nothing in the bundle has changed.
    """
    best = run / "checkpoints" / ("last.pt" if last else "best.pt")
    content = averaged(read_checkpoint(best), best) if last else read_checkpoint(best)
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


def averaged(checkpoint: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """last.pt as if its epoch had been the best: the average over the steps (`module.*`) in the weights' place.

    Raises CheckpointError where it keeps no average.
    """
    average, trainer = checkpoint.get("average"), checkpoint.get("trainer")
    if not average or not trainer:
        raise CheckpointError(f"{path} holds no averaged weights: wanted the last.pt of a training of this bundle")
    weights = {name.removeprefix("module."): value for name, value in average.items() if name.startswith("module.")}
    epoch = int(trainer["iteration"]) // int(trainer["epoch_length"])
    return {**checkpoint, "model": weights, "best": {"epoch": epoch, "chosen": "the last epoch"}}


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
    sides = {axis + 2: 32 * torch.export.Dim(name, min=1, max=64) for axis, name in enumerate("ijk")}
    exporting.write_graph(folded(network), torch.zeros(1, 1, 64, 96, 128), sides, path)


def compare(network: LungUNet3D, path: Path) -> dict[str, dict[str, float]]:
    """By backend: greatest difference of a logit and mean one of a probability from torch. Raises ModelError."""
    return {name: differences(name, network, opened(path)) for name, opened in exporting.BACKENDS.items()}


def differences(name: str, network: LungUNet3D, run: Run) -> dict[str, float]:
    random = np.random.default_rng(0)
    inputs = [random.uniform(-1.04, 1.67, (1, 1, *shape)).astype(np.float32) for shape in SHAPES]
    return exporting.differences(name, network, run, inputs, lambda logits: logits.softmax(1))


def run_facts(run: Path, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What the weights come from, and how many made chests they have seen."""
    facts = exporting.run_facts(run, checkpoint)
    return {**facts, "scenes_seen": int(facts["epoch"]) * int(facts["numbers"]["scenes_per_epoch"])}


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 3 where nothing could be exported."""
    parser = argparse.ArgumentParser(description="Put the weights of a run into a bundle, as PyTorch and as ONNX.")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder that the training wrote")
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle, as bundles/ct_lungs")
    parser.add_argument("--last", action="store_true", help="the last epoch's averaged weights, not the best epoch's")
    given = parser.parse_args(arguments)
    try:
        table = export(given.run, given.bundle, given.last)
    except LungsegError as error:
        sys.stderr.write(f"error: {error}\n")
        return 3
    for name, digest in table["sha256"].items():
        sys.stdout.write(f"{given.bundle / 'models' / name}  {digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
