"""From a run to shipped weights: `python -m lungseg_monai.training.export_radiographs RUN --bundle BUNDLE`.

Writes models/model.pt (a checkpoint with float16 weights), models/model.onnx (float16 weights, for any number and size
of pictures) and models/weights.json, once ONNX Runtime and OpenVINO agree with torch; metadata.json's "segmenter" is
told what the network was trained with.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lungseg_monai.errors import CheckpointError, LungsegError
from lungseg_monai.folding import folded
from lungseg_monai.io import atomic_file, sha256, write_json
from lungseg_monai.networks.trained import CXR_EXAMPLE, radiograph_network
from lungseg_monai.training import exporting
from lungseg_monai.training.checkpoints import check_fit, read_checkpoint, save_checkpoint
from lungseg_monai.training.export_tumor import KEPT, small

SIDE = 32  # what the sides of an exported network's pictures divide by; enough for all of them
SHAPES = ((1, 3, 2), (3, 4, 5))  # to try them on: pictures, sides in units of that
TOLD = ("steps", "spatial_size", "convention")  # of the run's numbers, to "segmenter"


def export(run: Path, bundle: Path) -> dict[str, Any]:
    """Write the weights of `run`'s best.pt into `bundle`/models; returns the content of weights.json.

    Raises CheckpointError where best.pt can't be read, is of another bundle or holds values that are no numbers,
    ModelError where a backend computes something else than torch; then nothing in the bundle has changed.
    """
    best = run / "checkpoints" / "best.pt"
    content = read_checkpoint(best)
    if content.get("bundle") != bundle.name:
        raise CheckpointError(f"{best} is of the bundle {content.get('bundle')}, not of {bundle.name}")
    weights = {name: small(name, value) for name, value in content["model"].items()}
    network = radiograph_network(bundle.name, content["numbers"])
    check_fit(network, weights, best)
    network.load_state_dict(weights)  # the very numbers that are shipped
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "model.onnx")
        write_onnx(network, made)
        runs = {name: opening(made) for name, opening in exporting.BACKENDS.items()}
        found = {name: differences(name, network, run_) for name, run_ in runs.items()}
        graph = made.read_bytes()
    models = bundle / "models"
    save_checkpoint(models / "model.pt", {"model": weights, **{key: content[key] for key in KEPT if key in content}})
    with atomic_file(models / "model.onnx") as stream:
        stream.write(graph)
    table: dict[str, Any] = {
        "schema_version": "1.0",
        "sha256": {"model.onnx": new_sha256(graph).hexdigest(), "model.pt": sha256(models / "model.pt")},
        "run": exporting.run_facts(run, content),
        "differences": found,
    }
    write_json(models / "weights.json", table)
    tell_segmenter(bundle / "configs" / "metadata.json", content["numbers"])
    return table


def write_onnx(network: nn.Module, path: Path) -> None:
    """The network, batch normalisation folded, as ONNX for pictures (N, 1, H, W) whose sides divide by SIDE."""
    example = torch.rand(CXR_EXAMPLE, generator=torch.Generator().manual_seed(0))
    plain = folded(network, example)
    free: dict[int, Any] = {axis: SIDE * torch.export.Dim(name, min=1, max=64) for axis, name in ((2, "h"), (3, "w"))}
    free[0] = torch.export.Dim("n", min=1, max=256)
    exporting.write_graph(plain, example.repeat(2, 1, 1, 1), free, path)


def differences(name: str, network: nn.Module, run: exporting.Run) -> dict[str, float]:
    """As exporting.differences, on pictures of random values in 0 ... 1."""
    random = np.random.default_rng(0)
    inputs = [random.uniform(0, 1, (count, 1, SIDE * h, SIDE * w)).astype(np.float32) for count, h, w in SHAPES]
    return exporting.differences(name, network, run, inputs, probabilities)


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(logits) if logits.shape[1] == 1 else logits.softmax(1)


def tell_segmenter(path: Path, numbers: Mapping[str, Any]) -> None:
    """Put what the network was trained with into "segmenter" of a metadata.json."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["segmenter"] |= {name: numbers[name] for name in TOLD}
    with atomic_file(path) as stream:
        stream.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 3 where nothing could be exported."""
    parser = argparse.ArgumentParser(description="Put the weights of a run into a bundle, as PyTorch and as ONNX.")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder that the training wrote")
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle, as bundles/cxr_lung_unet")
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
