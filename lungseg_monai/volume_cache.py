"""Volumes kept for reading a few slices at a time: in memory, on disk, or made anew each time.

Voxels are kept in 16 bits, 65535 steps from 0 to 1: with a window of 1400 HU a step is 0.02 HU, and 8-bit values come
back exactly. On disk beside MONAI's PersistentDataset, not on it: that reads the whole volume for each patch and goes
on with the old one when a file has changed.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import pickle_hashing
from monai.transforms import Compose
from torch import Tensor

from data_prep.nifti import atomic_file
from lungseg_monai.errors import ConfigError

Item = dict[str, Any]
Chain = Callable[[Item], Mapping[str, Any]]
STEPS, LOWEST = 65535, -32768


@dataclass(frozen=True)
class Volume:
    """images (K, 1, H, W) int16, LOWEST for 0 and 32767 for 1; labels (K, T, H, W) uint8; `first`: slice of index 0."""

    images: Tensor
    labels: Tensor
    first: int = 0

    @property
    def nbytes(self) -> int:
        return self.images.nbytes + self.labels.nbytes

    def labelled(self) -> np.ndarray:
        """(K,) bool: which slices hold a label."""
        found: np.ndarray = self.labels.flatten(1).any(dim=1).numpy()
        return found

    def part(self, start: int, stop: int) -> "Volume":
        """The slices [start, stop) alone, in memory of their own."""
        kept = slice(start - self.first, stop - self.first)
        return Volume(self.images[kept].clone(), self.labels[kept].clone(), start)

    def read(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """The slices [start, stop): image (1, H, W, D) and label (T, H, W, D), float32."""
        kept = slice(start - self.first, stop - self.first)
        image = (self.images[kept].float() - LOWEST) / STEPS
        return image.permute(1, 2, 3, 0).contiguous(), self.labels[kept].float().permute(1, 2, 3, 0).contiguous()


class Slices(Protocol):
    """What slices are read from."""

    def read(self, start: int, stop: int) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class OnDisk:
    """A volume in two files of numpy; each read opens them, so that no page of them counts as this process's memory."""

    images: Path
    labels: Path

    def read(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        return self.volume(start, stop).read(start, stop)

    def volume(self, start: int = 0, stop: int | None = None) -> Volume:
        """Raises OSError or ValueError when the files are missing or not whole."""
        images, labels = (np.load(path, mmap_mode="r") for path in (self.images, self.labels))
        if images.ndim != 4 or len(images) != len(labels) or images.dtype != np.int16 or labels.dtype != np.uint8:
            raise ValueError(f"{self.images.name} is no volume of this cache")
        taken = [torch.from_numpy(np.array(array[start:stop])) for array in (images, labels)]
        return Volume(taken[0], taken[1], start)

    def write(self, volume: Volume) -> None:
        """Raises OutputError."""
        self.images.parent.mkdir(parents=True, exist_ok=True)
        for path, tensor in ((self.labels, volume.labels), (self.images, volume.images)):
            with atomic_file(path) as stream:
                np.save(stream, tensor.numpy())


@dataclass(frozen=True)
class Anew:
    """A volume that is made from its files for each read."""

    item: Item
    chain: Chain

    def read(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        return make_volume(self.item, self.chain).read(start, stop)


def make_volume(item: Item, chain: Chain) -> Volume:
    """Run `chain` (tumor_volume) on an item. Raises what the chain raises; ValueError when the image leaves [0, 1]."""
    made = chain(item)
    image, label = (plain(made[key]).permute(3, 0, 1, 2) for key in ("image", "label"))
    low, high = float(image.min()), float(image.max())
    if not -1e-4 <= low <= high <= 1 + 1e-4:
        raise ValueError(f"the image's values must lie in 0 ... 1, got {low:g} ... {high:g}")
    steps = (image.clamp(0, 1) * STEPS).round() + LOWEST
    return Volume(steps.to(torch.int16).contiguous(), label.to(torch.uint8).contiguous())


def plain(tensor: Tensor) -> Tensor:
    """A MetaTensor without its metadata: quicker, and the same in worker processes."""
    return tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor


def place_on_disk(item: Item, chain: Chain, folder: Path) -> OnDisk:
    """Where the volume of `item` and `chain` belongs: another file, date, length or setting gives another place.

    Raises ConfigError when the chain can't be told from others (its parts can't be pickled).
    """
    files = sorted(Path(value) for value in _strings(list(item.values())) if Path(value).is_file())
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    parts = chain.flatten().transforms if isinstance(chain, Compose) else [chain]
    try:
        settings = [pickle_hashing([part]) for part in parts]
    except Exception as error:
        raise ConfigError(f"with cache_dir the chain must be one that can be pickled: {error}") from error
    key = hashlib.sha256(repr((item["case_id"], item.get("slices"), stats, settings)).encode()).hexdigest()[:32]
    return OnDisk(folder / f"{key}.image.npy", folder / f"{key}.label.npy")


def _strings(values: Sequence[Any]) -> list[str]:
    flat: list[str] = []
    for value in values:
        flat += [value] if isinstance(value, str) else _strings(value) if isinstance(value, list) else []
    return flat
