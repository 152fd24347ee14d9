"""The end of a training that no longer gains."""

from logging import getLogger

from ignite.engine import Engine, Events

from lungseg_monai.training.checkpoints import KeepCheckpoints
from lungseg_monai.training.processes import is_main

log = getLogger(__name__)


class StopWithoutGain:
    """Ignite handler: ends the training when the best of `checkpoints` is `epochs` epochs ago; None: never.

    It keeps no count of its own, so that a resume needs none. engine.state.without_gain says that it has ended it. To
    be attached after `checkpoints`.
    """

    def __init__(self, checkpoints: KeepCheckpoints, epochs: int | None) -> None:
        self.checkpoints, self.epochs = checkpoints, epochs

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        best = self.checkpoints.best["epoch"]
        if self.epochs is not None and best is not None and engine.state.epoch - best >= self.epochs:
            if is_main():
                log.info("No better epoch since epoch %d: the training ends here", best)
            engine.state.without_gain = True  # type: ignore[attr-defined]
            engine.terminate()
