"""What of the body a scan shows: boxes cut out of it, circles, padding, mirrored sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.acquisition.waves import bounds, happens, log_uniform, occupancy

Volume = NDArray[np.float32]
Labels = NDArray[np.uint8]
Span = tuple[int, int]
PADDINGS_HU = (-1024, -2000, -3024, -1000)
LEAST_IN_PLANE, LEAST_UP = 32, 8  # voxels


def at_least(span: tuple[float, float], least: int, length: int) -> Span:
    """The span within 0..length as whole numbers, widened about its middle to `least` voxels if there are so many."""
    low, high = max(0, round(span[0])), min(length, round(span[1]))
    least = min(least, length)
    if high - low < least:
        low = int(np.clip(round((span[0] + span[1]) / 2) - least // 2, 0, length - least))
        high = low + least
    return low, high


def cut_up(lung: Span, length: int, spacing_mm: float, random: np.random.Generator) -> tuple[Span, str]:
    """A span along z that loses the apices, the bases, or all but a slab of 30 to 150 mm."""
    kind = str(random.choice(["apex", "base", "slab"], p=[0.3, 0.3, 0.4]))
    height = lung[1] - lung[0]
    if kind == "apex":
        span = (0.0, lung[1] - random.uniform(0.05, 0.6) * height)
    elif kind == "base":
        span = (lung[0] + random.uniform(0.05, 0.6) * height, float(length))
    else:
        thick = log_uniform(random, 30, 150) / spacing_mm
        middle = random.uniform(lung[0], lung[1])
        span = (middle - thick / 2, middle + thick / 2)
    return at_least(span, LEAST_UP, length), kind


def cut_sides(body: Span, length: int, depth: float, random: np.random.Generator) -> Span:
    """A span in the plane whose sides cut up to `depth` voxels into the body, each with a chance of two in three."""
    low, high = 0.0, float(length)
    if happens(random, 0.67):
        low = body[0] + random.uniform(-0.3, 1.0) * depth
    if happens(random, 0.67):
        high = body[1] - random.uniform(-0.3, 1.0) * depth
    return at_least((low, high), LEAST_IN_PLANE, length)


def one_lung(labels: Labels, spacing_mm: float, random: np.random.Generator) -> tuple[Span, Span] | None:
    """Spans along i and j around one lung alone; None where there is none."""
    lung = labels == random.integers(1, 3)
    spans = []
    for axis in (0, 1):
        span = bounds(lung, axis)
        if span is None:
            return None
        low, high = (random.uniform(-12, 30) / spacing_mm for _ in range(2))
        spans.append(at_least((span[0] - low, span[1] + high), LEAST_IN_PLANE, labels.shape[axis]))
    return spans[0], spans[1]


def circle(shape_ij: tuple[int, int], centre_ij: tuple[float, float], radius: float) -> NDArray[np.float32]:
    """(I, J) share of each voxel inside the circle (voxels)."""
    i, j = np.ogrid[: shape_ij[0], : shape_ij[1]]
    return occupancy(np.hypot(i - centre_ij[0], j - centre_ij[1]) - radius)


def wedge(shape: tuple[int, int, int], axes: tuple[int, int], depth: float, slope: float) -> NDArray[np.float32]:
    """Share of each voxel left by an oblique scan put on a straight grid; broadcasts to `shape`.

    Along axes[0] the first and last rows are lost to a depth of `depth` voxels that grows by `slope` along axes[1],
    at opposite corners.
    """
    u, v = (np.arange(shape[a]).reshape([-1 if b == a else 1 for b in range(3)]) for a in axes)
    lost = depth + slope * v
    far = shape[axes[0]] - 1 - (depth + slope * (shape[axes[1]] - 1 - v))
    return np.minimum(occupancy(lost - u), occupancy(u - far))


def pad_outside(hu: Volume, labels: Labels, inside: NDArray[np.float32], padding_hu: float) -> tuple[Volume, Labels]:
    """Padding where nothing was scanned; what isn't seen isn't lung. `inside` (0 to 1) broadcasts to the volume."""
    return hu + (1 - inside) * (np.float32(padding_hu) - hu), np.where(inside >= 0.5, labels, 0).astype(np.uint8)


def mirror(hu: NDArray[np.int16], labels: Labels) -> tuple[NDArray[np.int16], Labels]:
    """The scene seen in a mirror along i: label 1 is always the image's right side, so 1 and 2 change places."""
    swap = np.array([0, 2, 1], np.uint8)
    return np.ascontiguousarray(hu[::-1]), swap[labels[::-1]]
