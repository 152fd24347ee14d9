"""What the lung network learns by: cross-entropy that weighs air and borders more, and soft Dice of each lung."""

from collections.abc import Mapping
from typing import Any

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, max_pool3d


class WeighVoxels:
    """A `prepare_batch` for MONAI's engines: the label gets a second channel, how much each voxel counts.

    `air_weight` for air inside the body that is not lung (windpipe, bowel gas), `border_weight` for voxels within
    `border_voxels` of where the label changes, on both sides of it (weighing one side alone makes masks too small or
    too large), 1 elsewhere. `air` and `tissue` are values of the scaled image: below the first is air, above the
    second tissue; by default -400 and -300 HU in the window of -1024 to 600.
    """

    def __init__(
        self,
        air_weight: float = 4.5,
        border_weight: float = 3.0,
        border_voxels: int = 2,
        air: float = 0.0,
        tissue: float = 1 / 6,
    ) -> None:
        self.air_weight, self.border_weight, self.border_voxels = air_weight, border_weight, border_voxels
        self.air, self.tissue = air, tissue

    def __call__(
        self, batch: Mapping[str, Tensor], device: Any = None, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """image (B, 1, I, J, K) and [label, weight] (B, 2, I, J, K), both float32 on `device`."""
        image = batch["image"].to(device=device, non_blocking=non_blocking)
        label = batch["label"].to(device=device, non_blocking=non_blocking).float()
        known = batch.get("weight")
        weight = self.weights(image, label) if known is None else known.to(device=device, non_blocking=non_blocking)
        return image, torch.cat([label, weight.float()], dim=1)

    def weights(self, image: Tensor, label: Tensor) -> Tensor:
        """(B, 1, I, J, K) float32 of an image and a label of that shape."""
        weight = torch.where(near_change(label, self.border_voxels), self.border_weight, 1.0)
        air = (image < self.air) & (label == 0) & surrounded(image > self.tissue)
        return torch.where(air, weight.clamp(min=self.air_weight), weight)


class LungLoss(nn.Module):
    """Weighted cross-entropy + `dice_share` * soft Dice loss, the mean of the lungs.

    Takes logits (B, 3, I, J, K) and the label (B, 1 or 2, I, J, K): class 0, 1 or 2 and, if there, WeighVoxels'
    weights; returns a scalar in float32. `smooth` voxels stand in numerator and denominator of Dice, so that a lung
    that is not there costs nothing where nothing is predicted, and something where something is.
    """

    def __init__(self, dice_share: float = 1.0, smooth: float = 100.0) -> None:
        super().__init__()
        self.dice_share = dice_share
        self.dice = DiceLoss(include_background=False, to_onehot_y=True, smooth_nr=smooth, smooth_dr=smooth)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits, label = logits.float(), target[:, :1]  # under autocast the sums need float32
        loss = cross_entropy(logits, label[:, 0].long(), reduction="none")
        if target.shape[1] > 1:
            weight = target[:, 1]
            loss = (loss * weight).sum() / weight.sum()
        return loss.mean() + self.dice_share * self.dice(logits.softmax(dim=1), label)


def near_change(label: Tensor, voxels: int) -> Tensor:
    """Where some label within a cube of `voxels` to each side is another one. (B, 1, I, J, K), bool."""
    if voxels < 1:
        return torch.zeros_like(label, dtype=torch.bool)
    highest, lowest = label, -label
    for axis in range(3):  # three passes along lines are a cube, and far cheaper
        size, pad = [1, 1, 1], [0, 0, 0]
        size[axis], pad[axis] = 2 * voxels + 1, voxels
        highest = max_pool3d(highest, size, 1, pad)
        lowest = max_pool3d(lowest, size, 1, pad)
    return highest != -lowest


def surrounded(tissue: Tensor) -> Tensor:
    """Where there is tissue on both sides along i and along j: roughly the inside of the body. bool in and out."""
    inside = torch.ones_like(tissue)
    for axis in (2, 3):
        before = tissue.to(torch.float32).cumsum(axis)
        inside &= (before > 0) & (before < before.narrow(axis, tissue.shape[axis] - 1, 1))
    return inside
