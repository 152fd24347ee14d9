"""Solids as signed fields of position: negative inside, zero on the surface, roughly the distance in mm near it.

Exact at any point, so truth needs no grid. Fields are evaluated on clouds of points; a cloud remembers what was already
computed on it, and a solid whose box the cloud misses answers FAR without computing anything.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Field = NDArray[Any] | float  # float32 shaped as the cloud, or FAR alone
FAR = 1e3
REACH = 12.0  # mm; a field is right at least this far outside its solid, which blending relies on


@dataclass(eq=False)
class Points:
    """A cloud of points in mm: three float32 arrays x, y, z of one shape, and the corners of a box around them."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    z: NDArray[np.float32]
    low: tuple[float, ...]
    high: tuple[float, ...]
    known: dict["Solid | Profile", Field] = field(init=False, default_factory=dict)

    @classmethod
    def of(cls, points_mm: ArrayLike) -> "Points":
        """From (n, 3) coordinates in mm."""
        points = np.asarray(points_mm, float)
        x, y, z = np.ascontiguousarray(points.T, dtype=np.float32)
        return cls(x, y, z, tuple(points.min(axis=0).tolist()), tuple(points.max(axis=0).tolist()))


@dataclass(frozen=True, eq=False)
class Solid:
    """formula: the field on a cloud. box_mm: (2, 3), holds the solid with REACH to spare on every side."""

    formula: Callable[[Points], Field]
    box_mm: Array
    _low: tuple[float, ...] = field(init=False)
    _high: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_low", tuple(self.box_mm[0].tolist()))
        object.__setattr__(self, "_high", tuple(self.box_mm[1].tolist()))

    def misses(self, low: Sequence[float], high: Sequence[float]) -> bool:
        """Whether the box between two corners (mm) lies apart from this solid's."""
        return any(a > b for a, b in zip(low, self._high, strict=True)) or any(
            a < b for a, b in zip(high, self._low, strict=True)
        )

    def at(self, points: Points) -> Field:
        """The field in mm on `points`, or FAR where the cloud misses the solid altogether."""
        if self not in points.known:
            points.known[self] = FAR if self.misses(points.low, points.high) else self.formula(points)
        return points.known[self]


def box(low: ArrayLike, high: ArrayLike, spare_mm: float = REACH) -> Array:
    """(2, 3) box around what lies between `low` and `high`, with `spare_mm` to spare."""
    return np.array([np.asarray(low, float) - spare_mm, np.asarray(high, float) + spare_mm])


EVERYWHERE = box([-np.inf] * 3, [np.inf] * 3)


def ellipsoid(center_mm: ArrayLike, radii_mm: ArrayLike, axes: ArrayLike | None = None) -> Solid:
    """Ellipsoid with `radii_mm` along the rows of `axes` (3, 3) (the coordinate axes unless told)."""
    center, radii = np.asarray(center_mm, float), np.asarray(radii_mm, float)
    turn = np.eye(3) if axes is None else np.asarray(axes, float)
    half = np.sqrt(((turn * radii[:, None]) ** 2).sum(axis=0))
    (cx, cy, cz), rows, lengths = center.tolist(), turn.tolist(), radii.tolist()

    def formula(points: Points) -> Field:
        dx, dy, dz = points.x - cx, points.y - cy, points.z - cz
        near, slope = np.float32(1e-12), np.float32(1e-12 / lengths[0] ** 2)  # no 0/0 at the centre
        for (a, b, c), radius in zip(rows, lengths, strict=True):
            scaled = (a * dx + b * dy + c * dz) / radius
            near = near + scaled * scaled
            slope = slope + (scaled / radius) ** 2
        root = np.sqrt(near)
        return root * (root - 1) / np.sqrt(slope)

    return Solid(formula, box(center - half, center + half))


def capsule(
    start_mm: ArrayLike,
    end_mm: ArrayLike,
    start_radius: float,
    end_radius: float | None = None,
    spare_mm: float = REACH,
) -> Solid:
    """A rod with round ends whose radius changes linearly from `start_radius` to `end_radius` (mm).

    spare_mm: how far outside its field is asked for; less than REACH is faster, and only for rods that blend with none.
    """
    start, end = np.asarray(start_mm, float), np.asarray(end_mm, float)
    r0, r1 = float(start_radius), float(start_radius if end_radius is None else end_radius)
    along = end - start
    (sx, sy, sz), (ax, ay, az) = start.tolist(), along.tolist()
    length2 = float(along @ along) or 1.0

    def formula(points: Points) -> Field:
        dx, dy, dz = points.x - sx, points.y - sy, points.z - sz
        t = np.minimum(np.maximum((dx * ax + dy * ay + dz * az) / length2, 0), 1)
        dx -= t * ax
        dy -= t * ay
        dz -= t * az
        return np.sqrt(dx * dx + dy * dy + dz * dz) - (r0 + t * (r1 - r0))

    widest = max(r0, r1)
    return Solid(formula, box(np.minimum(start, end) - widest, np.maximum(start, end) + widest, spare_mm))


def tube(points_mm: Sequence[ArrayLike], radii_mm: Sequence[float]) -> Solid:
    """Capsules along a line of points, one radius a point."""
    pairs = zip(points_mm[:-1], points_mm[1:], radii_mm[:-1], radii_mm[1:], strict=True)
    return union(*(capsule(*pair) for pair in pairs))


def union(*solids: Solid, blend_mm: float = 0.0) -> Solid:
    """All of `solids`; corners between them are filled by a fillet of about `blend_mm` (at most REACH)."""

    low, high = (np.array([solid.box_mm[end] for solid in solids]) for end in (0, 1))

    def formula(points: Points) -> Field:
        result: Field = FAR
        for index in np.flatnonzero((low <= points.high).all(axis=1) & (high >= points.low).all(axis=1)):
            value = solids[index].at(points)
            if not isinstance(value, float):
                result = value if isinstance(result, float) else soft_minimum(result, value, blend_mm)
        return result

    return Solid(formula, np.array([low.min(axis=0), high.max(axis=0)]))


def intersect(*solids: Solid, blend_mm: float = 0.0) -> Solid:
    """What lies in each of `solids`; edges are rounded by about `blend_mm`."""

    def formula(points: Points) -> Field:
        result: Field | None = None
        for solid in solids:
            value = solid.at(points)
            if isinstance(value, float):
                return FAR
            result = value if result is None else -soft_minimum(-result, -value, blend_mm)
        return FAR if result is None else result

    return Solid(
        formula, np.array([np.max([s.box_mm[0] for s in solids], 0), np.min([s.box_mm[1] for s in solids], 0)])
    )


def subtract(solid: Solid, *others: Solid, blend_mm: float = 0.0) -> Solid:
    """`solid` without `others`; new edges are rounded by about `blend_mm`."""

    def formula(points: Points) -> Field:
        result = solid.at(points)
        for other in others:
            value = FAR if isinstance(result, float) else other.at(points)
            if not isinstance(value, float):
                result = -soft_minimum(-result, value, blend_mm)
        return result

    return Solid(formula, solid.box_mm)


def grow(solid: Solid, by_mm: float) -> Solid:
    """`solid` with its surface moved outwards by `by_mm` (negative: inwards)."""

    def formula(points: Points) -> Field:
        value = solid.at(points)
        return value if isinstance(value, float) else value - by_mm

    out = max(by_mm, 0.0)
    return Solid(formula, solid.box_mm + np.array([[-out], [out]]))


def soft_minimum(a: Field, b: Field, blend_mm: float) -> Field:
    """The smaller of two fields; where they differ by less than `blend_mm`, smoothly less than both."""
    if blend_mm <= 0:
        return np.minimum(a, b)
    fillet = np.maximum(blend_mm - np.abs(a - b), 0)
    return np.minimum(a, b) - fillet * fillet * (0.25 / blend_mm)


@dataclass(frozen=True, eq=False)
class Profile:
    """A smooth curve over z through `values` at rising `knots_mm`, flat beyond both ends."""

    knots_mm: Sequence[float]
    values: Sequence[float]

    def at(self, points: Points) -> NDArray[np.float32]:
        """Its value at each point's z."""
        if self not in points.known:
            points.known[self] = self._between(points.z, points.low[2], points.high[2])
        return np.asarray(points.known[self])

    def value(self, z_mm: float) -> float:
        return float(self._between(np.array([z_mm], np.float32), z_mm, z_mm)[0])

    def _between(self, z: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
        """Knots that lie wholly below `low` or above `high` are skipped: they change nothing."""
        knots, values = self.knots_mm, self.values
        start = next((n for n in range(len(knots) - 1, 0, -1) if knots[n] <= low), 0)
        result = np.full_like(z, values[start])
        for n in range(start, len(knots) - 1):
            if knots[n] >= high:
                break
            t = np.minimum(np.maximum((z - knots[n]) / (knots[n + 1] - knots[n]), 0), 1)
            result += (values[n + 1] - values[n]) * (t * t * (3 - 2 * t))
        return result
