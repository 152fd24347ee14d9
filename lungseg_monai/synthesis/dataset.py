"""Made scenes as training data: each is made from (seed, index) by the worker that is asked for it."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, DistributedSampler

log = getLogger(__name__)
Raw = tuple[NDArray[np.int16], NDArray[np.uint8]]
WINDOW_HU = (-1024, 600)
AIR_HU = -1024
MULTIPLE = 32


class SceneDataset(Dataset[dict[str, torch.Tensor]]):
    """Scene `number` of a run as {"image": (1, I, J, K) float32, "label": (1, I, J, K) uint8}.

    `number` counts through all epochs: number = epoch * length + place, so every scene is seen once, in any process,
    and a resumed run goes on with the next. `options` are those of SceneOptions; its `difficulty` climbs in a line
    from `difficulty[0]` to 1 over the first `difficulty[1]` epochs; the first `coarse[1]` epochs see scenes of
    `coarse[0]` mm a voxel, which cost a third of the time. With `repeats` an epoch shows each of its scenes
    so many times, every second time mirrored. `cache` is a folder where scenes are kept and read from.
    """

    def __init__(
        self,
        seed: int,
        length: int,
        options: Mapping[str, Any] | None = None,
        *,
        difficulty: tuple[float, float] = (1.0, 0.0),
        coarse: tuple[float, float] = (3.0, 0.0),
        weigh: Any = None,
        cache: str | Path | None = None,
        repeats: int = 1,
    ) -> None:
        self.seed, self.length, self.repeats = seed, length, repeats
        self.options = dict(options or {})
        self.difficulty = difficulty
        self.coarse = coarse
        self.weigh = weigh
        self.cache = Path(cache) if cache is not None else None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        epoch, place = divmod(number, self.length)
        distinct = -(-self.length // self.repeats)
        turn, place = divmod(place, distinct)
        raw = self.scene(epoch * distinct + place, epoch)
        item = to_item(mirrored(raw) if turn % 2 else raw, [self.seed, number])
        if self.weigh is not None:
            weight = self.weigh.weights(item["image"][None], item["label"][None].float())
            item["weight"] = weight[0].half()
        return item

    def scene(self, index: int, epoch: int) -> Raw:
        """hu int16 and lung uint8 (I, J, K) of scene `index` at the difficulty of `epoch` (from 0)."""
        from lungseg_monai import synthesis

        options = replace(synthesis.SceneOptions(**self.options), difficulty=self.difficulty_in(epoch))
        if epoch < self.coarse[1]:
            options = replace(options, spacing_mm=self.coarse[0])
        path = self.cache / f"{self.seed}-{index:07d}-{_short_hash(options)}.npz" if self.cache else None
        if path is not None and path.is_file():
            with np.load(path) as kept:
                return kept["hu"], kept["lung"]
        scene = synthesis.make_scene(self.seed, index, options)
        raw = np.ascontiguousarray(scene.hu, np.int16), np.ascontiguousarray(scene.lung, np.uint8)
        if path is not None:
            _keep(path, raw)
        return raw

    def difficulty_in(self, epoch: int) -> float:
        start, epochs = self.difficulty
        return start + (1 - start) * min(1.0, epoch / epochs) if epochs > 0 else 1.0


class FixedScenes(Dataset[dict[str, torch.Tensor]]):
    """The first `count` scenes of another seed, made once by `num_workers` processes and held as int16 and uint8."""

    def __init__(self, scenes: SceneDataset, count: int, num_workers: int = 0) -> None:
        self.scenes, self.count, self.num_workers = scenes, count, num_workers
        self.held: list[Raw] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        if not self.held:
            self.make()
        return to_item(self.held[number], [self.scenes.seed, number])

    def make(self) -> None:
        log.info("Making %d scenes to validate on", self.count)
        loader = DataLoader(
            _RawScenes(self.scenes, self.count), batch_size=None, num_workers=self.num_workers, collate_fn=_same,
            worker_init_fn=quiet_worker,
        )  # fmt: skip
        self.held = [(hu, lung) for hu, lung in loader]


class _RawScenes(Dataset[Raw]):
    def __init__(self, scenes: SceneDataset, count: int) -> None:
        self.scenes, self.count = scenes, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Raw:
        return self.scenes.scene(number, 0)


class SceneSampler(DistributedSampler[Any]):
    """The numbers of all scenes from the current epoch to the run's last, so that workers make them ahead of time.

    One epoch is len() of them; the engine takes that many and comes back for the rest after validating. Several
    processes take turns. MONAI's engines call set_epoch, which counts from 1, before the first batch is asked for.
    """

    def __init__(self, dataset: SceneDataset, epochs: int) -> None:
        several = dist.is_available() and dist.is_initialized()
        world, rank = (dist.get_world_size(), dist.get_rank()) if several else (1, 0)
        super().__init__(dataset, num_replicas=world, rank=rank, shuffle=False)
        self.per_epoch, self.epochs, self.epoch = len(dataset), epochs, 1

    def __iter__(self) -> Iterator[int]:
        for epoch in range(self.epoch - 1, self.epochs):
            first = epoch * self.per_epoch
            yield from range(first + self.rank, first + len(self) * self.num_replicas, self.num_replicas)

    def __len__(self) -> int:
        return self.per_epoch // self.num_replicas


def in_turns(dataset: Dataset[Any]) -> list[int]:
    """The indices of a dataset that this process takes, of several that take turns."""
    several = dist.is_available() and dist.is_initialized()
    world, rank = (dist.get_world_size(), dist.get_rank()) if several else (1, 0)
    return list(range(rank, len(dataset), world))  # type: ignore[arg-type]


def to_item(raw: Raw, seed: list[int]) -> dict[str, torch.Tensor]:
    """Scaled and padded with air to sides that divide by 32; where in the padding the scene lies is drawn by `seed`."""
    hu, lung = raw
    random = np.random.default_rng(seed)
    spare = [-size % MULTIPLE for size in hu.shape]
    if all(size + room == MULTIPLE for size, room in zip(hu.shape, spare, strict=True)):
        spare[int(np.argmax(hu.shape))] += MULTIPLE  # batch normalisation needs two voxels at the network's bottom
    before = [int(random.integers(0, room + 1)) for room in spare]
    sides = [(low, room - low) for low, room in zip(before, spare, strict=True)]
    image = scaled(np.pad(hu, sides, constant_values=AIR_HU))
    return {"image": torch.from_numpy(image)[None], "label": torch.from_numpy(np.pad(lung, sides))[None]}


def scaled(hu: NDArray[Any]) -> NDArray[np.float32]:
    """What the network takes: -1.04 at -1024 HU and below, 0 at -400, 1.67 at 600 and above."""
    low, high = WINDOW_HU
    return (np.clip(hu, low, high).astype(np.float32) + 400) / 600


def mirrored(raw: Raw) -> Raw:
    """Left and right exchanged, in the image and in what is called right and left."""
    hu, lung = raw
    exchange = np.array([0, 2, 1], np.uint8)
    return np.ascontiguousarray(hu[::-1]), np.ascontiguousarray(exchange[lung[::-1]])


def quiet_worker(worker: int) -> None:
    """For a DataLoader's workers: one thread each, after the training in rank, and Ctrl-C is the parent's to answer."""
    torch.set_num_threads(1)
    _one_blas_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(os, "nice"):
        os.nice(5)


def _one_blas_thread() -> None:
    """numpy's OpenBLAS would start a thread a core in every worker; it can only be told by its own C function."""
    import ctypes

    from numpy._core import _multiarray_umath  # type: ignore[attr-defined]

    with suppress(OSError, AttributeError):  # another BLAS: slower at worst
        ctypes.CDLL(_multiarray_umath.__file__).scipy_openblas_set_num_threads64_(1)


def _same(batch: Any) -> Any:
    return batch


def _short_hash(options: Any) -> str:
    return sha256(repr(options).encode()).hexdigest()[:8]


def _keep(path: Path, raw: Raw) -> None:
    from lungseg_monai.io import atomic_file

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as stream:
        np.savez_compressed(stream, hu=raw[0], lung=raw[1])
