"""Tumours: where they sit, and their lumpy shapes."""

from dataclasses import dataclass

import numpy as np

from data_prep.phantom.lungs import LEFT, RIGHT, Pleura
from data_prep.phantom.mediastinum import Mediastinum
from data_prep.phantom.solids import Array, Field, Points, Solid, box, ellipsoid, grow, intersect, subtract

SOLITARY, WALL, MEDIASTINUM, NONE = "solitary", "wall", "mediastinum", "none"
KINDS = (SOLITARY, WALL, MEDIASTINUM, NONE)
INVASION_MM = {WALL: 3.0, MEDIASTINUM: 7.0}  # how far a tumour may reach beyond the pleura
SECOND_TUMOUR = 0.3  # share of patients with a tumour who have another one, solitary, in the other lung


@dataclass(frozen=True)
class Tumour:
    kind: str
    side: str  # the lung's ROI name
    center_mm: tuple[float, float, float]  # in the body's own frame
    radius_mm: float
    solid: Solid


def kind_of(seed: int, number: int) -> str:
    """The kind of patient `number` (from 1): each block of four patients holds every kind once, in drawn order."""
    block, place = divmod(number - 1, len(KINDS))
    return KINDS[int(np.random.default_rng([seed, block, 4]).permutation(len(KINDS))[place])]


def grow_tumours(
    kind: str, pleurae: dict[str, Pleura], middle: Mediastinum, random: np.random.Generator
) -> tuple[Tumour, ...]:
    """None, one or two tumours; the first is of `kind`."""
    if kind == NONE:
        return ()
    side = (LEFT, RIGHT)[int(random.integers(2))]
    other = RIGHT if side == LEFT else LEFT
    tumours = [_grow(kind, side, pleurae[side], middle, float(random.uniform(11, 24)), random)]
    if random.random() < SECOND_TUMOUR:
        tumours.append(_grow(SOLITARY, other, pleurae[other], middle, float(random.uniform(8, 12)), random))
    return tuple(tumours)


def _grow(
    kind: str, side: str, pleura: Pleura, middle: Mediastinum, radius: float, random: np.random.Generator
) -> Tumour:
    center = _place(kind, pleura, middle, radius)
    while center is None:  # too large for this lung
        radius *= 0.9
        center = _place(kind, pleura, middle, radius)
    solid = subtract(_blob(center, radius, random), grow(middle.airways, 0.5))
    if kind in INVASION_MM:
        solid = intersect(solid, grow(pleura.cavity, INVASION_MM[kind]), blend_mm=2.0)
    x, y, z = center.tolist()
    return Tumour(kind, side, (x, y, z), radius, solid)


def _place(kind: str, pleura: Pleura, middle: Mediastinum, radius: float) -> Array | None:
    """The first of the lung's points, in their random order, where a tumour of this kind and radius fits."""
    points = Points.of(pleura.inner_mm)
    wall, floor, heart_side = (
        -np.asarray(pleura.wall.at(points)),
        -np.asarray(pleura.above.at(points)),
        np.broadcast_to(np.asarray(middle.whole.at(points)), points.x.shape),
    )
    free = 1.35 * radius + 4
    touches = (0.25 * radius, 0.6 * radius)
    if kind == WALL:
        fits = (wall > touches[0]) & (wall < touches[1]) & (np.minimum(floor, heart_side) > free)
    elif kind == MEDIASTINUM:
        fits = (heart_side > touches[0]) & (heart_side < touches[1]) & (np.minimum(wall, floor) > free)
    else:
        fits = np.minimum(np.minimum(wall, floor), heart_side) > free
    where = np.flatnonzero(fits)
    return pleura.inner_mm[where[0]] if where.size else None


def _blob(center: Array, radius: float, random: np.random.Generator) -> Solid:
    """An ellipsoid in a random direction with a few smooth lumps, up to 15 % of the radius."""
    axes = np.linalg.qr(random.normal(size=(3, 3)))[0]
    core = ellipsoid(center, radius * random.uniform(0.85, 1.12, 3), axes)
    waves = (random.normal(size=(4, 3)) * (2.2 / radius)).tolist()
    phases = random.uniform(0, 2 * np.pi, 4).tolist()
    (cx, cy, cz), height = center.tolist(), 0.15 * radius / len(phases)

    def formula(points: Points) -> Field:
        lumps = np.zeros_like(points.x)
        for (a, b, c), phase in zip(waves, phases, strict=True):
            lumps = lumps + np.cos(a * (points.x - cx) + b * (points.y - cy) + c * (points.z - cz) + phase)
        return core.at(points) - height * lumps

    return Solid(formula, box(center - 1.3 * radius, center + 1.3 * radius))
