"""Checkpoints: best.pt (weights to predict with) and last.pt (all that a resume needs), written atomically.

Both hold `model` (state dict), `numbers` (labels, width, window, ...: what the weights fit to), `bundle` and `best`;
last.pt also `optimizer`, `scheduler` and `trainer`. Only plain values: they load with weights_only=True.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from logging import getLogger
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Trainer
from monai.handlers import CheckpointLoader
from torch import nn

from lungseg_monai.errors import CheckpointError, DatasetError
from lungseg_monai.io import atomic_file
from lungseg_monai.training.epochs import has_validated
from lungseg_monai.training.processes import is_main

PARTIAL = ".partial-"  # how atomic_file names what is not whole yet
log = getLogger(__name__)


class KeepCheckpoints:
    """Ignite handler: last.pt after each epoch, best.pt after each epoch with the best score so far.

    The score is the validator's metric `by`, dice or loss, or, with nothing to validate on, the training loss; of a
    loss the smaller one is better.
    (MONAI's CheckpointSaver removes the old file before it writes the new one, and not atomically.)
    `parts` are objects with a state_dict, saved under their names (model, optimizer, scheduler); `facts` plain values.
    best.pt holds the weights of `predict_with`, an average over the steps; without it those of the part `model`.
    When a training starts, what one that was killed left half-written is removed.
    """

    def __init__(
        self,
        folder: str | Path,
        parts: Mapping[str, Any],
        facts: Mapping[str, Any],
        validator: Engine | None = None,
        predict_with: nn.Module | None = None,
        by: str = "dice",
    ) -> None:
        self.folder = Path(folder)
        self.by = by
        self.predict_with = predict_with
        self._stopped_by: BaseException | None = None
        self.parts = parts
        self.facts = facts
        self.validator = validator
        self.best: dict[str, Any] = {
            "score": None,
            "epoch": None,
            "by": f"validation {by}" if validator else "training loss",
        }

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.stopped)

    def started(self, engine: Engine) -> None:
        """Raises DatasetError where Dice is to choose the epoch and no validation slice holds a label."""
        loader = getattr(self.validator, "data_loader", None)
        has_label = getattr(getattr(loader, "dataset", None), "has_label", None)
        if self.by == "dice" and has_label is not None and not has_label.any():
            raise DatasetError(
                "no slice of the validation cases holds a label, so that Dice can't tell which epoch is best: give "
                "validation cases with a label, or none: lungseg-prep split"
            )
        if is_main():
            remove_unfinished(self.folder)

    def __call__(self, engine: Engine) -> None:
        score = epoch_score(engine, self.validator, self.by)
        improved = score is not None and (self.best["score"] is None or score > self.best["score"])
        if improved:
            self.best.update(score=score, epoch=engine.state.epoch)
        if not is_main():
            return
        states = {name: part.state_dict() for name, part in self.parts.items()}
        weights = states["model"] if self.predict_with is None else self.predict_with.state_dict()
        shared = {"model": weights, "best": dict(self.best), **self.facts}
        if improved:
            save_checkpoint(self.folder / "best.pt", shared)
        save_checkpoint(self.folder / "last.pt", {**shared, **states, "trainer": dict(engine.state_dict())})

    def stopped(self, engine: Engine, error: BaseException) -> None:
        """Say what is kept, and go on raising."""
        kept = (self.folder / "last.pt").is_file()
        told, self._stopped_by = self._stopped_by is error, error  # ignite raises it in the epoch and in the run
        if is_main() and not told:
            how = f"go on with --resume --output_dir {self.folder.parent}" if kept else "nothing is saved yet"
            log.warning("Stopped in epoch %d: %s", engine.state.epoch, how)
        raise error

    def state_dict(self) -> dict[str, Any]:
        return dict(self.best)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best.update(state)


def epoch_score(engine: Engine, validator: Engine | None, by: str = "dice") -> float | None:
    """What an epoch is judged by, larger is better: the validator's `by`, or the training loss; losses negated.

    None for an epoch that was not validated (val_interval above 1).
    """
    if validator is None:
        return -float(engine.state.metrics["loss"])
    if not has_validated(engine, validator):
        return None
    if by == "loss":
        return -float(validator.state.metrics["loss"])
    score = float(validator.state.metrics[by])
    return score if score == score else -1.0  # not a number: nothing to find and nothing found


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically. Raises data_prep's OutputError."""
    with atomic_file(path) as stream:
        try:
            torch.save(dict(content), stream)
        except RuntimeError as error:
            within = error.__context__  # torch makes an error of its own of what stopped it: a full disk, Ctrl-C
            if isinstance(within, OSError | KeyboardInterrupt):
                raise within from None
            raise


def remove_unfinished(folder: Path) -> None:
    """Remove the checkpoints in `folder` that were being written when their process was killed."""
    for path in folder.glob(f"{PARTIAL}*"):
        with suppress(OSError):  # another's, perhaps: it costs room, nothing else
            path.unlink()
            log.info("Removed %s, which was only half-written", path)


def read_checkpoint(path: str | Path | None) -> dict[str, Any]:
    """The content of a checkpoint of this project, on the CPU. Raises CheckpointError: missing, damaged, or foreign."""
    if path is None:
        raise CheckpointError(
            "there is no checkpoint: no checkpoints/best.pt in --output_dir and no models/model.pt in the bundle. "
            "Train first, or give --checkpoint FILE."
        )
    path = Path(path)
    if not path.is_file():
        best = path / "checkpoints" / "best.pt"
        raise CheckpointError(f"there is no checkpoint {path}." + (f" Did you mean {best}?" if best.is_file() else ""))
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # foreign or damaged bytes make the unpickler raise anything
        raise CheckpointError(
            f"{path} can't be read as a checkpoint ({type(error).__name__}): write it again"
        ) from error
    if not isinstance(content, dict) or not {"model", "numbers"} <= set(content):
        there = ", ".join(map(str, list(content)[:5])) if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(
            f"{path} is no checkpoint of lungseg-monai: it must hold `model` and `numbers`, it holds {there}"
        )
    return content


def trained_with(path: str | Path | None, default: Mapping[str, Any]) -> dict[str, Any]:
    """The `numbers` of a checkpoint over those in `default`; without a checkpoint `default` alone."""
    return {**default, **(read_checkpoint(path)["numbers"] if path is not None else {})}


def load_weights(
    network: nn.Module,
    path: str | Path | None,
    variant: Mapping[str, Any] | None = None,
    bundle: str | None = None,
) -> dict[str, Any]:
    """Put a checkpoint's weights into `network`; returns the rest. Raises CheckpointError if it does not fit.

    `bundle` is the one that they must have been trained with, if any: weights of another can fit and mean another
    network (U-Nets that differ in dilation).
    `variant` are the numbers that say which network it is (network_name, width): where those of the checkpoint differ,
    the error says so rather than which layers do.
    """
    content = read_checkpoint(path)
    check_bundle(content, bundle, path)
    check_variant(content["numbers"], variant or {}, path)
    check_fit(network, content["model"], path)
    network.load_state_dict(content["model"])
    return {name: value for name, value in content.items() if name != "model"}


def load_shipped(network: nn.Module, path: str | Path | None) -> None:
    """Put the weights of a checkpoint, or a bundle's bare state dict in float16, into `network`.

    Raises CheckpointError: missing, damaged, or of another network.
    """
    try:
        weights = None if path is None else torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError):
        weights = None  # load_weights tells what is wrong with the file
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        load_weights(network, path)
        return
    check_fit(network, weights, path)
    network.load_state_dict(weights)


def resume(path: str | Path, trainer: Trainer, checkpoints: KeepCheckpoints) -> None:
    """Make `trainer` go on where last.pt was written. Raises CheckpointError when it is of another network."""
    content = read_checkpoint(path)
    check_bundle(content, checkpoints.facts.get("bundle"), path)
    check_fit(checkpoints.parts["model"], content["model"], path)
    objects = {**checkpoints.parts, "trainer": trainer, "best": checkpoints}
    CheckpointLoader(str(path), objects, map_location="cpu").attach(trainer)  # type: ignore[arg-type]


def check_bundle(content: Mapping[str, Any], bundle: str | None, path: str | Path | None) -> None:
    """Raise CheckpointError where a checkpoint tells its bundle and that is not `bundle`."""
    if bundle and content.get("bundle", bundle) != bundle:
        raise CheckpointError(
            f"{path} is a checkpoint of the bundle {content['bundle']}, not of {bundle}: use it with its own bundle, "
            "or start a training from its weights with --pretrained"
        )


def check_variant(trained: Mapping[str, Any], variant: Mapping[str, Any], path: str | Path | None) -> None:
    """Raise CheckpointError unless all that `variant` says is what the checkpoint was trained with, where it tells."""
    other = [name for name, value in variant.items() if name in trained and trained[name] != value]
    if other:
        holds = ", ".join(f"{name} {trained[name]!r} (wanted {variant[name]!r})" for name in other)
        options = " ".join(f"--{name} {trained[name]}" for name in other)
        raise CheckpointError(f"{path} is a checkpoint of another network: {holds}. Give {options}")


def check_fit(network: nn.Module, weights: Mapping[str, torch.Tensor], path: str | Path | None) -> None:
    """Raise CheckpointError that names what differs, unless names and shapes are those of `network`."""
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    other = {name: tuple(value.shape) for name, value in weights.items()}
    both = [name for name in own if name in other and own[name] != other[name]]
    differences = {
        "missing": [name for name in own if name not in other],
        "not in this network": [name for name in other if name not in own],
        "of another shape": [f"{name} {list(other[name])}, wanted {list(own[name])}" for name in both],
    }
    told = [f"{len(names)} {what} ({some(names)})" for what, names in differences.items() if names]
    if told:
        raise CheckpointError(
            f"{path} is a checkpoint of another network than {type(network).__name__} as set up here. Weights: "
            f"{'; '.join(told)}. Give the checkpoint's own bundle and width."
        )


def some(names: Sequence[str]) -> str:
    """The first three."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
