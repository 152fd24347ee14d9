"""Corruptions of where the chest lies on the film. Labels go with the picture."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.pictures.grey import Picture
from lungseg_monai.pictures.resize import resize
from lungseg_monai.pictures.sides import Labels

Random = np.random.Generator
Both = tuple[Picture, Labels]


def rotated(picture: Picture, labels: Labels, random: Random, degrees: float) -> Both:
    """Turned about the centre, either way; black where nothing was."""
    angle = float(np.deg2rad(degrees)) * (1 if random.random() < 0.5 else -1)
    return _turned(picture, angle), _labels(labels, lambda mask: _turned(mask, angle))


def child(picture: Picture, labels: Labels, random: Random, size: float, broad: float) -> Both:
    """All of it at `size` of its height, `broad` times that of its width, a little off the centre.

    What is beyond is the edge's grey, growing darker, as of arms and belly and then of air.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    rows, columns = picture.shape
    inner = (max(8, round(size * rows)), max(8, round(min(size * broad, 0.98) * columns)))
    top, left = (
        round(random.uniform(0.3, 0.7) * (whole - part)) for whole, part in zip((rows, columns), inner, strict=True)
    )
    window = (slice(top, top + inner[0]), slice(left, left + inner[1]))
    small = resize(picture, inner)
    pad = ((top, rows - inner[0] - top), (left, columns - inner[1] - left))
    outside = np.pad(np.zeros(inner, bool), pad, constant_values=True)
    beyond = gaussian_filter(np.pad(small, pad, mode="edge"), 0.02 * columns)
    darker = np.exp(-distance_transform_edt(outside) / (0.3 * columns))
    out = np.where(outside, beyond * darker, 0)
    out[window] = small
    moved = np.zeros_like(labels)
    moved[window] = _labels(labels, lambda mask: resize(mask, inner))
    return out.astype(np.float32), moved


def cropped(picture: Picture, labels: Labels, random: Random, margin: float) -> Both:
    """Cut `margin` of the lungs' box away from it; below 0: two edges side by side cut so far into it, two do not."""
    there = labels > 0
    if not there.any():
        return picture, labels
    bounds = []
    into = [random.random() < 0.5 for _ in range(2)]
    for axis in (0, 1):
        line = np.flatnonzero(there.any(axis=1 - axis))
        length = int(line[-1] - line[0] + 1)
        by = [margin if margin > 0 or first == into[axis] else 0.02 for first in (True, False)]
        low, high = line[0] - round(by[0] * length), line[-1] + 1 + round(by[1] * length)
        bounds.append(slice(max(0, int(low)), min(labels.shape[axis], int(high))))
    return picture[bounds[0], bounds[1]], labels[bounds[0], bounds[1]]


def mirrored(picture: Picture, labels: Labels, random: Random) -> Both:
    return np.ascontiguousarray(picture[:, ::-1]), np.ascontiguousarray(labels[:, ::-1])


def framed(picture: Picture, labels: Labels, random: Random, share: float, value: float, corners: float) -> Both:
    """Shrunk into a frame of `value`, of about `share` of the sides on each side.

    corners above 0: the field is turned by some degrees and loses its corners, lines from that share of one side to
    that share of the next; nothing is left of labels beyond it.
    """
    rows, columns = picture.shape
    by = share * random.uniform(0.6, 1.0, 4)
    top, bottom, left, right = (int(one) for one in np.rint(by * (rows, rows, columns, columns)))
    inner = (rows - top - bottom, columns - left - right)
    field = resize(picture, inner)
    kept = _labels(labels, lambda mask: resize(mask, inner))
    if corners > 0:
        inside = _field(inner, corners, float(np.deg2rad(random.uniform(-4, 4))))
        field, kept = np.where(inside, field, np.float32(value)), np.where(inside, kept, np.uint8(0))
    out, moved = np.full(picture.shape, value, np.float32), np.zeros_like(labels)
    window = (slice(top, top + inner[0]), slice(left, left + inner[1]))
    out[window], moved[window] = field, kept
    return out, moved


def _field(shape: tuple[int, int], corners: float, angle: float) -> NDArray[np.bool_]:
    """A turned rectangle that reaches all edges, without its corners."""
    down, across = (np.linspace(-1, 1, size) for size in shape)
    first = down[:, None] * np.cos(angle) + across[None] * np.sin(angle)
    second = across[None] * np.cos(angle) - down[:, None] * np.sin(angle)
    return (abs(first) <= 1) & (abs(second) <= 1) & (abs(first) + abs(second) <= 2 - 2 * corners)


def _turned(values: NDArray, angle: float) -> Picture:
    from scipy.ndimage import affine_transform

    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = (np.array(values.shape) - 1) / 2
    turned: Picture = affine_transform(
        np.asarray(values, np.float32), matrix, centre - matrix @ centre, order=1, mode="constant", cval=0.0
    )
    return turned


def _labels(labels: Labels, move: Callable[[Picture], Picture]) -> Labels:
    """Each label moved as the picture is, and cut at one half: both keep lying on one another."""
    out: Labels | None = None
    for value in np.unique(labels[labels > 0]):
        share = move((labels == value).astype(np.float32))
        if out is None:
            out = np.zeros(share.shape, np.uint8)
        out[share >= 0.5] = value
    return np.zeros(move(labels.astype(np.float32)).shape, np.uint8) if out is None else out
