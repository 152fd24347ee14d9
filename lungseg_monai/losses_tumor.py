"""The losses of Kamal et al., Table 5, by name, all on logits: from MONAI where it has them."""

from collections.abc import Callable
from typing import Any

from monai.losses import DiceLoss, FocalLoss, TverskyLoss
from torch import Tensor, nn

from lungseg_monai.bundle_command import did_you_mean
from lungseg_monai.errors import ConfigError
from lungseg_monai.losses import BCEDiceLoss

Make = Callable[..., nn.Module]


def _tversky(alpha: float, **kw: Any) -> nn.Module:
    return TverskyLoss(**{"sigmoid": True, "batch": True, "alpha": alpha, "beta": 1 - alpha, **kw})


def _overlap(alpha: float, **kw: Any) -> nn.Module:
    return DiceLoss(**{"sigmoid": True, "batch": True, **kw})


LOSSES: dict[str, Make] = {
    "bce": lambda alpha, **kw: nn.BCEWithLogitsLoss(**kw),
    "tversky": _tversky,
    "focal": lambda alpha, **kw: FocalLoss(**{"gamma": 2.0, **kw}),
    "iou": lambda alpha, **kw: _overlap(alpha, jaccard=True, **kw),
    "dice": _overlap,
    "bce_dice": lambda alpha, **kw: BCEDiceLoss(alpha=alpha, **kw),
}


class TumorLoss(nn.Module):
    """The loss `name` of logits (B, C, ...) and a target in [0, 1] of the same shape: a scalar in float32.

    `bce`: binary cross-entropy, the paper's. `tversky`: `alpha` weighs false positives and 1 - alpha false negatives,
    as in MONAI: Table 5's false positives fall as alpha rises; 0.5 is the Dice loss. `dice`: that, under its name.
    `iou`: soft Jaccard. `focal`: Lin et al. 2017, gamma 2 and no class weight. `bce_dice`: alpha * BCE + (1 - alpha) *
    Dice (not in the paper). The sums of tversky, dice and iou run over the whole batch, so that a window with little
    tumour makes no term of its own. `kw` goes to MONAI's or PyTorch's class.

    Differs from the paper, which gives no formula: focal's gamma is that of Lin et al., smoothing that of MONAI, and
    beta is 1 - alpha (Table 5 calls alpha 0.5 the Dice loss, which fits).
    Raises ConfigError for another name or an alpha outside of 0 to 1.
    """

    def __init__(self, name: str = "bce", alpha: float = 0.5, **kw: Any) -> None:
        super().__init__()
        if name not in LOSSES:
            raise ConfigError(
                f"there is no loss {name!r}; there are: {', '.join(LOSSES)}.{did_you_mean(str(name), LOSSES)}"
            )
        if not 0 <= alpha <= 1:
            raise ConfigError(f"alpha must be a number from 0 to 1, got {alpha!r}")
        self.name = name
        self.loss = LOSSES[name](alpha, **kw)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.loss(logits.float(), target.float())  # under autocast the sums need float32


def tumor_loss(name: str = "bce", alpha: float = 0.5, **kw: Any) -> TumorLoss:
    """The loss `name` of Table 5; see TumorLoss."""
    return TumorLoss(name, alpha, **kw)
