"""Borders: collimation that covers the edges of a film, and padding that squeezes it into a part of the frame."""

import numpy as np

from lungseg_monai.pictures.grey import Picture
from lungseg_monai.pictures.resize import resize
from lungseg_monai.transforms.random_picture import Label

Margins = tuple[int, int, int, int]  # pixels: top, bottom, left, right


def covered(picture: Picture, label: Label, margins: Margins, value: float) -> tuple[Picture, Label]:
    """The margins set to `value`; the label is empty there: nothing can be seen of the lungs."""
    inside = _inside(picture.shape, margins)
    out, cut = np.full_like(picture, value), np.zeros_like(label)
    out[inside], cut[(slice(None), *inside)] = picture[inside], label[(slice(None), *inside)]
    return out, cut


def squeezed(picture: Picture, label: Label, margins: Margins, value: float) -> tuple[Picture, Label]:
    """The whole picture between the margins, its label with it; the margins are `value`."""
    inside = _inside(picture.shape, margins)
    out, moved = np.full_like(picture, value), np.zeros_like(label)
    size = out[inside].shape
    out[inside] = resize(picture, size)
    for target, one in zip(moved, label, strict=True):
        target[inside] = resize(one, size) >= 0.5
    return out, moved


def borders(picture: Picture, label: Label, random: np.random.RandomState) -> tuple[Picture, Label]:
    """Covered up to a twelfth or squeezed by up to a fifth at some of the edges; black, white or grey."""
    rows, columns = picture.shape
    squeeze = random.uniform() < 0.5
    share = random.uniform(0, 0.2 if squeeze else 0.08, 4) * (random.uniform(size=4) < 0.6)
    top, bottom, left, right = (share * (rows, rows, columns, columns)).astype(int).tolist()
    value = float(random.choice([0.0, 0.0, 0.0, 1.0, random.uniform()]))
    change = squeezed if squeeze else covered
    return change(picture, label, (top, bottom, left, right), value)


def _inside(shape: tuple[int, ...], margins: Margins) -> tuple[slice, slice]:
    top, bottom, left, right = margins
    return slice(top, shape[0] - bottom), slice(left, shape[1] - right)
