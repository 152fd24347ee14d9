"""Solids known by formula, in mm: what lies inside, what volume, and the outline on a plane."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

POINTS = 360  # of a circle: its polygon is 0.005 % smaller
Inside = Callable[[np.ndarray], np.ndarray]
Outlines = Callable[[float], list[np.ndarray]]


@dataclass(frozen=True)
class Solid:
    """inside: (..., 3) mm -> bool. outlines: z in mm -> closed (n, 2) outlines, x and y; holes among them."""

    name: str
    volume_mm3: float
    inside: Inside
    outlines: Outlines


def circle(x: float, y: float, radius_mm: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, POINTS, endpoint=False) + 0.1234
    return np.column_stack([x + radius_mm * np.cos(angle), y + radius_mm * np.sin(angle)])


def seven(centres_mm: np.ndarray) -> list[Solid]:
    """Sphere, cube, cylinder, ellipsoid, torus, hollow sphere, hollow cylinder round `centres_mm`, (7, 3)."""
    makers = (sphere, cube, cylinder, ellipsoid, torus, hollow_sphere, hollow_cylinder)
    return [make(centre) for make, centre in zip(makers, centres_mm, strict=True)]


def sphere(centre: np.ndarray, radius: float = 20.3, name: str = "sphere") -> Solid:
    return Solid(
        name,
        4 / 3 * np.pi * radius**3,
        lambda p: ((p - centre) ** 2).sum(axis=-1) < radius**2,
        lambda z: _disc(centre, radius**2 - (z - centre[2]) ** 2),
    )


def cube(centre: np.ndarray, half: float = 17.3) -> Solid:
    corners = centre[:2] + half * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    return Solid(
        "cube",
        (2 * half) ** 3,
        lambda p: (np.abs(p - centre) < half).all(axis=-1),
        lambda z: [corners] if abs(z - centre[2]) < half else [],
    )


def cylinder(centre: np.ndarray, radius: float = 15.2, half: float = 21.4) -> Solid:
    def inside(p: np.ndarray) -> np.ndarray:
        return (((p - centre)[..., :2] ** 2).sum(axis=-1) < radius**2) & (np.abs(p[..., 2] - centre[2]) < half)

    outlines: Outlines = lambda z: _disc(centre, radius**2) if abs(z - centre[2]) < half else []  # noqa: E731
    return Solid("cylinder", np.pi * radius**2 * 2 * half, inside, outlines)


def ellipsoid(centre: np.ndarray, radii: tuple[float, float, float] = (24.1, 12.7, 18.9)) -> Solid:
    def outlines(z: float) -> list[np.ndarray]:
        left = 1 - ((z - centre[2]) / radii[2]) ** 2
        return [circle(0, 0, np.sqrt(left)) * radii[:2] + centre[:2]] if left > 0 else []

    return Solid(
        "ellipsoid",
        4 / 3 * np.pi * float(np.prod(radii)),
        lambda p: (((p - centre) / radii) ** 2).sum(axis=-1) < 1,
        outlines,
    )


def torus(centre: np.ndarray, ring: float = 18.2, tube: float = 7.6) -> Solid:
    def inside(p: np.ndarray) -> np.ndarray:
        q = p - centre
        return (np.hypot(q[..., 0], q[..., 1]) - ring) ** 2 + q[..., 2] ** 2 < tube**2

    def outlines(z: float) -> list[np.ndarray]:
        left = tube**2 - (z - centre[2]) ** 2
        return [circle(*centre[:2], ring + sign * np.sqrt(left)) for sign in (1, -1)] if left > 0 else []

    return Solid("torus", 2 * np.pi**2 * ring * tube**2, inside, outlines)


def hollow_sphere(centre: np.ndarray, outer: float = 20.3, inner: float = 13.1, name: str = "hollow sphere") -> Solid:
    whole, hole = sphere(centre, outer), sphere(centre, inner)
    return _without(name, whole, hole)


def hollow_cylinder(centre: np.ndarray) -> Solid:
    return _without("hollow cylinder", cylinder(centre, 17.4), cylinder(centre, 9.3))


def _without(name: str, whole: Solid, hole: Solid) -> Solid:
    return Solid(
        name,
        whole.volume_mm3 - hole.volume_mm3,
        lambda p: whole.inside(p) & ~hole.inside(p),
        lambda z: whole.outlines(z) + hole.outlines(z),
    )


def _disc(centre: np.ndarray, radius_squared: float) -> list[np.ndarray]:
    return [circle(centre[0], centre[1], np.sqrt(radius_squared))] if radius_squared > 0 else []
