"""What finds lungs: a bundle as `lungseg segment` runs it, or the stand-in "threshold", which needs no weights."""

from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.pictures.grey import Picture
from lungseg_monai.pictures.sides import Labels

THRESHOLD = "threshold"


class Finder(Protocol):
    """weights: what tells them apart, for the page."""

    weights: str

    def __call__(self, picture: Picture) -> Labels:
        """(H, W) float32 in 0 ... 1 -> labels (H, W), 1 right and 2 left, by the convention "visible"."""


class Bundle:
    def __init__(self, name: str) -> None:
        from lungseg_monai.segment.models import open_model

        self.model: Any = open_model(name, device="cpu", threads=1)
        self.weights = str(self.model.facts["weights_sha256"])[:12]

    def __call__(self, picture: Picture) -> Labels:
        labels: Labels = self.model.segment(picture, flipped=False).labels_ijk
        return labels


class Threshold:
    """What is dark by the picture's middle (Otsu), touches no edge, and is one of the two largest such pieces."""

    weights = "none"

    def __call__(self, picture: Picture) -> Labels:
        from skimage.filters import threshold_otsu
        from skimage.segmentation import clear_border

        from lungseg_monai.pictures.gaussian_blur import gaussian_blur
        from lungseg_monai.pictures.pieces import filled, largest, opened
        from lungseg_monai.pictures.sides import tell_sides

        soft = gaussian_blur(picture, 0.01 * picture.shape[1], max(1, round(0.03 * picture.shape[1])))
        level = threshold_otsu(soft[_inner(soft.shape)]) if np.ptp(soft) > 0 else 0.0
        dark: NDArray[np.bool_] = clear_border(soft < level)
        pieces = largest(opened(dark, round(0.01 * picture.shape[1])), 2, 0.2)
        found = tell_sides([filled(piece) for piece in pieces], False).labels
        return found if found.shape == picture.shape else np.zeros(picture.shape, np.uint8)


def _inner(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The middle three fifths of both sides."""
    return tuple(slice(size // 5, size - size // 5) for size in shape)


@lru_cache(maxsize=8)
def finder(name: str) -> Finder:
    """Loaded once a process."""
    return Threshold() if name == THRESHOLD else Bundle(name)
