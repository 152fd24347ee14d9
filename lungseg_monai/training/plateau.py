"""The learning rate of Kamal et al., section 3.2: halved when validation Dice has not risen in three epochs."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau


class PlateauRates(ReduceLROnPlateau):
    """Halves the rate after `epochs` epochs in a row without a higher score; its state survives a resume.

    `decay` is that of Keras' optimisers, as the authors' code sets it: after n batches the rate is divided by
    1 + decay * n. It is no weight decay.
    """

    def __init__(self, optimizer: Optimizer, epochs: int = 3, factor: float = 0.5, decay: float = 0.0) -> None:
        # PyTorch changes the rate once more than `patience` epochs were bad, Keras (and the paper) after so many.
        super().__init__(
            optimizer, mode="max", factor=factor, patience=epochs - 1, threshold=0.0, threshold_mode="abs", eps=0.0
        )
        self.decay = decay
        self.batches = 0

    def after_batch(self) -> None:
        before = 1 + self.decay * self.batches
        self.batches += 1
        if self.decay:
            for group in self.optimizer.param_groups:
                group["lr"] *= before / (1 + self.decay * self.batches)
