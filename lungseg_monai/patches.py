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

from data_prep.errors import OutputError
from data_prep.progress import bar
from lungseg_monai.errors import ConfigError, DatasetError
from lungseg_monai.patch_windows import Block, Chosen, blocks_of, check_windows, window_starts, window_stop
from lungseg_monai.slices import root_cause, slice_seed
from lungseg_monai.volume_cache import Chain, Item, Slices, VolumeKeeper, plain
from lungseg_monai.window_stream import per_window_maximum

PerPatch = Callable[[np.ndarray], np.ndarray]
log = getLogger(__name__)


@dataclass(frozen=True)
class Stack:
    """One case: where its slices are read, their blocks of neighbours, where its patches start, what is labelled."""

    case_id: str
    slices: Slices
    blocks: list[Block]
    starts: list[int]
    labelled: np.ndarray  # (K,) bool


class PatchDataset(Dataset):
    """Patches of `slices` consecutive slices: {"image" (1, H, W, D), "label" (T, H, W, D), "case_id", "start"}.

    data: items of data.py. transform: makes a volume of one (tumor_chains.tumor_volume); image and label are float32.
    Which windows become patches: patch_windows.window_starts; `start` counts the slices that the item takes. A case,
    or a block of a split within one patient, with fewer slices than a patch gives one patch: its last slice is
    repeated, and that one's label. `augment` changes a patch, seeded from (seed, epoch, index), so that workers and
    resuming make no difference; a change that moves the whole label out of the picture is not made. `per_patch` (the
    function below) comes last. The epoch comes with the index, as PatchSampler gives it: dataset[epoch, index].

    No more than `cache_gb` of volumes are held in memory (only the slices that patches need; the volume in work comes
    on top); the others are read from `cache_dir`, or, without it, made anew for each patch: volume_cache.VolumeKeeper.
    `storage` is "memory", "disk" or "none", the slowest in use; `held` counts each; `held_gb` says what memory holds.
    has_label (N,) bool: which patches hold a label. `refused`: cases that can't be loaded, left out, with the reason.
    `without_patches`: cases that give no patch. Raises DatasetError when no case could be loaded, or when labelled
    patches are wanted and there is no label; ConfigError for numbers that make no sense.
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
        self.data = data
        self.slices = slices
        self.window_options = (slices, stride, only_labelled, skip_ends)
        self.augment, self.seed, self.per_patch = augment, seed, per_patch
        self.keeper = VolumeKeeper(transform, cache_gb, cache_dir)
        self.refused: list[dict[str, str]] = []
        self.without_patches: list[str] = []
        self.stacks = self._load_all()
        self.index = [(stack, start) for stack in self.stacks for start in stack.starts]
        self.has_label = torch.tensor([stack.labelled[slice(*self._range(stack, start))].any()
                                       for stack, start in self.index], dtype=torch.bool)  # fmt: skip

    @property
    def storage(self) -> str:
        return self.keeper.storage

    @property
    def held(self) -> dict[str, int]:
        return dict(self.keeper.held)

    @property
    def held_gb(self) -> float:
        return self.keeper.held_bytes / 1e9

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
        return start, window_stop(stack.blocks, start, self.slices)

    def _load_all(self) -> list[Stack]:
        stacks: list[Stack] = []
        for item in bar(self.data, "loading volumes"):
            try:
                stack = self._stack(item)
            except (ConfigError, OutputError):
                raise
            except Exception as error:  # noqa: BLE001 - one case costs no other, whatever is wrong with it
                reason = f"its volume can't be loaded: {root_cause(error)}"
                log.warning("Left out: case %s, %s", item["case_id"], reason)
                self.refused.append({"case_id": item["case_id"], "reason": reason, "kind": "damaged"})
                continue
            stacks += [stack] if stack.starts else []
            self.without_patches += [] if stack.starts else [stack.case_id]
        self._tell(stacks)
        return stacks

    def _stack(self, item: Item) -> Stack:
        volume, place = self.keeper.volume(item)
        blocks, labelled = blocks_of(len(volume.images), item.get("slices")), volume.labelled()
        starts = window_starts(labelled, blocks, *self.window_options)
        slices: Slices = volume
        if starts:
            needed = volume.part(starts[0], max(window_stop(blocks, start, self.slices) for start in starts))
            slices = self.keeper.keep(item, needed, place)
        return Stack(item["case_id"], slices, blocks, starts, labelled)

    def _tell(self, stacks: list[Stack]) -> None:
        if not self.data:
            return
        if not stacks and not self.without_patches:
            raise DatasetError("no volume could be loaded: " + "; ".join(entry["reason"] for entry in self.refused))
        if not stacks:
            raise DatasetError(
                f"none of {len(self.without_patches)} cases gives a patch: no slice that is used holds a tumour, so "
                "there is nothing to learn. See the labels of the ROIs in dataset.json, and --labels."
            )
        if self.without_patches:
            log.info("No labelled slice, no patch: %s", ", ".join(self.without_patches))
        log.info("%d patches of %d cases; %s", sum(len(s.starts) for s in stacks), len(stacks), self.keeper)
        if self.storage == "none":
            log.warning("Volumes that are made anew for each patch are slow: raise --cache_gb or give --cache_dir")


class PatchSampler(DistributedSampler):
    """Which patches an epoch shows, as (epoch, index), in an order seeded from (seed, epoch).

    All, or `per_epoch` of them: drawn anew each epoch; with `shuffle` false always the same, evenly spread, in order.
    `empty_share`: as many of the drawn as this share hold no label, as far as there are such (0 to below
    1; None: patches come as they are in the dataset).
    Several processes share the patches out; with `shuffle` they are filled up, so that all take the same number of
    steps. MONAI's engines call set_epoch. Raises DatasetError when there is nothing to draw.
    """

    def __init__(
        self,
        dataset: PatchDataset,
        per_epoch: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        empty_share: float | None = None,
    ) -> None:
        if per_epoch is not None and per_epoch < 1:
            raise ConfigError(f"per_epoch must be 1 or more, or null for all patches, got {per_epoch}")
        several = dist.is_available() and dist.is_initialized()
        world, rank = (dist.get_world_size(), dist.get_rank()) if several else (1, 0)
        super().__init__(dataset, num_replicas=world, rank=rank, shuffle=shuffle, seed=seed)
        self.patches = len(dataset)
        everything = np.arange(self.patches)
        self.groups = [(everything, self.patches if per_epoch is None else min(per_epoch, self.patches))]
        if shuffle and not self.patches:
            raise DatasetError("there is no patch to train on")
        if empty_share is not None:
            self.groups = groups_of(dataset.has_label, per_epoch, empty_share)
        self.count = sum(count for _, count in self.groups)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter([(self.epoch, index) for index in self.indices()[self.rank :: self.num_replicas]])

    def __len__(self) -> int:
        return len(range(self.rank, self._total(), self.num_replicas))

    def indices(self) -> list[int]:
        """The epoch's patches of all processes together."""
        if not self.shuffle:
            return [place * self.patches // self.count for place in range(self.count)]
        random = np.random.default_rng([self.seed, self.epoch])
        drawn = [group[random.permutation(len(group))[:count]] for group, count in self.groups]
        mixed = random.permutation(np.concatenate(drawn)) if len(drawn) > 1 else drawn[0]
        order: list[int] = mixed.tolist()
        return (order * self.num_replicas)[: self._total()]

    def _total(self) -> int:
        return -(-self.count // self.num_replicas) * self.num_replicas if self.shuffle else self.count


def groups_of(has_label: Tensor, per_epoch: int | None, empty_share: float) -> list[tuple[np.ndarray, int]]:
    """Patches with a label and patches without, and how many of each an epoch draws.

    Without `per_epoch` all those with a label. Raises DatasetError where no patch holds a label, ConfigError for a
    share that leaves no room for them.
    """
    if not 0 <= empty_share < 1:
        raise ConfigError(f"empty_share must be from 0 to below 1, got {empty_share}")
    labelled, empty = has_label.nonzero().flatten().numpy(), (~has_label).nonzero().flatten().numpy()
    if not len(labelled):
        raise DatasetError(
            "no patch of the training cases holds a tumour, so there is nothing to learn. See the labels of the ROIs "
            "in dataset.json, and --labels."
        )
    wanted = len(labelled) / (1 - empty_share) if per_epoch is None else per_epoch
    without = min(round(wanted * empty_share), len(empty))
    return [(labelled, max(1, min(round(wanted) - without, len(labelled)))), (empty, without)]


def per_patch(intensity: str) -> PerPatch | None:
    """What is done to each patch after augmentation: for "stretch" the division by its own maximum, as the authors'
    code does; nothing for "window". At prediction the same is the inferer's `prepare_window`."""
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
