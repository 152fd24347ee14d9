"""What the radiograph bundles' configs need besides MONAI's pieces: scores of pictures, and the optimiser by name."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from lungseg_monai.errors import ConfigError
from lungseg_monai.training.processes import gather

OPTIMIZERS = ("adam", "sgd")
MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4  # of SGD: Kuppili, section 3


class PictureScores:
    """Puts the epoch's scores into engine.state.metrics, from logits (B, C, H, W) and the label (B, 1, H, W).

    C is 1 (lung above 0) or 2 (lung where the second is the larger). dice, iou: means over pictures; accuracy: of all
    pixels; on the network's grid. A picture without lung, predicted so, counts 1.
    """

    def __init__(self) -> None:
        self.rows: list[Tensor] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self.add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        self.rows = []

    def add(self, engine: Engine) -> None:
        output: Any = engine.state.output
        found = lung_of(output["pred"].detach()).flatten(1)
        wanted = output["label"].flatten(1) > 0.5
        sums = [(found & wanted).sum(1), found.sum(1), wanted.sum(1), (found == wanted).sum(1)]
        self.rows.append(torch.stack([*sums, torch.full_like(sums[0], found.shape[1])], dim=1).double().cpu())

    def finish(self, engine: Engine) -> None:
        rows = [row for part in gather(self.rows) for row in part]
        engine.state.metrics.update(picture_means(torch.cat(rows) if rows else torch.zeros(0, 5).double()))


def lung_of(logits: Tensor) -> Tensor:
    """bool (B, 1, ...) of logits (B, 1 or 2, ...). Raises ConfigError for more channels."""
    if logits.shape[1] == 1:
        return logits > 0
    if logits.shape[1] == 2:
        return logits[:, 1:] > logits[:, :1]
    raise ConfigError(f"the network gives {logits.shape[1]} channels; wanted 1, or 2 for two classes")


def picture_means(table: Tensor) -> dict[str, float]:
    """dice, iou, accuracy of rows [both, found, wanted, the same, pixels], a picture each; not a number without any."""
    both, sizes = table[:, 0], table[:, 1] + table[:, 2]
    dice = torch.where(sizes > 0, 2 * both / sizes.clamp(min=1), 1.0)
    iou = torch.where(sizes > 0, both / (sizes - both).clamp(min=1), 1.0)
    return {
        "dice": float(dice.mean()),
        "iou": float(iou.mean()),
        "accuracy": float(table[:, 3].sum() / table[:, 4].sum()),
    }


class TwoClassLoss(nn.Module):
    """Cross-entropy of two classes: logits (B, 2, ...), target (B, 1, ...) of 0 and 1 (Kuppili, section 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.cross_entropy = nn.CrossEntropyLoss()

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.cross_entropy(logits.float(), target[:, 0].long())


def picture_loss(name: str, alpha: float = 0.5) -> nn.Module:
    """bce (the chest X-ray paper), bce_dice (Gao's, weighed by alpha), cross_entropy (Kuppili). Raises ConfigError."""
    from lungseg_monai.losses import BCEDiceLoss

    losses: Mapping[str, Any] = {
        "bce": nn.BCEWithLogitsLoss,
        "bce_dice": lambda: BCEDiceLoss(alpha),
        "cross_entropy": TwoClassLoss,
    }
    if name not in losses:
        raise ConfigError(f"there is no loss {name!r}; there are: {', '.join(losses)}")
    return losses[name]()


def picture_optimizer(name: str, parameters: Iterable[nn.Parameter], learning_rate: float) -> Optimizer:
    """adam, or sgd with momentum 0.9 and weight decay 1e-4 (Kuppili, section 3). Raises ConfigError for others."""
    if name not in OPTIMIZERS:
        raise ConfigError(f"there is no optimizer {name!r}; there are: {', '.join(OPTIMIZERS)}")
    if name == "adam":
        return Adam(parameters, lr=learning_rate)
    return SGD(parameters, lr=learning_rate, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
