"""Losses that MONAI does not have in one piece."""

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn


class BCEDiceLoss(nn.Module):
    """alpha * binary cross-entropy + (1 - alpha) * soft Dice loss, each over all pixels of the batch.

    Gao, section 2.4.2. Takes logits (B, C, ...) and targets in [0, 1] of the same shape; returns a scalar in float32.
    With several channels the Dice term is the mean over the channels. `epsilon` stands in numerator and denominator, so
    that an empty mask predicted empty costs nothing; the paper only calls it small.
    Raises ValueError unless 0 <= alpha <= 1 and epsilon > 0.
    """

    def __init__(self, alpha: float = 0.5, epsilon: float = 1e-6) -> None:
        super().__init__()
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha weighs cross-entropy against Dice and must lie in 0 ... 1, got {alpha}")
        if not epsilon > 0:
            raise ValueError(f"epsilon must be positive, got {epsilon}")
        self.alpha = alpha
        self.cross_entropy = nn.BCEWithLogitsLoss()
        self.dice = DiceLoss(sigmoid=True, batch=True, smooth_nr=epsilon, smooth_dr=epsilon)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits, target = logits.float(), target.float()  # under autocast the sums need float32
        return self.alpha * self.cross_entropy(logits, target) + (1 - self.alpha) * self.dice(logits, target)


class ClassLoss(nn.Module):
    """Cross-entropy of classes that exclude one another: what is no target, and each target (Kuppili, section 3).

    Takes logits (B, 1 + T, ...) and the targets' masks (B, T, ...) of 0 and 1; where masks overlap the first counts.
    Returns a scalar in float32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cross_entropy = nn.CrossEntropyLoss()

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        none = 1 - target.amax(dim=1, keepdim=True)
        return self.cross_entropy(logits.float(), torch.cat([none, target], dim=1).argmax(dim=1))
