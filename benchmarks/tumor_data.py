"""How fast tumour patches are served, and what share of a training step that is: `python -m benchmarks.tumor_data`.

Made CTs of 512 x 512, patches as the bundle ct_tumor_recurrent_denseunet trains on. Times of one process are CPU
seconds, which a busy machine does not change much; rates with worker processes are by the clock. One step (forward
and backward) is measured at a smaller in-plane size and scaled by the number of pixels.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import DataLoader
from monai.transforms import Compose

from lungseg_monai.networks.tumor import tumor_network
from lungseg_monai.patches import PatchDataset, PatchSampler
from lungseg_monai.transforms.tumor_chains import AUGMENTATIONS, patch_augmentation, tumor_volume

WINDOW_HU = (-1000, 400)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=2)
    parser.add_argument("--slices", type=int, default=40, help="of each patient")
    parser.add_argument("--size", type=int, default=256, help="in-plane size of the patches")
    parser.add_argument("--step-size", type=int, default=64, help="in-plane size at which the step is measured")
    parser.add_argument("--width", type=int, default=32, help="of the network")
    parser.add_argument("--probability", type=float, default=0.3, help="of each augmentation")
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--threads", type=int, default=1, help="of torch in one process")
    choice = parser.parse_args()
    torch.set_num_threads(choice.threads)
    with tempfile.TemporaryDirectory() as folder:
        measure(choice, Path(folder))


def measure(choice: argparse.Namespace, folder: Path) -> None:
    """Print the table."""
    items = [make_ct(folder / f"{number}", choice.slices) for number in range(choice.patients)]
    chain = Compose(tumor_volume(["tumor"], "window", WINDOW_HU, (choice.size, choice.size)))
    with cpu_seconds() as took:
        memory = PatchDataset(items, chain)
    tell("what", "CPU s", "samples / CPU s")
    tell(f"load a volume of 512 x 512 x {choice.slices}", took() / choice.patients)
    plain = per_sample(memory, choice.samples)
    tell(f"patch {choice.size} x {choice.size} x 8 from memory", plain, 1 / plain)
    disk = PatchDataset(items, chain, cache_gb=0, cache_dir=folder / "cache")
    tell("... from disk", (cost := per_sample(disk, choice.samples)), 1 / cost)
    augment = Compose(patch_augmentation(True, dict.fromkeys(AUGMENTATIONS, choice.probability)))
    changed = PatchDataset(items, chain, augment=augment)
    cost = per_sample(changed, choice.samples)
    tell(f"... from memory, each augmentation with {choice.probability:g}", cost, 1 / cost)
    anew = PatchDataset(items, chain, cache_gb=0)
    tell("... made anew from NIfTI", (slow := per_sample(anew, 2)), 1 / slow)
    step = step_seconds(choice.step_size, choice.width) * (choice.size / choice.step_size) ** 2
    tell(f"step, batch 2, width {choice.width}, measured at {choice.step_size}, scaled to {choice.size}", step)
    print(f"\ndata are {100 * 2 * cost / step:.2f} % of the step's CPU time")
    for workers in choice.workers:
        print(f"{workers} worker processes: {rate(changed, workers):.1f} samples a second by the clock")


def make_ct(folder: Path, slices: int) -> dict[str, Any]:
    """A noisy cylinder with a round tumour in a third of the slices; its item."""
    random = np.random.default_rng(slices)
    i, j = np.meshgrid(np.arange(512), np.arange(512), indexing="ij")
    body = np.where((i - 250) ** 2 + (j - 262) ** 2 < 200**2, -700, -1000)
    tumor = (i - 170) ** 2 + (j - 230) ** 2 < 20**2
    mask = np.zeros((512, 512, slices), np.uint8)
    mask[..., slices // 3 : 2 * slices // 3] = tumor[..., None]
    hu = np.where(mask > 0, 40, body[..., None]) + random.integers(-4, 4, mask.shape)
    folder.mkdir()
    for name, voxels in (("image", hu.astype(np.int16)), ("gtv", mask)):
        nib.save(nib.Nifti1Image(voxels, np.diag([-0.98, -0.98, 3.0, 1])), folder / f"{name}.nii.gz")
    files = {"image": str(folder / "image.nii.gz"), "tumor": [str(folder / "gtv.nii.gz")]}
    return {**files, "case_id": folder.name, "slice_count": slices}


def per_sample(dataset: PatchDataset, samples: int) -> float:
    """CPU seconds a patch, in an epoch's order."""
    sampler = PatchSampler(dataset)
    order = [key for epoch in range(1 + samples // len(dataset)) for key in epoch_of(sampler, epoch)][:samples]
    dataset[order[0]]
    with cpu_seconds() as took:
        for key in order:
            dataset[key]
    return took() / samples


def epoch_of(sampler: PatchSampler, epoch: int) -> list[tuple[int, int]]:
    sampler.set_epoch(epoch)
    return list(sampler)


def rate(dataset: PatchDataset, workers: int) -> float:
    """Patches a second by the clock, batch 2, after the first batch."""
    loader = DataLoader(dataset, batch_size=2, sampler=PatchSampler(dataset), num_workers=workers)
    batches = iter(loader)
    next(batches)
    began = time.perf_counter()
    count = sum(len(batch["start"]) for batch in batches)
    return count / (time.perf_counter() - began)


def step_seconds(size: int, width: int) -> float:
    """CPU seconds of one forward and backward with two patches, the better of two."""
    network = tumor_network("recurrent_3d_denseunet", width=width)
    image = torch.rand(2, 1, size, size, 8)
    times = []
    for _ in range(2):
        with cpu_seconds() as took:
            network(image).sigmoid().mean().backward()
        times.append(took())
    return min(times)


@contextmanager
def cpu_seconds() -> Iterator[Callable[[], float]]:
    """CPU seconds of this process, all threads, between entering and leaving."""
    began, ended = time.process_time(), [0.0]
    yield lambda: ended[0] - began
    ended[0] = time.process_time()


def tell(what: str, *numbers: float | str) -> None:
    shown = [f"{number:>16.3f}" if isinstance(number, float) else f"{number:>16}" for number in numbers]
    print(f"{what:<64}{''.join(shown)}", flush=True)


if __name__ == "__main__":
    main()
