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
from monai.transforms import Compose, Transform
from torch import Tensor

from data_prep.nifti import atomic_file
from lungseg_monai.errors import ConfigError

Item = dict[str, Any]
Chain = Callable[[Item], Mapping[str, Any]]
STEPS, LOWEST = 65535, -32768
NO_SETTINGS = {"R", "readers", "auto_select", "_tracing"}  # of MONAI's transforms: what changes when they run


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

    Raises ConfigError when the chain holds a function that has no name of its own.
    """
    files = sorted(Path(value) for value in _strings(list(item.values())) if Path(value).is_file())
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    parts = chain.flatten().transforms if isinstance(chain, Compose) else [chain]
    masks = {key: len(value) for key, value in item.items() if isinstance(value, list)}
    told = (item["case_id"], item.get("slices"), masks, stats, [settings_of(part) for part in parts])
    key = hashlib.sha256(repr(told).encode()).hexdigest()[:32]
    return OnDisk(folder / f"{key}.image.npy", folder / f"{key}.label.npy")


def settings_of(value: Any) -> str:
    """A transform's class and settings as text, the same in every process and after every use.

    Not by pickling, as MONAI does: LoadImage pickles to something else once it has run. Raises ConfigError for a
    function without a name of its own.
    """
    if isinstance(value, list | tuple):
        return f"[{', '.join(settings_of(one) for one in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {settings_of(one)}' for key, one in sorted(value.items()))}}}"
    if value is None or isinstance(value, str | bool | int | float):
        return repr(value)
    if isinstance(value, Transform):
        return f"{_name(type(value))}{settings_of({k: v for k, v in vars(value).items() if k not in NO_SETTINGS})}"
    return _name(value if callable(value) and hasattr(value, "__qualname__") else type(value))


def _name(thing: Any) -> str:
    name = f"{thing.__module__}.{thing.__qualname__}"
    if "<" in name:
        raise ConfigError(f"with cache_dir the chain must not hold {name}: name a function of a module")
    return name


def _strings(values: Sequence[Any]) -> list[str]:
    flat: list[str] = []
    for value in values:
        flat += [value] if isinstance(value, str) else _strings(value) if isinstance(value, list) else []
    return flat


class VolumeKeeper:
    """Makes volumes with `chain` and keeps them: up to `cache_gb` in memory, the rest in `cache_dir`, else not at all.

    With `cache_dir` all are kept there, for the next run too. held: how many in "memory", on "disk", or "none".
    Raises ConfigError for a negative `cache_gb`.
    """

    def __init__(self, chain: Chain, cache_gb: float, cache_dir: str | Path | None) -> None:
        if not cache_gb >= 0:
            raise ConfigError(f"cache_gb must be 0 or more, got {cache_gb}")
        self.chain = chain
        self.most_bytes = cache_gb * 1e9
        self.folder = None if cache_dir is None else Path(cache_dir)
        self.held_bytes = 0
        self.held = {"memory": 0, "disk": 0, "none": 0}

    @property
    def storage(self) -> str:
        """The slowest kind that is in use."""
        return next((kind for kind in ("none", "disk") if self.held[kind]), "memory")

    def volume(self, item: Item) -> tuple[Volume, OnDisk | None]:
        """The item's volume, out of the folder if it is there, and its place in that folder."""
        if self.folder is None:
            return make_volume(item, self.chain), None
        place = place_on_disk(item, self.chain, self.folder)
        try:
            return place.volume(), place
        except (OSError, ValueError):  # not there yet, or not whole
            volume = make_volume(item, self.chain)
            place.write(volume)
            return volume, place

    def keep(self, item: Item, needed: Volume, place: OnDisk | None) -> Slices:
        """Where the `needed` slices of the item's volume are read from now on."""
        if self.held_bytes + needed.nbytes <= self.most_bytes:
            self.held_bytes += needed.nbytes
            self.held["memory"] += 1
            return needed
        self.held["none" if place is None else "disk"] += 1
        return Anew(item, self.chain) if place is None else place

    def __str__(self) -> str:
        return (
            f"volumes in memory: {self.held['memory']} ({self.held_bytes / 1e9:.3g} GB of at most "
            f"{self.most_bytes / 1e9:g}), on disk: {self.held['disk']}, made anew for each patch: {self.held['none']}"
        )
