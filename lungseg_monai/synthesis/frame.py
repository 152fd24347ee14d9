"""The body's own frame on a grid: turned, scaled, then warped at three scales, so that no two chests look alike."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.fields import Field, noise

WARP_KNOTS = (3, 8, 16)  # cells along the longest side
WARP_MM = ((3.0, 12.0), (1.0, 4.0), (0.3, 1.3))
SPARE_MM = 10.0


@dataclass
class Frame:
    """x, y, z: (I, J, K) body coordinates in mm.

    index_from_body: (4, 4), before the warp. reach_mm: how far the warp moves a point at most.
    """

    x: Field
    y: Field
    z: Field
    spacing_mm: float
    index_from_body: NDArray[np.float64]
    reach_mm: float

    def window(self, low_mm: NDArray[np.float64], high_mm: NDArray[np.float64]) -> tuple[slice, slice, slice] | None:
        """The part of the grid that holds the box between two corners; None where the grid misses it."""
        corners = np.stack(np.meshgrid(*np.stack([low_mm - SPARE_MM, high_mm + SPARE_MM], axis=1)), axis=-1).reshape(
            -1, 3
        )
        index = corners @ self.index_from_body[:3, :3].T + self.index_from_body[:3, 3]
        spare = self.reach_mm / self.spacing_mm
        low = np.maximum(np.floor(index.min(axis=0) - spare), 0).astype(int)
        high = np.minimum(np.ceil(index.max(axis=0) + spare) + 1, self.x.shape).astype(int)
        if (low >= high).any():
            return None
        i, j, k = (slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
        return i, j, k


@dataclass(frozen=True)
class Pose:
    """centre_mm: the body point in the middle of the grid. turn_deg: about x, y, z. scale: above 1 is a larger body.

    warp: strength of the random displacement, 1 as WARP_MM says.
    """

    centre_mm: tuple[float, float, float]
    turn_deg: tuple[float, float, float]
    scale: tuple[float, float, float]
    warp: float


def make_frame(shape: tuple[int, int, int], spacing_mm: float, pose: Pose, random: np.random.Generator) -> Frame:
    """Body coordinates on a grid of `shape` voxels of `spacing_mm`, axes LPS."""
    linear = _rotation(pose.turn_deg) / np.array(pose.scale)[:, None] * spacing_mm
    middle = (np.array(shape) - 1) / 2
    body_from_index = np.eye(4)
    body_from_index[:3, :3] = linear
    body_from_index[:3, 3] = np.array(pose.centre_mm) - linear @ middle
    steps = [np.arange(n, dtype=np.float32) for n in shape]
    amplitudes = [pose.warp * float(random.uniform(low, high)) for low, high in WARP_MM]
    axes, reach = [], 0.0
    for axis in range(3):
        a, b, c = (np.float32(value) for value in linear[axis])
        flat = (a * steps[0])[:, None, None] + (b * steps[1])[None, :, None] + (c * steps[2])[None, None, :]
        flat = flat + np.float32(body_from_index[axis, 3])
        warp = sum(
            np.float32(amplitude) * noise(shape, max(shape) / knots, random)
            for amplitude, knots in zip(amplitudes, WARP_KNOTS, strict=True)
        )
        reach = max(reach, float(np.abs(warp).max()))
        axes.append(flat + warp)
    x, y, z = axes
    return Frame(x, y, z, spacing_mm, np.asarray(np.linalg.inv(body_from_index), np.float64), reach)


def _rotation(turn_deg: tuple[float, float, float]) -> NDArray[np.float64]:
    turn = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(turn_deg)):
        one = np.eye(3)
        p, q = (axis + 1) % 3, (axis + 2) % 3
        one[p, p] = one[q, q] = np.cos(angle)
        one[p, q], one[q, p] = -np.sin(angle), np.sin(angle)
        turn = one @ turn
    return turn
