"""Slices out of volumes: each volume is loaded and resized once, then served slice by slice from memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from monai.data import MetaTensor
from monai.transforms import Compose
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from data_prep.progress import bar
from lungseg_monai.errors import ConfigError, DatasetError, LungsegError

Item = dict[str, Any]
log = getLogger(__name__)


@dataclass(frozen=True)
class Volume:
    """images (K, 1, H, W) float32, labels (K, T, H, W) uint8."""

    case_id: str
    images: Tensor
    labels: Tensor

    @property
    def nbytes(self) -> int:
        return self.images.nbytes + self.labels.nbytes


class SliceDataset(Dataset):
    """Slices of the cases in `data` (items of data.py): {"image" (1, H, W), "label" (T, H, W), float32; "case_id"}.

    `transform` makes a volume of an item (chains.labelled_volume); `augment` changes a slice, seeded from
    (seed, epoch, index), so that worker processes, their number and a resume make no difference. The epoch comes with
    the index, as SliceSampler gives it: dataset[epoch, index]; a plain index is epoch 0.
    A case that can't be loaded is left out and stands in `refused`. Raises ConfigError when the volumes need more than
    `cache_gb`, DatasetError when there are cases but none could be loaded.
    """

    def __init__(
        self,
        data: Sequence[Item],
        transform: Callable[[Item], Mapping[str, Any]],
        augment: Compose | None = None,
        seed: int = 0,
        cache_gb: float = 8.0,
    ) -> None:
        self.data = data
        self.transform = transform
        self.augment = augment
        self.seed = seed
        self.refused: list[dict[str, str]] = []
        self.volumes = self._load_all(cache_gb)
        self.index = [(volume, k) for volume in self.volumes for k in range(len(volume.images))]
        # (N,) bool: which slices hold a label
        self.has_label = torch.cat([v.labels.flatten(1).any(dim=1) for v in self.volumes] or [torch.zeros(0)]).bool()

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: int | tuple[int, int]) -> Item:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        volume, k = self.index[index]
        image, label = volume.images[k], volume.labels[k].float()
        if self.augment is not None and self.augment.transforms:
            self.augment.set_random_state(seed=slice_seed(self.seed, epoch, index))
            changed: Any = self.augment({"image": image, "label": label})
            image, label = plain(changed["image"]), plain(changed["label"])
        return {"image": image, "label": label, "case_id": volume.case_id}

    @property
    def masks(self) -> list[Tensor]:
        """(K, T, H, W) uint8 of each volume."""
        return [volume.labels for volume in self.volumes]

    def _load_all(self, cache_gb: float) -> list[Volume]:
        volumes: list[Volume] = []
        for item in bar(self.data, "loading volumes"):
            try:
                volume = load_volume(item, self.transform)
            except Exception as error:  # noqa: BLE001 - one case costs no other, whatever is wrong with it
                reason = f"its volume can't be loaded: {reason_of(error)}"
                log.warning("Left out: case %s, %s", item["case_id"], reason)
                self.refused.append({"case_id": item["case_id"], "reason": reason, "kind": "damaged"})
                continue
            if not volumes:
                check_memory(volume, self.data, cache_gb)
            volumes.append(volume)
        if self.data and not volumes:
            told = [f"case {entry['case_id']}, {entry['reason']}" for entry in self.refused[:3]]
            more = f"; and {len(self.refused) - 3} more" if len(self.refused) > 3 else ""
            raise DatasetError(f"no volume could be loaded: {'; '.join(told)}{more}")
        return volumes


class SliceSampler(DistributedSampler):
    """Which slices an epoch shows, as (epoch, index), in an order seeded from (seed, epoch).

    All slices with label, and the share `empty_share` of those without, drawn anew each epoch. With `shuffle` false
    the slices come in order. Several processes share the slices out; for training they are filled up, so that all take
    the same number of steps. MONAI's engines call set_epoch. Raises DatasetError when there is nothing to draw.
    """

    def __init__(self, dataset: SliceDataset, empty_share: float = 1.0, shuffle: bool = True, seed: int = 0) -> None:
        several = dist.is_available() and dist.is_initialized()
        world, rank = (dist.get_world_size(), dist.get_rank()) if several else (1, 0)
        super().__init__(dataset, num_replicas=world, rank=rank, shuffle=shuffle, seed=seed)
        self.with_label = dataset.has_label.nonzero().flatten().tolist()
        self.without_label = (~dataset.has_label).nonzero().flatten().tolist()
        self.empty_count = round(empty_share * len(self.without_label))
        if shuffle:
            check_classes(dataset.masks)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter([(self.epoch, index) for index in self.indices()[self.rank :: self.num_replicas]])

    def __len__(self) -> int:
        return len(range(self.rank, self._total(), self.num_replicas))

    def indices(self) -> list[int]:
        """The epoch's slices of all processes together."""
        random = np.random.default_rng([self.seed, self.epoch])
        empty = random.permutation(self.without_label)[: self.empty_count].tolist()
        chosen = sorted([*self.with_label, *empty])
        if not self.shuffle:
            return chosen
        order = [chosen[place] for place in random.permutation(len(chosen))]
        return (order * self.num_replicas)[: self._total()]

    def _total(self) -> int:
        count = len(self.with_label) + self.empty_count
        return -(-count // self.num_replicas) * self.num_replicas if self.shuffle else count


def load_volume(item: Item, transform: Callable[[Item], Mapping[str, Any]]) -> Volume:
    """Run the chain on an item and turn its volume into slices."""
    loaded = transform(item)
    slices = [plain(loaded[key]).permute(3, 0, 1, 2).contiguous() for key in ("image", "label")]
    return Volume(item["case_id"], slices[0].float(), slices[1].to(torch.uint8))


def plain(tensor: Tensor) -> Tensor:
    """A MetaTensor without its metadata: quicker, and the same in worker processes."""
    return tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor


def check_memory(first: Volume, data: Sequence[Item], cache_gb: float) -> None:
    """Say what all volumes will take, judged by the first. Raises ConfigError when that is more than `cache_gb`."""
    gigabytes = first.nbytes / len(first.images) * sum(item["slice_count"] for item in data) / 1e9
    log.info("Holding %d volumes in memory: %.2f GB", len(data), gigabytes)
    if gigabytes > cache_gb:
        raise ConfigError(
            f"the slices of {len(data)} volumes need {gigabytes:.1f} GB of memory, cache_gb allows {cache_gb:g}. "
            "Take a smaller --spatial_size or fewer cases, or raise --cache_gb if the machine has the memory."
        )


def check_classes(masks: Sequence[Tensor]) -> None:
    """Raise DatasetError for a target that is nowhere in the masks (K, T, H, W), or everywhere: nothing to learn."""
    if not any(mask.any() for mask in masks):
        raise DatasetError("no slice of the training cases holds a label: there is nothing to learn")
    targets = masks[0].shape[1]
    for target in range(targets):
        own = [mask[:, target] for mask in masks]
        which = f"target {target + 1} of the {targets} in --labels" if targets > 1 else "what is to be learnt"
        if not any(mask.any() for mask in own):
            raise DatasetError(f"{which} is in no training slice: check its masks, or leave it out of --labels")
        if all(mask.all() for mask in own):
            raise DatasetError(f"{which} fills every training slice: are its masks turned inside out?")


def slice_seed(seed: int, epoch: int, index: int) -> int:
    """One number out of three, well mixed."""
    return int(np.random.SeedSequence([seed, epoch, index]).generate_state(1)[0])


def reason_of(error: BaseException) -> str:
    """What our own error says that MONAI hides behind "applying transform ...", or what is behind all."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, LungsegError):
            return str(inner)
        inner = inner.__cause__
    return root_cause(error)


def root_cause(error: BaseException) -> str:
    """What MONAI's transforms hide behind 'applying transform ...'."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"
