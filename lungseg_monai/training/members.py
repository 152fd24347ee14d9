"""Several checkpoints that predict together, as those of a split's folds: which, with what numbers, one at a time."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lungseg_monai.errors import ConfigError
from lungseg_monai.training.checkpoints import load_shipped, load_weights, trained_with
from lungseg_monai.training.runs import find_checkpoint

MAY_DIFFER = ("fold", "dropout")  # between the members: they change nothing in how a network predicts
Place = str | Path


def find_checkpoints(
    output_dir: Place | None, checkpoint: Place | Sequence[Place] | None = None, shipped: Place | None = None
) -> list[Path]:
    """`find_checkpoint`, of which `checkpoint` may also be a list; none where there is none."""
    several = [checkpoint] if checkpoint is None or isinstance(checkpoint, str | Path) else list(checkpoint)
    return [path for one in several if (path := find_checkpoint(output_dir, one, shipped)) is not None]


def members_trained_with(paths: Sequence[Path], default: Mapping[str, Any]) -> dict[str, Any]:
    """`trained_with`, of all `paths`; a fold that differs becomes None.

    Raises ConfigError where a number of `default` differs otherwise: such networks can't be averaged.
    """
    found = [trained_with(path, default) for path in paths] or [trained_with(None, default)]
    for path, other in zip(paths[1:], found[1:], strict=True):
        for name in default:
            if name not in MAY_DIFFER and other[name] != found[0][name]:
                raise ConfigError(
                    f"{path} was trained with {name} {other[name]!r}, {paths[0]} with {found[0][name]!r}: they can't "
                    "be averaged. Give checkpoints of one setting, or one alone"
                )
    same_fold = all(other.get("fold") == found[0].get("fold") for other in found)
    return found[0] if same_fold else {**found[0], "fold": None}


class Members:
    """The weights in `paths`, put into `network` one after another. Iterating gives their places.

    All are held in the processor's memory, a few megabytes each; the device holds one. `variant`, `bundle`: as in
    load_weights; without a bundle the bare weights that one ships are taken too.
    """

    def __init__(
        self,
        network: nn.Module,
        paths: Sequence[Path],
        variant: Mapping[str, Any] | None = None,
        bundle: str | None = None,
    ) -> None:
        self.network, self.paths, self.variant, self.bundle = network, list(paths), variant, bundle
        self.weights: list[dict[str, Tensor]] = []

    def __len__(self) -> int:
        return max(len(self.paths), 1)

    def load(self) -> None:
        """Read all. Raises CheckpointError for one that is missing, damaged or of another network."""
        self.weights = []
        paths: list[Path | None] = [*self.paths]
        for path in paths or [None]:
            if self.bundle is None:
                load_shipped(self.network, path)
            else:
                load_weights(self.network, path, self.variant, self.bundle)
            if len(self) > 1:
                self.weights.append({name: value.cpu().clone() for name, value in self.network.state_dict().items()})

    def __iter__(self) -> Iterator[int]:
        for place, weights in enumerate(self.weights or [None]):
            if weights is not None:
                self.network.load_state_dict(weights)
            yield place
