"""Tumours in a whole volume: ours against MONAI's SlidingWindowInferer with the same float32 network, in one run.

`python -m benchmarks.tumor_inference`: 256 x 256 x 200, windows of 8 slices, stride 1, width 32. Takes long in full:
`--windows 4` times four windows each and reckons on from there, and says so.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from numpy.typing import NDArray

from lungseg_monai.cores_and_memory import cores
from lungseg_monai.lung_box import Box, lung_box, scaled_box
from lungseg_monai.networks.trained import network_of
from lungseg_monai.segment.backends import open_backend
from lungseg_monai.synthesis import SceneOptions, make_scene
from lungseg_monai.training.checkpoints import read_checkpoint, save_checkpoint
from lungseg_monai.training.export_tumor import small, write_onnx
from lungseg_monai.window_stream import WindowAverage, WindowOptions, windows

SLICES = 8
MARGIN_MM = 15.0
THRESHOLD = 0.7
RARE = 0.99  # share of voxels below the threshold that untrained weights get: theirs mean nothing
HEADER = "| what | s | ratio | CPU s | ratio | Dice |\n|---|---|---|---|---|---|"
Floats = NDArray[np.float32]


@dataclass
class Timed:
    seconds: float
    cpu_seconds: float
    found: Floats


def main(arguments: list[str] | None = None) -> int:
    given = parsed(arguments)
    torch.set_num_threads(given.threads)
    numbers, weights = network_and_weights(given)
    network = network_of(numbers)
    network.load_state_dict(weights)
    volume, box = chest(given)
    count = len(windows(given.depth, SLICES, given.stride))
    timed = count if given.windows is None else min(given.windows, count)
    told = "all of them timed" if timed == count else f"{timed} timed, the rest reckoned from them"
    print(f"{given.size} x {given.size} x {given.depth}, stride {given.stride}: {count} windows, {told}")
    print(f"width {numbers['width']}, {given.threads} threads; lungs' box {box} with a margin of {MARGIN_MM:g} mm")
    print("weights: " + ("trained" if given.weights else "random, so Dice tells of arithmetic alone"))
    print(HEADER)
    first = middle(given, timed)
    part = np.ascontiguousarray(volume[:, :, first : first + SLICES + (timed - 1) * given.stride])
    reference = measure(lambda: by_monai(network, part, given.stride), lambda: warm(network, part))
    threshold = THRESHOLD if given.weights else float(np.quantile(reference.found, RARE))
    scale = count / timed
    print(row("MONAI SlidingWindowInferer, float32", reference, reference, scale, scale, 1.0), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        bundle = written(Path(folder), network, weights, numbers)
        for name, average, inside, share in candidates(bundle, given, box, first, part.shape):
            if isinstance(average, str):
                print(f"| {name} | skipped: {average} | | | | |", flush=True)
                continue
            ours = measure(lambda run=average: run(part), lambda run=average: run(part[:, :, :SLICES], True))
            dice = dice_of(reference.found[inside] > threshold, ours.found[inside] > threshold)
            print(row(name, ours, reference, share * scale, scale, dice), flush=True)
    return 0


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="checkpoint (best.pt or a bundle's model.pt); else random weights")
    parser.add_argument("--network", default="recurrent_3d_denseunet")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--size", type=int, default=256, help="side of a slice")
    parser.add_argument("--depth", type=int, default=200, help="slices of the volume")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--windows", type=int, metavar="N", help="time only N windows and reckon on from there")
    parser.add_argument("--threads", type=int, default=cores())
    given = parser.parse_args(arguments)
    if given.depth < SLICES or given.size % 8 or min(given.width, given.stride, given.threads, given.windows or 1) < 1:
        parser.error("--depth must be 8 or more, --size divisible by 8, the others 1 or more")
    return given


def network_and_weights(given: argparse.Namespace) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The numbers and the very weights, rounded as they are shipped, that all rows use."""
    if given.weights:
        content = read_checkpoint(given.weights)
        numbers, state = content["numbers"], content["model"]
    else:
        torch.manual_seed(0)
        numbers = {"network_name": given.network, "width": given.width}
        state = network_of(numbers).state_dict()
    return numbers, {name: small(name, value).to(value.dtype) for name, value in state.items()}


def chest(given: argparse.Namespace) -> tuple[Floats, Box]:
    """A made chest in 0 ... 1 on the grid that was asked for, and the box of its lungs there."""
    scene = make_scene(1, 0, SceneOptions(spacing_mm=4.0))
    shape = (given.size, given.size, given.depth)
    around = lung_box(scene.lung > 0, (scene.spacing_mm,) * 3, MARGIN_MM)
    if around is None:
        raise SystemExit("the made chest has no lungs")
    index = np.ix_(*(np.arange(new) * old // new for new, old in zip(shape, scene.hu.shape, strict=True)))
    hu = scene.hu[index].astype(np.float32)
    return (np.clip(hu, -1000, 400) + 1000) / 1400, scaled_box(around, scene.hu.shape, shape)


def middle(given: argparse.Namespace, timed: int) -> int:
    return (given.depth - SLICES - (timed - 1) * given.stride) // 2 if timed else 0


def written(bundle: Path, network: Any, weights: dict[str, torch.Tensor], numbers: dict[str, Any]) -> Path:
    (bundle / "models").mkdir()
    save_checkpoint(bundle / "models" / "model.pt", {"model": weights, "numbers": numbers})
    write_onnx(network, SLICES, bundle / "models" / "model.onnx")
    return bundle


def candidates(
    bundle: Path, given: argparse.Namespace, box: Box, first: int, shape: tuple[int, ...]
) -> Iterator[tuple[str, Any, Any, float]]:
    """Name, what to run (or why not), where its answer counts, and which share of all windows a volume needs."""
    everywhere = (slice(None),) * 3
    k0, k1 = box[2]
    here = (box[0], box[1], (min(max(k0 - first, 0), shape[2] - SLICES), min(max(k1 - first, SLICES), shape[2])))
    fewer = len(windows(k1 - k0, SLICES, given.stride)) / len(windows(given.depth, SLICES, given.stride))
    fewer *= len(windows(shape[2], SLICES, given.stride)) / len(windows(here[2][1] - here[2][0], SLICES, given.stride))
    for name, precision in (("torch", "float32"), ("torch", "bf16"), ("openvino", "float32"), ("openvino", "bf16")):
        backend = open_backend(bundle, name, "cpu", given.threads, precision)
        label = f"ours, {name} {precision}" + (", folded" if name == "torch" else "")
        if backend.precision != precision:  # type: ignore[attr-defined]
            yield label, "; ".join(backend.notes), everywhere, 1.0
            continue
        yield label, runner(backend, given.stride, None), everywhere, 1.0
        inside = tuple(slice(*span) for span in here)
        yield f"{label}, lungs' box", runner(backend, given.stride, here), inside, fewer


def runner(backend: Any, stride: int, box: Box | None) -> Callable[..., Floats]:
    """Runs a volume; with `warming`, a window of the size that will come."""

    def run(volume: Floats, warming: bool = False) -> Floats:
        limits = box if box is None or not warming else (box[0], box[1], (0, SLICES))
        found: Floats = WindowAverage(backend, WindowOptions(stride=stride, box=limits))(volume)
        return found

    return run


def by_monai(network: Any, volume: Floats, stride: int) -> Floats:
    overlap = 1 - (stride + 1e-6) / SLICES
    inferer = SlidingWindowInferer((*volume.shape[:2], SLICES), 1, overlap=(0, 0, max(overlap, 0)), mode="constant")
    with torch.inference_mode():
        found: Any = inferer(torch.from_numpy(volume)[None, None], lambda window: torch.sigmoid(network(window)))
    out: Floats = found[0, 0].numpy()
    return out


def warm(network: Any, volume: Floats) -> None:
    by_monai(network, volume[:, :, :SLICES], 1)


def measure(run: Callable[[], Floats], warming: Callable[[], Any]) -> Timed:
    warming()
    wall, cpu = time.perf_counter(), time.process_time()
    found = run()
    return Timed(time.perf_counter() - wall, time.process_time() - cpu, found)


def dice_of(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    both = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / both if both else 1.0


def row(name: str, ours: Timed, reference: Timed, scale: float, reference_scale: float, dice: float) -> str:
    wall, cpu = ours.seconds * scale, ours.cpu_seconds * scale
    faster = reference.seconds * reference_scale / wall, reference.cpu_seconds * reference_scale / cpu
    return f"| {name} | {wall:.1f} | {faster[0]:.2f} | {cpu:.1f} | {faster[1]:.2f} | {dice:.4f} |"


if __name__ == "__main__":
    sys.exit(main())
