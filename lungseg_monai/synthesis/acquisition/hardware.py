"""Metal and plastic on and in a body: ECG leads, tubes, pacemakers, ports, wires of a sternotomy."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Volume = NDArray[np.float32]
Point = tuple[float, float, float]
METAL_HU = 3000.0


def draw_line(hu: Volume, points: NDArray[np.float64], value_hu: float, radius: float) -> Volume:
    """The polyline through `points` (n, 3), voxels, drawn with `value_hu` and a radius in voxels (under one: fainter).

    What lies outside the array is left out.
    """
    hu = hu.copy()
    steps = [max(2, int(2 * np.linalg.norm(b - a)) + 1) for a, b in pairwise(points)]
    path = np.concatenate(
        [np.linspace(a, b, n) for a, b, n in zip(points, points[1:], steps, strict=False)] or [points]
    )
    reach = int(np.ceil(radius))
    around = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    around = around[(around**2).sum(1) <= max(radius, 0.5) ** 2]
    index = (np.rint(path)[:, None, :].astype(int) + around[None]).reshape(-1, 3)
    index = np.unique(index[((index >= 0) & (index < hu.shape)).all(1)], axis=0)
    at = tuple(index.T)
    share = min(1.0, (2 * radius) ** 2)  # a wire thinner than a voxel fills only part of it
    hu[at] += np.float32(share) * (np.float32(value_hu) - hu[at])
    return hu


def front_point(body: NDArray[np.bool_], random: np.random.Generator, upper: float = 0.0) -> Point | None:
    """A random point on the front of the body, voxels, in the part of it above `upper` (0 to 1); None where no body."""
    columns: NDArray[np.bool_] = np.array(body.any(1))
    columns[:, : int(upper * columns.shape[1])] = False
    across, up = np.nonzero(columns)
    if not across.size:
        return None
    n = random.integers(across.size)
    return float(across[n]), float(body[across[n], :, up[n]].argmax()), float(up[n])


def wander(start: Point, end: NDArray[np.float64], random: np.random.Generator, sway: float) -> NDArray[np.float64]:
    """A bent path (7, 3) from start to end that sways by about `sway` voxels."""
    t = np.linspace(0, 1, 7)[:, None]
    path = (1 - t) * np.array(start) + t * end
    return path + random.normal(0, sway, path.shape) * np.sin(np.pi * t)


def add_leads(hu: Volume, body: NDArray[np.bool_], spacing_mm: float, random: np.random.Generator) -> Any:
    """ECG leads: discs on the skin and wires over it."""
    points = [front_point(body, random) for _ in range(random.integers(1, 6))]
    found = [p for p in points if p is not None]
    for i, j, k in found:
        hu = draw_line(
            hu, np.array([[i, j - 1, k]] * 2), random.uniform(800, METAL_HU), random.uniform(1, 4) / spacing_mm
        )
        end = np.array([i + random.normal(0, 25), j - random.uniform(0, 12), k + random.normal(10, 30)])
        hu = draw_line(
            hu, wander((i, j - 1.5, k), end, random, 3), METAL_HU * 0.8, random.uniform(0.5, 1.5) / spacing_mm
        )
    return hu, found


def add_pacemaker(hu: Volume, body: NDArray[np.bool_], spacing_mm: float, random: np.random.Generator) -> Any:
    """A metal box (pacemaker) or a small port under the skin of the upper chest, and a wire or catheter inwards."""
    at = front_point(body, random, upper=0.55)
    if at is None:
        return hu, []
    start = (at[0], at[1] + random.uniform(6, 18) / spacing_mm, at[2])
    is_box = random.random() < 0.5
    size = (random.uniform(14, 25) if is_box else random.uniform(5, 10)) / spacing_mm
    thick = max(1.0, random.uniform(3, 6) / spacing_mm)
    grid = np.ogrid[: hu.shape[0], : hu.shape[1], : hu.shape[2]]
    box = ((grid[0] - start[0]) ** 2 + (grid[2] - start[2]) ** 2 < size**2) & (np.abs(grid[1] - start[1]) < thick)
    hu = np.where(box & body, np.float32(METAL_HU if is_box else random.uniform(1000, METAL_HU)), hu)
    middle = np.array([hu.shape[0] / 2, hu.shape[1] / 2, hu.shape[2] * 0.45]) + random.normal(0, 18, 3) / spacing_mm
    wire_hu = METAL_HU if is_box else random.uniform(300, 1500)
    hu = draw_line(hu, wander(start, middle, random, 9 / spacing_mm), wire_hu, random.uniform(0.5, 1.5) / spacing_mm)
    return hu, [start, tuple(middle)]


def add_tube(hu: Volume, body: NDArray[np.bool_], spacing_mm: float, random: np.random.Generator) -> Any:
    """A tube or drain over the chest or into it: a plastic wall, air or water inside."""
    at = front_point(body, random)
    if at is None:
        return hu, []
    depth = random.uniform(-20, 60) / spacing_mm
    end = np.array([at[0] + random.normal(0, 20), at[1] + depth, at[2] + random.normal(0, 35)])
    path = wander((at[0], at[1] - random.uniform(0, 20) / spacing_mm, at[2]), end, random, 12 / spacing_mm)
    radius = random.uniform(2, 7) / spacing_mm
    hu = draw_line(hu, path, random.uniform(50, 700), radius)
    if radius > 1.2:
        hu = draw_line(hu, path, float(random.choice([-1000, 10])), radius - 1)
    return hu, []


def add_sternal_wires(hu: Volume, body: NDArray[np.bool_], spacing_mm: float, random: np.random.Generator) -> Any:
    """Small metal loops down the middle of the front, as after a sternotomy, or clips anywhere inside."""
    points: list[Point] = []
    middle = hu.shape[0] / 2 + random.normal(0, 3)
    for k in np.arange(0.3, 0.8, random.uniform(0.06, 0.14)) * hu.shape[2]:
        column = body[int(np.clip(middle, 0, hu.shape[0] - 1)), :, int(k)]
        if column.any():
            points.append(
                (middle + random.normal(0, 1), column.argmax() + random.uniform(9, 20) / spacing_mm, float(k))
            )
    if random.random() < 0.4:
        points = [tuple(random.uniform(0.25, 0.75, 3) * hu.shape) for _ in range(random.integers(1, 7))]
    for point in points:
        end = np.array(point) + random.normal(0, 4, 3) / spacing_mm
        hu = draw_line(hu, np.array([point, end]), METAL_HU, random.uniform(0.7, 2) / spacing_mm)
    return hu, points
