"""Radiographs held in memory, prepared once and changed at random each epoch: what slices.py is for CT."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose
from numpy.typing import NDArray
from torch.utils.data import Dataset

from data_prep.progress import bar
from lungseg_monai.errors import ConfigError, DatasetError
from lungseg_monai.slices import SliceSampler, plain, reason_of, slice_seed

Item = dict[str, Any]
STEPS_OF_GREY = 65535  # pictures are held in 16 bits
log = getLogger(__name__)


@dataclass(frozen=True)
class Radiograph:
    """image (1, H, W) uint16, 65535 for 1; label (T, H, W) uint8."""

    case_id: str
    image: NDArray[np.uint16]
    label: NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        return self.image.nbytes + self.label.nbytes


class RadiographDataset(Dataset):
    """Radiographs of `data` (items of data.py): {"image" (1, H, W) in 0 ... 1, "label" (T, H, W), "case_id"}, float32.

    `transform` (radiograph_chains.labelled_radiograph) loads an item once; its image is held in 16 bits. `augment`
    changes it, seeded from (seed, epoch, index), so that worker processes, their number and a resume make no
    difference; `finish` (radiograph_finish) is the rest of pre-processing. The epoch comes with the index, as
    RadiographSampler gives it: dataset[epoch, index]; a plain index is epoch 0.
    A case that can't be loaded is left out and stands in `refused`. Raises ConfigError when the pictures need more than
    `cache_gb`, DatasetError when there are cases but none could be loaded.
    """

    def __init__(
        self,
        data: Sequence[Item],
        transform: Callable[[Item], Mapping[str, Any]],
        augment: Compose | None = None,
        finish: Compose | None = None,
        seed: int = 0,
        cache_gb: float = 8.0,
    ) -> None:
        self.transform = transform
        self.augment = augment
        self.finish = finish
        self.seed = seed
        self.refused: list[dict[str, str]] = []
        self.radiographs = self._load_all(data, cache_gb)
        # (N,) bool, for the sampler: which pictures hold a label
        self.has_label = torch.tensor([bool(one.label.any()) for one in self.radiographs], dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.radiographs)

    def __getitem__(self, key: int | tuple[int, int]) -> Item:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        held = self.radiographs[index]
        item: Any = {
            "image": torch.from_numpy(held.image.astype(np.float32) / np.float32(STEPS_OF_GREY)),
            "label": torch.from_numpy(held.label.astype(np.float32)),
        }
        if self.augment is not None and self.augment.transforms:
            self.augment.set_random_state(seed=slice_seed(self.seed, epoch, index))
            item = self.augment(item)
        if self.finish is not None and self.finish.transforms:
            item = self.finish(item)
        return {"image": plain(item["image"]), "label": plain(item["label"]), "case_id": held.case_id}

    @property
    def masks(self) -> list[torch.Tensor]:
        """(1, T, H, W) uint8 of each picture."""
        return [torch.from_numpy(one.label)[None] for one in self.radiographs]

    def _load_all(self, data: Sequence[Item], cache_gb: float) -> list[Radiograph]:
        radiographs: list[Radiograph] = []
        for item in bar(data, "loading radiographs"):
            try:
                one = load_radiograph(item, self.transform)
            except Exception as error:  # noqa: BLE001 - one case costs no other, whatever is wrong with it
                reason = f"its radiograph can't be loaded: {reason_of(error)}"
                log.warning("Left out: case %s, %s", item["case_id"], reason)
                self.refused.append({"case_id": item["case_id"], "reason": reason, "kind": "damaged"})
                continue
            if not radiographs:
                check_memory(one.nbytes, len(data), cache_gb)
            radiographs.append(one)
        if data and not radiographs:
            raise DatasetError("no radiograph could be loaded: " + "; ".join(entry["reason"] for entry in self.refused))
        return radiographs


class RadiographSampler(SliceSampler):
    """Which radiographs an epoch shows, as (epoch, index): all of them, in an order seeded from (seed, epoch)."""

    def __init__(self, dataset: RadiographDataset, shuffle: bool = True, seed: int = 0) -> None:
        super().__init__(dataset, 1.0, shuffle, seed)  # type: ignore[arg-type]  # it asks for has_label and masks alone


def load_radiograph(item: Item, transform: Callable[[Item], Mapping[str, Any]]) -> Radiograph:
    """Run the chain on an item. Raises ValueError when the image that it makes does not lie in 0 ... 1."""
    loaded = transform(item)
    image, label = np.asarray(loaded["image"]), np.asarray(loaded["label"])
    if not (image.min() >= 0 and image.max() <= 1 + 1e-4):  # not so for NaN either
        raise ValueError(
            f"its image has values from {image.min():.4g} to {image.max():.4g} before augmentation; wanted 0 to 1"
        )
    held = np.rint(np.minimum(image, 1) * STEPS_OF_GREY).astype(np.uint16)
    return Radiograph(item["case_id"], held, label.astype(np.uint8))


def check_memory(nbytes: int, count: int, cache_gb: float) -> None:
    """Say what all pictures will take, judged by one. Raises ConfigError when that is more than `cache_gb`."""
    gigabytes = nbytes * count / 1e9
    log.info("Holding %d radiographs in memory: %.2f GB", count, gigabytes)
    if gigabytes > cache_gb:
        raise ConfigError(
            f"{count} radiographs need {gigabytes:.1f} GB of memory, cache_gb allows {cache_gb:g}. Take a smaller "
            "--spatial_size or fewer cases, or raise --cache_gb if the machine has the memory."
        )
