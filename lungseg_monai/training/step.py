"""One iteration of a training: gradient accumulation, and smaller parts of a batch when memory runs out."""

from contextlib import nullcontext
from logging import getLogger
from typing import Any

import torch
from monai.engines import IterationEvents
from torch import Tensor, nn

from lungseg_monai.errors import ConfigError
from lungseg_monai.memory_use import is_out_of_memory
from lungseg_monai.training.processes import several

UNMADE = ("could not create a primitive", "could not create a memory object")  # oneDNN gives no reason
LIMITED = ". Memory is limited: MALLOC_MMAP_THRESHOLD_=262144 in the environment gives back what is let go (Linux)"
log = getLogger(__name__)


class TrainingStep:
    """An `iteration_update` for MONAI's SupervisedTrainer (with `decollate` false), which does the same and more:

    - `accumulate` batches make one step of the optimiser, whose gradient is their mean; the fewer that are left at the
      end of an epoch make one too. For a network without batch normalisation, and a loss that is a mean over windows,
      N batches of b windows equal one of N * b.
    - When memory runs out, this batch and all later ones are computed in parts of half as many windows, and so on; the
      parts' gradients are summed up, weighed by their size. It says so: batch normalisation, and losses whose sums run
      over the batch, then see the parts. Not with several processes, whose gradients must meet.

    MONAI's own accumulation is not used: it divides the rest of an epoch by too much, and a step that runs out of
    memory is the end of it. `engine.state.output` is as MONAI's: image, label, pred (detached), loss.
    Raises ConfigError when one window alone is too much.
    """

    def __init__(self, accumulate: int = 1) -> None:
        self.accumulate = accumulate
        self.part: int | None = None  # windows at a time; None: the whole batch

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, Tensor]:
        image, label = engine.prepare_batch(batch, engine.state.device, engine.non_blocking, **engine.to_kwargs)
        place, members = self._group(engine)
        engine.network.train()
        if place == 0:
            engine.optimizer.zero_grad(set_to_none=True)
        pred, loss = self._fitting(engine, image, label, members)
        engine.state.output = {"image": image, "label": label, "pred": pred, "loss": loss}
        for event in (
            IterationEvents.FORWARD_COMPLETED, IterationEvents.LOSS_COMPLETED, IterationEvents.BACKWARD_COMPLETED
        ):  # fmt: skip
            engine.fire_event(event)
        if place == members - 1:
            self._step(engine)
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output

    def _group(self, engine: Any) -> tuple[int, int]:
        """(place of this batch among those that make one step, how many they are)."""
        done = (engine.state.iteration - 1) % engine.state.epoch_length
        place = done % self.accumulate
        return place, min(self.accumulate, engine.state.epoch_length - (done - place))

    def _fitting(self, engine: Any, image: Tensor, label: Tensor, members: int) -> tuple[Tensor, Tensor]:
        """Gradients of a batch, in parts that fit into memory."""
        before = _gradients(engine.network) if self.accumulate > 1 else None
        while True:
            try:
                return self._backward(engine, image, label, members)
            except (RuntimeError, MemoryError) as error:
                if not (is_out_of_memory(error) or self._unmade(error)):
                    raise
                told = str(error).strip().splitlines()[:1]
            # out of the except block: the error holds the graph that filled the memory
            self._smaller(len(image), tuple(image.shape[1:]), told[0] if told else "MemoryError")
            _restore(engine.network, before)
            if image.device.type == "cuda":
                torch.cuda.empty_cache()

    def _backward(self, engine: Any, image: Tensor, label: Tensor, members: int) -> tuple[Tensor, Tensor]:
        """(pred, loss) of the batch, detached; its gradient / members is added to that of the parameters."""
        preds, total = [], torch.zeros((), device=image.device)
        for images, labels in zip(*(each.split(self.part or len(image)) for each in (image, label)), strict=True):
            mixed = engine.amp and engine.scaler is not None
            with torch.autocast("cuda", **engine.amp_kwargs) if mixed else nullcontext():
                pred = engine.inferer(images, engine.network)
                loss = engine.loss_function(pred, labels).mean() * (len(images) / len(image))
            (engine.scaler.scale(loss / members) if mixed else loss / members).backward()
            preds.append(pred.detach())
            total += loss.detach()
        return torch.cat(preds), total

    def _unmade(self, error: BaseException) -> bool:
        """Whether oneDNN could not make its code or buffers: too little memory, once that has run out or is limited."""
        return (self.part is not None or limited()) and any(sign in str(error) for sign in UNMADE)

    def _smaller(self, count: int, shape: tuple[int, ...], told: str) -> None:
        """Halve the parts. Raises ConfigError when they are one window already, or in one of several processes."""
        size = min(self.part or count, count)
        if several():
            raise ConfigError(
                f"memory ran out ({told}). Several processes can't make their batches smaller on their own: give "
                "--batch_size 1 with more --accumulate"
            )
        if size == 1:
            raise ConfigError(
                f"memory ran out ({told}) on one window of {' x '.join(map(str, shape))} alone: give a smaller "
                f"--spatial_size or --width, or on a GPU --amp true{LIMITED if limited() else ''}"
            )
        self.part = (size + 1) // 2
        log.warning(
            "Memory ran out (%s). From here on batches of %d are computed in parts of %d, whose gradients are summed "
            "up; batch normalisation sees the parts. --batch_size %d --accumulate %d says so from the start",
            told, count, self.part, self.part, self.accumulate * -(-count // self.part),
        )  # fmt: skip

    def _step(self, engine: Any) -> None:
        if engine.amp and engine.scaler is not None:
            engine.scaler.step(engine.optimizer)
            engine.scaler.update()
        else:
            engine.optimizer.step()


def limited() -> bool:
    """Whether this process may only take so much memory (`ulimit -v`, `ulimit -d`)."""
    try:
        import resource
    except ImportError:  # Windows
        return False
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    return any(resource.getrlimit(kind)[0] != resource.RLIM_INFINITY for kind in kinds)


def _gradients(network: nn.Module) -> list[Tensor | None]:
    return [None if each.grad is None else each.grad.clone() for each in network.parameters()]


def _restore(network: nn.Module, gradients: list[Tensor | None] | None) -> None:
    for number, parameter in enumerate(network.parameters()):
        parameter.grad = None if gradients is None else gradients[number]
