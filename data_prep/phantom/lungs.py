"""The two pleural cavities and the trees of vessels in them. All in the body's own frame (x left)."""

from dataclasses import dataclass

import numpy as np

from data_prep.phantom.chest_wall import ChestWall
from data_prep.phantom.habitus import Habitus
from data_prep.phantom.mediastinum import HILUM_LEFT_MM, HILUM_RIGHT_MM, Mediastinum
from data_prep.phantom.solids import EVERYWHERE, Array, Field, Points, Solid, box, capsule, intersect, subtract, union

LEFT, RIGHT = "Lung-Left", "Lung-Right"
SIDE_X = {LEFT: 1.0, RIGHT: -1.0}
HILUM_MM = {LEFT: HILUM_LEFT_MM, RIGHT: HILUM_RIGHT_MM}
SAMPLE_MM = 6.0
TREES, TWIGS = 2, 56  # arteries and veins a lung; ends of each


@dataclass(frozen=True)
class Pleura:
    """One cavity: lung with its vessels, airways and tumours. wall, above: the solids that bound it outside, below."""

    cavity: Solid
    wall: Solid
    above: Solid
    inner_mm: Array  # (n, 3) points within, in random order, about SAMPLE_MM apart


def build_pleura(side: str, body: Habitus, wall: ChestWall, middle: Mediastinum, random: np.random.Generator) -> Pleura:
    outer = intersect(wall.cage, _dome_of_apex(side, body), _half(side), blend_mm=4.0)
    above = above_diaphragm(side, body)
    cavity = subtract(intersect(outer, above, blend_mm=3.0), middle.whole, blend_mm=5.0)
    x = sorted((0.0, SIDE_X[side] * body.half_width))
    low, high = np.array([x[0], -body.half_depth, -230.0]), np.array([x[1], body.half_depth + 20, body.apex_z + 4])
    inner_mm = _points_within(cavity, low, high, random)
    tight = box(inner_mm.min(axis=0) - 2 * SAMPLE_MM, inner_mm.max(axis=0) + 2 * SAMPLE_MM)
    return Pleura(Solid(cavity.formula, tight), outer, above, inner_mm)


def above_diaphragm(side: str, body: Habitus) -> Solid:
    """What lies above one dome, a paraboloid that falls off further behind than in front."""
    top = body.dome_z_right - (body.dome_drop_left if side == LEFT else 0.0)
    center_x, center_y = SIDE_X[side] * body.half_width * 0.47, -10.0
    width, front, back = body.half_width * 0.52, body.half_depth * 1.05, body.half_depth * 0.92
    fall = body.recess_depth

    def formula(points: Points) -> Field:
        u = (points.x - center_x) / width
        depth = np.where(points.y < center_y, np.float32(front), np.float32(back))
        v = (points.y - center_y) / depth
        slope = 2 * fall * np.sqrt((u / width) ** 2 + (v / depth) ** 2)
        return (top - fall * (u * u + v * v) - points.z) / np.sqrt(1 + slope * slope)

    return Solid(formula, EVERYWHERE)


def _dome_of_apex(side: str, body: Habitus) -> Solid:
    """A paraboloid open downwards: it shapes the apex and lets go of the lung some 60 mm below."""
    top = body.apex_z - (body.apex_drop_left if side == LEFT else 0.0)
    center_x, center_y, width, depth, high = SIDE_X[side] * body.half_width * 0.41, 12.0, 41.0, 50.0, 22.0

    def formula(points: Points) -> Field:
        u, v = (points.x - center_x) / width, (points.y - center_y) / depth
        slope = np.sqrt((2 * u / width) ** 2 + (2 * v / depth) ** 2 + 1 / high**2)
        return (u * u + v * v - (top - points.z) / high) / slope

    return Solid(formula, EVERYWHERE)


def _half(side: str) -> Solid:
    sign = SIDE_X[side]
    return Solid(lambda points: -sign * points.x, EVERYWHERE)


def _points_within(cavity: Solid, low: Array, high: Array, random: np.random.Generator) -> Array:
    counts = np.ceil((high - low) / SAMPLE_MM).astype(int)
    corners = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), axis=-1).reshape(-1, 3)
    points = low + (corners + random.uniform(0, 1, corners.shape)) * SAMPLE_MM
    inside = points[np.asarray(cavity.at(Points.of(points))) < 0]
    return random.permutation(inside)


def build_vessels(side: str, pleura: Pleura, random: np.random.Generator) -> Solid:
    """Branching rods from the hilum to all parts of the lung, thinner at each fork, within the cavity."""
    rods: list[Solid] = []
    deep = pleura.inner_mm[np.asarray(pleura.cavity.at(Points.of(pleura.inner_mm))) < -4]
    for tree in range(TREES):
        ends = deep[tree * TWIGS : (tree + 1) * TWIGS]
        root = HILUM_MM[side] + random.uniform(-6, 6, 3)
        _branch(root, ends, 5.6 - 0.8 * tree, random, rods)
    return intersect(union(*rods), pleura.cavity)


def _branch(start: Array, ends: Array, radius: float, random: np.random.Generator, rods: list[Solid]) -> None:
    if len(ends) == 1:
        rods.append(capsule(start, ends[0], radius, 0.6, spare_mm=2))
        return
    fork = start + random.uniform(0.3, 0.5) * (ends.mean(axis=0) - start)
    rods.append(capsule(start, fork, radius, radius * 0.85, spare_mm=2))
    spread = ends - ends.mean(axis=0)
    longest = np.linalg.svd(spread, full_matrices=False)[2][0]
    order = np.argsort(spread @ longest, kind="stable")
    half = len(ends) // 2
    for part in (order[:half], order[half:]):
        share = (len(part) / len(ends)) ** 0.4
        _branch(fork, ends[part], max(radius * share, 0.7), random, rods)
