"""The test pictures of PREPARED (`lungseg-prep cxr`, `lungseg-prep split`) with their masks."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungseg_monai.pictures.files import read_masks, read_picture
from lungseg_monai.pictures.grey import Picture, grey
from lungseg_monai.pictures.pieces import largest
from lungseg_monai.pictures.sides import Labels, tell_sides


@dataclass(frozen=True)
class Case:
    case_id: str
    image: Path
    masks: tuple[Path, ...]

    def read(self) -> tuple[Picture, Labels]:
        """Grey values (H, W) in 0 ... 1 and labels: right and left told apart by place, as neither mask says."""
        picture = np.clip(grey(read_picture(self.image)), 0, 1)
        mask = read_masks(self.masks, (picture.shape[0], picture.shape[1])) > 0
        labels = tell_sides(largest(mask, 2, 0.02), False).labels
        return picture, labels if labels.shape == mask.shape else np.zeros(mask.shape, np.uint8)


def cases_of(data: Path, group: str = "test", most: int | None = None) -> list[Case]:
    """The list `group` of data/datalist.json; `most` of them, evenly spread."""
    content: dict[str, Any] = json.loads((data / "datalist.json").read_text(encoding="utf-8"))
    entries = content[group]
    if most and most < len(entries):
        entries = [entries[at] for at in np.linspace(0, len(entries) - 1, most).astype(int)]
    return [Case(one["case_id"], data / one["image"], tuple(data / mask for mask in one["label"])) for one in entries]
