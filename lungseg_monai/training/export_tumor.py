"""From a run to the weights that are shipped: `python -m lungseg_monai.training.export_tumor RUN --bundle BUNDLE`.

Writes models/model.pt (a checkpoint: weights in float16, `numbers`, `best`), models/model.onnx (batch normalisation
folded; float16 weights; any number of windows, any sides that the network takes, the slices of a window as trained) and
models/weights.json (their SHA-256, and what run they come from), once ONNX Runtime and OpenVINO agree with torch; then
the rules that `lungseg tune` left beside best.pt, and the run's numbers into "segmenter" of configs/metadata.json.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Mapping
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lungseg_monai.errors import CheckpointError, LungsegError
from lungseg_monai.folding import folded
from lungseg_monai.io import atomic_file, sha256, write_json
from lungseg_monai.networks.trained import network_of
from lungseg_monai.segment.tumor_options import TRAINED
from lungseg_monai.training import exporting
from lungseg_monai.training.checkpoints import check_fit, read_checkpoint, save_checkpoint
from lungseg_monai.tuned import carry_tuned, read_tuned

KEPT = ("numbers", "bundle", "best")  # of a checkpoint, beside its weights
SIDES = (8, 16)  # what the in-plane sides must divide by: most networks' and that of the 2D U-Net
SHAPES = ((1, 2, 3), (3, 3, 2))  # to try them on: windows, sides in units of that


def export(run: Path, bundle: Path) -> dict[str, Any]:
    """Write the weights of `run`'s best.pt into `bundle`/models; returns the content of weights.json.

    Raises CheckpointError where best.pt can't be read, is of another network or holds values that are no numbers,
    ModelError where a backend computes something else than torch, ConfigError where the tuned rules are for other
    weights; then nothing in the bundle has changed.
    """
    best = run / "checkpoints" / "best.pt"
    content = read_checkpoint(best)
    weights = {name: small(name, value) for name, value in content["model"].items()}
    network = network_of(content["numbers"])
    check_fit(network, weights, best)
    read_tuned(best)  # complains, if at all, before anything is written
    network.load_state_dict(weights)  # the very numbers that are shipped
    slices = int(content["numbers"].get("slices", 8))
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "model.onnx")
        side = write_onnx(network, slices, made)
        runs = {name: opening(made) for name, opening in exporting.BACKENDS.items()}
        found = {name: differences(name, network, run_, slices, side) for name, run_ in runs.items()}
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
    carry_tuned(best, models, sorted(table["sha256"].values()))
    tell_segmenter(bundle / "configs" / "metadata.json", content["numbers"], side)
    return table


def tell_segmenter(path: Path, numbers: Mapping[str, Any], side: int) -> None:
    """Put what the network was trained with into "segmenter" of a metadata.json, and leave the rest as it stands."""
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8")
    old = json.loads(text).get("segmenter")
    begin = re.search(r'"segmenter"\s*:\s*', text)
    if not isinstance(old, dict) or begin is None:
        return
    _, length = json.JSONDecoder().raw_decode(text[begin.end() :])
    new = old | {name: numbers[name] for name in TRAINED if name in numbers} | {"divisor": side}
    rows = ",\n".join(f"    {json.dumps(name)}: {json.dumps(value)}" for name, value in new.items())
    with atomic_file(path) as stream:
        stream.write(f"{text[: begin.end()]}{{\n{rows}\n  }}{text[begin.end() + length :]}".encode())


def small(name: str, value: Tensor) -> Tensor:
    """A large weight in float16; a small one, or one beyond what float16 holds, as it is.

    Raises CheckpointError where it holds what is no number: such a training has failed.
    """
    if value.is_floating_point() and not bool(value.isfinite().all()):
        raise CheckpointError(f"the weight {name} holds values that are no numbers: the training failed; train again")
    if value.numel() < exporting.SMALL or value.dim() < 2:
        return value.contiguous()
    less = exporting.half(value)
    return less if not less.is_floating_point() or bool(less.isfinite().all()) else value.contiguous()


def write_onnx(network: nn.Module, slices: int, path: Path) -> int:
    """The folded network as ONNX, for windows (N, 1, H, W, slices); returns what H and W must divide by."""
    side = divisor(network, slices)
    example = torch.rand(2, 1, 3 * side, 2 * side, slices, generator=torch.Generator().manual_seed(0))
    free: dict[int, Any] = {axis: side * torch.export.Dim(name, min=1, max=128) for axis, name in ((2, "i"), (3, "j"))}
    free[0] = torch.export.Dim("n", min=1, max=256)
    exporting.write_graph(folded(network, example), example, free, path)
    return side


def divisor(network: nn.Module, slices: int) -> int:
    """The first of SIDES that the network takes three of; the last where it takes none, which then says why."""
    for side in SIDES[:-1]:
        try:
            with torch.inference_mode():
                network(torch.zeros(1, 1, 3 * side, 2 * side, slices))
        except ValueError:
            continue
        return side
    return SIDES[-1]


def differences(name: str, network: nn.Module, run: exporting.Run, slices: int, side: int) -> dict[str, float]:
    """As exporting.differences, on windows of random values in 0 ... 1."""
    random = np.random.default_rng(0)
    shapes = [(count, 1, side * i, side * j, slices) for count, i, j in SHAPES]
    inputs = [random.uniform(0, 1, shape).astype(np.float32) for shape in shapes]
    return exporting.differences(name, network, run, inputs, torch.sigmoid)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 3 where nothing could be exported."""
    parser = argparse.ArgumentParser(description="Put the tumour weights of a run into a bundle, as PyTorch and ONNX.")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder that the training wrote")
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
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
