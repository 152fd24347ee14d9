"""What lies around a body before it is scanned: table, mattress, blanket, foam."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.acquisition.waves import bounds, happens, occupancy
from lungseg_monai.synthesis.fields import noise

Volume = NDArray[np.float32]


def paint(hu: Volume, cover: NDArray[np.float32], value: Any, body: NDArray[np.bool_]) -> Volume:
    """Blend `value` in by `cover` (0 to 1), outside the body only."""
    return np.where(body, hu, hu + cover * (value - hu)).astype(np.float32)


def add_table(
    hu: Volume, body: NDArray[np.bool_], spacing_mm: float, random: np.random.Generator
) -> tuple[Volume, dict[str, Any]]:
    """A table below the body: flat or curved, solid or hollow, with or without a mattress."""
    across, down = hu.shape[:2]
    back = bounds(body, 1)
    touch = back[1] - random.uniform(0, 9) / spacing_mm if back else random.uniform(0.4, 0.95) * down
    kind = str(random.choice(["flat", "curved", "deep"], p=[0.35, 0.45, 0.2]))
    rise_mm = {"flat": 0.0, "curved": random.uniform(10, 50), "deep": random.uniform(50, 120)}[kind]
    half_mm = random.uniform(180, 270)
    mattress_mm = random.uniform(6, 45) if happens(random, 0.6) else 0.0
    body_mm = random.uniform(12, 80)
    i_mm = (np.arange(across, dtype=np.float32) - across / 2) * spacing_mm + random.uniform(-30, 30)
    top_mm = touch * spacing_mm - rise_mm * (i_mm / half_mm) ** 2
    depth_mm = np.arange(down, dtype=np.float32)[None, :] * spacing_mm - top_mm[:, None]  # (I, J)
    value, cover = _table_layers(depth_mm, spacing_mm, (mattress_mm, body_mm), random)
    cover = cover * occupancy((np.abs(i_mm) - half_mm) / spacing_mm)[:, None]
    if happens(random, 0.25):
        value, cover = _add_rails(value, cover, (int(touch), spacing_mm), random)
    fact = {"kind": kind, "mattress_mm": round(mattress_mm, 1), "thickness_mm": round(body_mm, 1)}
    return paint(hu, cover[:, :, None], value[:, :, None], body), fact


def _table_layers(
    depth_mm: NDArray[np.float32], spacing_mm: float, thick_mm: tuple[float, float], random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Value and cover (I, J) of mattress, shells and core by depth below the table's top."""
    mattress_mm, body_mm = thick_mm
    solid = happens(random, 0.25)
    shell_mm = random.uniform(1.5, 6)
    shell_hu, foam_hu = random.uniform(-300, 350), random.uniform(-985, -750)
    core_hu = random.uniform(-200, 150) if solid else random.uniform(-1000, -850)
    value = np.full(depth_mm.shape, -1000, np.float32)
    edges = [0.0, mattress_mm, mattress_mm + shell_mm, mattress_mm + body_mm - shell_mm, mattress_mm + body_mm]
    for low, high, layer_hu in zip(edges, edges[1:], (foam_hu, shell_hu, core_hu, shell_hu), strict=False):
        if high > low:
            inside = occupancy((np.abs(depth_mm - (low + high) / 2) - (high - low) / 2) / spacing_mm)
            value += inside * (layer_hu + 1000)
    return value, occupancy((np.abs(depth_mm - edges[-1] / 2) - edges[-1] / 2) / spacing_mm - 0.5)


def _add_rails(
    value: NDArray[np.float32],
    cover: NDArray[np.float32],
    place: tuple[int, float],
    random: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bright rods along the table, as rails and cables are."""
    top, spacing_mm = place
    i, j = np.ogrid[: value.shape[0], : value.shape[1]]
    for _ in range(random.integers(1, 5)):
        at = random.uniform(0, value.shape[0]), top + random.uniform(10, 90) / spacing_mm
        rod = occupancy(np.hypot(i - at[0], j - at[1]) - random.uniform(2, 8) / spacing_mm)
        value = value + rod * (random.uniform(-200, 2500) - value)
        cover = np.maximum(cover, rod)
    return value, cover


def add_blanket(
    hu: Volume, body: NDArray[np.bool_], spacing_mm: float, random: np.random.Generator
) -> tuple[Volume, dict[str, Any]]:
    """Clothes or a blanket: a thin, wavy, faint layer hanging over the front of the body."""
    from scipy.ndimage import minimum_filter, uniform_filter

    front = np.where(body.any(1), body.argmax(1), body.shape[1]).astype(np.float32)  # (I, K)
    hang = int(random.uniform(3, 60) / spacing_mm) * 2 + 1
    sheet = uniform_filter(minimum_filter(front, hang), max(1, hang // 2))
    gap_mm = random.uniform(0, 10) + 6 * np.abs(noise(front.shape, 60 / spacing_mm, random))
    sheet = np.minimum(sheet - gap_mm / spacing_mm, front - 0.5)
    thickness_mm, sheet_hu = random.uniform(1.5, 14), random.uniform(-900, -100)
    distance = np.abs(np.arange(hu.shape[1], dtype=np.float32)[None, :, None] - sheet[:, None, :])
    cover = occupancy(distance - 0.5 * thickness_mm / spacing_mm)
    return paint(hu, cover, sheet_hu, body), {"thickness_mm": round(thickness_mm, 1), "hu": round(sheet_hu)}


def add_folds(
    hu: Volume, body: NDArray[np.bool_], spacing_mm: float, random: np.random.Generator
) -> tuple[Volume, dict[str, Any]]:
    """Crumpled cloth round the body: thin sheets with air between, within 10 to 60 mm of the skin."""
    from scipy.ndimage import maximum_filter

    reach_mm, cell_mm = random.uniform(10, 60), random.uniform(25, 70)
    reach = int(reach_mm / spacing_mm) * 2 + 1
    shadow = maximum_filter(body.any(2), reach)  # (I, J)
    sheets = np.abs(noise(hu.shape, cell_mm / spacing_mm, random))
    thin = random.uniform(0.03, 0.12)
    cover = np.clip(1.5 - sheets / np.float32(thin), 0, 1) * shadow[:, :, None]
    cloth_hu = random.uniform(-950, -550)
    return paint(hu, cover, cloth_hu, body), {"hu": round(cloth_hu), "reach_mm": round(reach_mm)}


def add_block(
    hu: Volume, body: NDArray[np.bool_], spacing_mm: float, random: np.random.Generator
) -> tuple[Volume, dict[str, Any]]:
    """A second object beside, above or below the body: arm support, head rest, bottle, calibration bar."""
    what, fill_hu, rim_hu = [
        ("foam", random.uniform(-985, -800), random.uniform(-900, -200)),
        ("bottle", random.uniform(-20, 40), random.uniform(-100, 150)),
        ("bar", random.uniform(-100, 250), random.uniform(-100, 250)),
    ][random.choice(3, p=[0.6, 0.2, 0.2])]
    shape, half = np.array(hu.shape), np.array([random.uniform(15, 90) for _ in range(3)]) / spacing_mm
    centre = np.array([random.uniform(0, n) for n in shape])
    centre[0] = random.choice([random.uniform(-0.05, 0.2), random.uniform(0.8, 1.05), random.uniform(0, 1)]) * shape[0]
    half[2] = random.uniform(20, 400) / spacing_mm
    grid = np.ogrid[: shape[0], : shape[1], : shape[2]]
    away = [np.abs(g - c).astype(np.float32) - h for g, c, h in zip(grid, centre, half, strict=True)]
    tilt = random.uniform(-0.5, 0.5)
    away[0] = np.abs(grid[0] - centre[0] + tilt * (grid[1] - centre[1])).astype(np.float32) - half[0]
    distance = np.maximum(np.maximum(away[0], away[1]), away[2])
    rim = random.uniform(1, 5) / spacing_mm
    value = rim_hu + occupancy(distance + rim) * (fill_hu - rim_hu)
    return paint(hu, occupancy(distance), value, body), {"what": what, "hu": round(fill_hu)}
