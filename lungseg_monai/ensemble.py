"""Means of several predictions of one image: of a split's folds, of the image changed at test time, or of both."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.transforms import Transform
from monai.utils import convert_to_dst_type
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from lungseg_monai.errors import ConfigError
from lungseg_monai.training.members import Members
from lungseg_monai.transforms.mirror import mirror_places

CHANGES = ("flip", "rotation", "scale")
DEGREES, SCALE = 5.0, 1.05
ACTIVATIONS: Mapping[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "sigmoid": (torch.sigmoid, lambda mean: torch.logit(mean, eps=1e-7)),
    "softmax": (lambda logits: torch.softmax(logits, dim=1), lambda mean: mean.clamp_min(1e-7).log()),
    "none": (lambda found: found, lambda mean: mean),
}
Way = Callable[[Tensor], Tensor]


class MeanInferer(Inferer):
    """What `inferer` gives, averaged as probabilities over the `members` and over the image changed by `tta`.

    labels: the targets of the last channels of the answer. activation: what makes probabilities of the answer: sigmoid,
    softmax, or none where it holds them; the mean comes back as that answer (a logit, a logarithm) for postprocessing.
    tta: names out of CHANGES, each besides the image as it is: flip (left and right change places, in the answer their
    targets too), rotation (by 5 degrees, both ways), scale (5 % larger, and smaller), in plane. side_axis: the spatial
    axis from left to right. spread: of the last answer, the standard deviation of the probabilities; None while there
    is only one. One member without tta: the answer of `inferer`, bit for bit.
    Raises ConfigError for an unknown change or activation, for flip where a target lacks its counterpart, and for
    save_uncertainty where there is nothing to compare.
    """

    def __init__(
        self,
        inferer: Inferer,
        members: Members,
        labels: Mapping[str, Any],
        activation: str = "sigmoid",
        tta: Sequence[str] = (),
        side_axis: int = 0,
        save_uncertainty: bool = False,
    ) -> None:
        super().__init__()
        unknown = [name for name in tta if name not in CHANGES]
        if unknown or activation not in ACTIVATIONS:
            raise ConfigError(
                f"there is no {unknown[0] if unknown else activation!r}: tta is a list out of {', '.join(CHANGES)}, "
                f"activation one of {', '.join(ACTIVATIONS)}"
            )
        if save_uncertainty and len(members) == 1 and not tta:
            raise ConfigError(
                "save_uncertainty needs several predictions to compare: give --tta \"['flip', 'rotation']\", or "
                "several runs as --checkpoint"
            )
        self.inferer, self.members, self.side_axis, self.tta = inferer, members, side_axis, tuple(tta)
        self.places = mirror_places(labels) if "flip" in tta else list(range(len(labels)))
        self.probability, self.answer = ACTIVATIONS[activation]
        self.spread: Tensor | None = None

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """`inputs` (B, C, H, W) or (B, C, H, W, D); the answer has as many axes. No gradient for a mean."""
        if len(self.members) == 1 and not self.tta:
            return self.inferer(inputs, network, *args, **kwargs)
        plain, count = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs, 0
        mean = squares = torch.zeros(())
        with torch.no_grad():
            for _ in self.members:
                for there, back in self._ways():
                    found = self.inferer(there(plain), network, *args, **kwargs)
                    found = found.as_tensor() if isinstance(found, MetaTensor) else found
                    found = back(self.probability(found.float()))
                    count += 1  # Welford's mean and sum of squares
                    before, mean = mean, mean + (found - mean) / count
                    squares = squares + (found - before) * (found - mean)
        self.spread = (squares / count).clamp_min(0).sqrt()[:, -len(self.places) :]
        return convert_to_dst_type(self.answer(mean), inputs, dtype=torch.float32)[0]

    def _ways(self) -> list[tuple[Way, Way]]:
        """(there, back) of each prediction: what is done to the image, and to the probabilities."""
        axis = 2 + self.side_axis

        def unflip(found: Tensor) -> Tensor:
            rest = found.shape[1] - len(self.places)  # channels before the targets'
            return found[:, [*range(rest), *(rest + place for place in self.places)]].flip(axis)

        ways: dict[str, list[tuple[Way, Way]]] = {
            "flip": [(lambda image: image.flip(axis), unflip)],
            "rotation": [_moved(math.radians(degrees), 1.0) for degrees in (DEGREES, -DEGREES)],
            "scale": [_moved(0.0, scale) for scale in (SCALE, 1 / SCALE)],
        }
        return [(_same, _same), *(way for name in self.tta for way in ways[name])]


class TakeSpreadd(Transform):
    """Puts the `spread` of a MeanInferer, its largest over the targets, beside `pred`: (1, H, W) or (1, H, W, D)."""

    def __init__(self, inferer: MeanInferer, key: str = "uncertainty") -> None:
        self.inferer, self.key = inferer, key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        if self.inferer.spread is None:
            raise ConfigError("there is no uncertainty of a single prediction: give tta, or several checkpoints")
        largest = self.inferer.spread[0].amax(dim=0, keepdim=True)
        return {**data, self.key: convert_to_dst_type(largest, data["pred"], dtype=torch.float32)[0]}


def _same(given: Tensor) -> Tensor:
    return given


def _moved(angle: float, scale: float) -> tuple[Way, Way]:
    """Turned in plane by `angle` radians and enlarged by `scale` about the middle, and the way back."""
    there = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) / scale
    return lambda given: in_plane(given, there), lambda given: in_plane(given, there.inverse())


def in_plane(given: Tensor, matrix: Tensor) -> Tensor:
    """(B, C, H, W) or (B, C, H, W, D) with each plane resampled: what lies at `matrix` @ place comes to place.

    Linearly; places are in pixels from the middle, (column, row). Beyond the picture its border goes on.
    """
    volume = given.movedim(-1, 2).flatten(1, 2) if given.ndim == 5 else given
    rows, columns = volume.shape[-2:]
    aspect = torch.tensor([[1.0, rows / columns], [columns / rows, 1.0]])
    theta = torch.cat([matrix * aspect, torch.zeros(2, 1)], dim=1).to(volume)
    grid = affine_grid(theta.expand(len(volume), 2, 3), list(volume.shape), align_corners=False)
    moved = grid_sample(volume, grid, padding_mode="border", align_corners=False)
    if given.ndim == 4:
        return moved
    return moved.unflatten(1, (given.shape[1], given.shape[-1])).movedim(2, -1).contiguous()
