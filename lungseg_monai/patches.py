"""Patches of a few consecutive slices out of volumes (Kamal et al., section 3.1): which, in what order, changed how."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from monai.transforms import Compose
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from data_prep.progress import bar
from lungseg_monai.errors import ConfigError, DatasetError
from lungseg_monai.patch_windows import Block, Chosen, blocks_of, check_windows, window_starts
from lungseg_monai.slices import root_cause, slice_seed
from lungseg_monai.volume_cache import Anew, Chain, Item, OnDisk, Slices, Volume, make_volume, place_on_disk, plain
from lungseg_monai.window_stream import per_window_maximum

PerPatch = Callable[[np.ndarray], np.ndarray]
log = getLogger(__name__)


@dataclass(frozen=True)
class Stack:
    """One case: where its slices are read, their blocks of neighbours, and where its patches start."""

    case_id: str
    slices: Slices
    blocks: list[Block]
    starts: list[int]
    labelled: np.ndarray  # (K,) bool

    def stop(self, start: int, slices: int) -> int:
        """Where the patch from `start` ends: after `slices`, or where its block does."""
        end = next(stop for first, stop in self.blocks if first <= start < stop)
        return min(start + slices, end)


class PatchDataset(Dataset):
    """Patches of `slices` consecutive slices: {"image" (1, H, W, D), "label" (T, H, W, D), "case_id", "start"}, float32.

    data: items of data.py; transform: makes a volume of one (tumor_chains.tumor_volume). Which windows become patches:
    patch_windows.window_starts. A case, or a block of a split within one patient, with fewer slices than a patch gives
    one patch, its last slice and that one's label repeated. `augment` changes a patch, seeded from (seed, epoch,
    index), so that workers and resuming make no difference; a change that moves the whole label out of the picture is
    not made. `per_patch` (function per_patch) comes last. The epoch comes with the index: dataset[epoch, index].

    No more than `cache_gb` of volumes are held in memory (of labelled patches only the slices they need; the volume
    in work comes on top); the others are read from `cache_dir`, where all are kept for the next run too, or, without
    it, made anew for each patch. `storage` is "memory", "disk" or "none", the slowest that is used; `held` counts each.
    `start` counts the slices that the item takes. has_label (N,) bool: which patches hold a label.
    A case that can't be loaded is left out and stands in `refused`; one that gives no patch, in `without_patches`.
    Raises DatasetError when none could be loaded, or when labelled patches are wanted and no case has a label.
    """

    def __init__(
        self,
        data: Sequence[Item],
        transform: Chain,
        slices: int = 8,
        stride: int = 1,
        only_labelled: Chosen = True,
        skip_ends: float = 0.0,
        augment: Compose | None = None,
        seed: int = 0,
        cache_gb: float = 8.0,
        cache_dir: str | Path | None = None,
        per_patch: PerPatch | None = None,
    ) -> None:
        check_windows(slices, stride, only_labelled, skip_ends)
        if not cache_gb >= 0:
            raise ConfigError(f"cache_gb must be 0 or more, got {cache_gb}")
        self.data, self.transform, self.augment, self.per_patch = data, transform, augment, per_patch
        self.slices, self.stride, self.only_labelled, self.skip_ends = slices, stride, only_labelled, skip_ends
        self.seed = seed
        self.cache_bytes = cache_gb * 1e9
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self.held_bytes = 0
        self.held = {"memory": 0, "disk": 0, "none": 0}
        self.refused: list[dict[str, str]] = []
        self.without_patches: list[str] = []
        self.stacks = self._load_all()
        self.index = [(stack, start) for stack in self.stacks for start in stack.starts]
        self.has_label = torch.tensor(
            [bool(stack.labelled[start : stack.stop(start, slices)].any()) for stack, start in self.index],
            dtype=torch.bool,
        )

    @property
    def storage(self) -> str:
        return next((kind for kind in ("none", "disk") if self.held[kind]), "memory")

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: int | tuple[int, int]) -> Item:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        stack, start = self.index[index]
        image, label = (repeat_last(part, self.slices) for part in stack.slices.read(*self._range(stack, start)))
        if self.augment is not None and self.augment.transforms:
            self.augment.set_random_state(seed=slice_seed(self.seed, epoch, index))
            image, label = augmented(self.augment, image, label)
        if self.per_patch is not None:
            image = torch.from_numpy(self.per_patch(image.numpy()))
        return {"image": image, "label": label, "case_id": stack.case_id, "start": start}

    def _range(self, stack: Stack, start: int) -> tuple[int, int]:
        return start, stack.stop(start, self.slices)

    def _load_all(self) -> list[Stack]:
        stacks: list[Stack] = []
        for item in bar(self.data, "loading volumes"):
            try:
                volume, place = self._volume(item)
                stacks += self._stack(item, volume, place)
            except ConfigError:
                raise
            except Exception as error:  # noqa: BLE001 - one case costs no other, whatever is wrong with it
                reason = f"its volume can't be loaded: {root_cause(error)}"
                log.warning("Left out: case %s, %s", item["case_id"], reason)
                self.refused.append({"case_id": item["case_id"], "reason": reason, "kind": "damaged"})
        self._tell(stacks)
        return stacks

    def _volume(self, item: Item) -> tuple[Volume, OnDisk | None]:
        """The item's volume, out of the cache's folder if it is there, and its place in that folder."""
        if self.cache_dir is None:
            return make_volume(item, self.transform), None
        place = place_on_disk(item, self.transform, self.cache_dir)
        try:
            return place.volume(), place
        except (OSError, ValueError):  # not there yet, or not whole
            volume = make_volume(item, self.transform)
            place.write(volume)
            return volume, place

    def _stack(self, item: Item, volume: Volume, place: OnDisk | None) -> list[Stack]:
        """The case with its patches; none if it has no patch."""
        blocks = blocks_of(len(volume.images), item.get("slices"))
        labelled = volume.labelled()
        starts = window_starts(labelled, blocks, self.slices, self.stride, self.only_labelled, self.skip_ends)
        if not starts:
            self.without_patches.append(item["case_id"])
            return []
        stack = Stack(item["case_id"], volume, blocks, starts, labelled)
        needed = volume.part(starts[0], max(stack.stop(start, self.slices) for start in starts))
        slices: Slices = needed
        if self.held_bytes + needed.nbytes <= self.cache_bytes:
            self.held_bytes += needed.nbytes
            self.held["memory"] += 1
        elif place is not None:
            slices = place
            self.held["disk"] += 1
        else:
            slices = Anew(item, self.transform)
            self.held["none"] += 1
        return [Stack(item["case_id"], slices, blocks, starts, labelled)]

    def _tell(self, stacks: list[Stack]) -> None:
        if self.data and not stacks and not self.without_patches:
            raise DatasetError("no volume could be loaded: " + "; ".join(entry["reason"] for entry in self.refused))
        if self.data and not stacks:
            raise DatasetError(
                f"none of the {len(self.without_patches)} cases gives a patch: no slice holds a tumour, so there is "
                "nothing to learn. See the labels of dataset.json, and --labels."
            )
        if self.without_patches:
            log.info("No tumour, no patch: %s", ", ".join(self.without_patches))
        log.info(
            "%d patches of %d cases; volumes in memory: %d (%.2f GB of at most %g), on disk: %d, made anew: %d",
            sum(len(stack.starts) for stack in stacks), len(stacks), self.held["memory"], self.held_bytes / 1e9,
            self.cache_bytes / 1e9, self.held["disk"], self.held["none"],
        )  # fmt: skip
        if self.held["none"]:
            log.warning("Volumes that are made anew for each patch are slow: raise --cache_gb or give --cache_dir")


class PatchSampler(DistributedSampler):
    """Which patches an epoch shows, as (epoch, index), in an order seeded from (seed, epoch).

    All, or `per_epoch` of them: drawn anew each epoch; with `shuffle` false always the same, evenly spread, in order.
    Several processes share the patches out; with `shuffle` they are filled up, so that all take the same number of
    steps. MONAI's engines call set_epoch. Raises DatasetError when there is nothing to draw.
    """

    def __init__(
        self, dataset: PatchDataset, per_epoch: int | None = None, shuffle: bool = True, seed: int = 0
    ) -> None:
        if per_epoch is not None and per_epoch < 1:
            raise ConfigError(f"per_epoch must be 1 or more, or null for all patches, got {per_epoch}")
        several = dist.is_available() and dist.is_initialized()
        world, rank = (dist.get_world_size(), dist.get_rank()) if several else (1, 0)
        super().__init__(dataset, num_replicas=world, rank=rank, shuffle=shuffle, seed=seed)
        self.count = len(dataset) if per_epoch is None else min(per_epoch, len(dataset))
        self.patches = len(dataset)
        if shuffle and not self.patches:
            raise DatasetError("there is no patch to train on")

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter([(self.epoch, index) for index in self.indices()[self.rank :: self.num_replicas]])

    def __len__(self) -> int:
        return len(range(self.rank, self._total(), self.num_replicas))

    def indices(self) -> list[int]:
        """The epoch's patches of all processes together."""
        if not self.shuffle:
            return [place * self.patches // self.count for place in range(self.count)]
        random = np.random.default_rng([self.seed, self.epoch])
        order = random.permutation(self.patches)[: self.count].tolist()
        return (order * self.num_replicas)[: self._total()]

    def _total(self) -> int:
        return -(-self.count // self.num_replicas) * self.num_replicas if self.shuffle else self.count


def per_patch(intensity: str) -> PerPatch | None:
    """What is done to each patch after augmentation: for "stretch" the division by its own maximum, as the authors'
    code does; nothing for "window". At prediction the same is the inferer's `prepare`."""
    return per_window_maximum if intensity == "stretch" else None


def repeat_last(patch: Tensor, slices: int) -> Tensor:
    """(C, H, W, D) with its last slice repeated up to `slices`."""
    missing = slices - patch.shape[-1]
    return torch.cat([patch, patch[..., -1:].expand(*patch.shape[:-1], missing)], dim=-1) if missing > 0 else patch


def augmented(augment: Compose, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """The changed patch; as it was if the change would leave none of its label."""
    changed = augment({"image": image, "label": label})
    image_after, label_after = plain(changed["image"]), plain(changed["label"])
    if bool(label.any()) and not bool(label_after.any()):
        return image, label
    return image_after, label_after
