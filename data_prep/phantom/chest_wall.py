"""What lies around the lungs: rib cage, spine, sternum, shoulders, muscle, fat. All in the body's own frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.phantom.habitus import Habitus
from data_prep.phantom.solids import (
    Array,
    Field,
    Points,
    Profile,
    Solid,
    box,
    capsule,
    ellipsoid,
    subtract,
    tube,
    union,
)

RIB_PITCH_MM, RIB_SLOPE, RIBS = 24.0, 0.42, 12
VERTEBRA_PITCH_MM = 25.0
CANAL_BEHIND_MM = 25.0  # from the middle of a vertebral body to that of its canal


@dataclass(frozen=True)
class ChestWall:
    """cage: the inside of ribs and abdominal wall. spine_y: the middle of the vertebral bodies."""

    cage: Solid
    spine_y: Profile
    skin: Solid
    muscle: Solid
    breasts: Solid | None
    glands: Solid | None
    bones: Solid
    cord: Solid
    canal: Solid


def build_chest_wall(body: Habitus) -> ChestWall:
    cage, spine_y = _cage(body), _spine_curve(body)
    canal = _along_spine(spine_y, CANAL_BEHIND_MM, 9.5, 8.5)
    bones = union(_ribs(body, cage), _sternum(body, cage), subtract(_vertebrae(spine_y), canal), *_shoulder_bones(body))
    breasts, glands = _breasts(body)
    return ChestWall(
        cage=cage,
        spine_y=spine_y,
        skin=_outline(body, body.fat),
        muscle=_outline(body, 0.0),
        breasts=breasts,
        glands=glands,
        bones=bones,
        cord=_along_spine(spine_y, CANAL_BEHIND_MM, 6.0, 4.8),
        canal=canal,
    )


def column(center_x: float, center_y: Profile, half_width: Profile, half_depth: Profile, widest: float) -> Solid:
    """An upright trunk of rounded cross sections |u|^2.5 + |v|^2.5 = 1; `widest` bounds it sideways."""

    def formula(points: Points) -> Field:
        width, depth = half_width.at(points), half_depth.at(points)
        u, v = np.abs(points.x - center_x) / width, np.abs(points.y - center_y.at(points)) / depth
        u15, v15 = u * np.sqrt(u), v * np.sqrt(v)
        slope = 2.5 * np.sqrt((u15 / width) ** 2 + (v15 / depth) ** 2)
        return (u * u15 + v * v15 - 1) / np.maximum(slope, 1 / width)

    return Solid(formula, box([-widest, -widest, -np.inf], [widest, widest, np.inf]))


def _cage(body: Habitus) -> Solid:
    knots = [-240.0, -60.0, 15.0, 65.0, 115.0]
    width = body.half_width * (1 - body.left_narrowing / 2)
    return column(
        -body.half_width * body.left_narrowing / 2,
        Profile([-60, 20, 100], [0, 2, 14]),
        Profile(knots, [width * share for share in (0.95, 1.0, 0.94, 0.8, 0.58)]),
        Profile(knots, [body.half_depth * share for share in (0.94, 1.0, 0.93, 0.79, 0.62)]),
        widest=180,
    )


def _spine_curve(body: Habitus) -> Profile:
    middle, bend = body.half_depth * 0.66, body.kyphosis
    return Profile([-240, -120, -20, 60, 150], [middle + bend * shift for shift in (-16, -5, 0, -8, -24)])


def _outline(body: Habitus, fat: float) -> Solid:
    width, depth = body.half_width + 12 + body.muscle * 0.8 + fat, body.half_depth + 22
    shoulder = body.half_width + (26 if body.arms_up else 32) + body.muscle * 0.8 + fat * 0.8
    widths = [width - 6, width, width, shoulder, shoulder * 0.82, 62 + fat * 0.3]
    depths = [depth + fat * 0.9, depth + fat * 0.6, depth - 6 + fat * 0.6, 76 + fat * 0.5, 62 + fat * 0.3]
    trunk = column(
        center_x=0.0,
        center_y=Profile([-60, 100], [7, 14]),
        half_width=Profile([-240, -70, 30, 100, 128, 165], widths),
        half_depth=Profile([-240, -70, 30, 110, 165], depths),
        widest=240,
    )
    return union(trunk, *(_arm(body, side, fat * 0.35) for side in (-1, 1)), blend_mm=10.0)


def _arm(body: Habitus, side: int, fat: float) -> Solid:
    """One arm's muscle and fat; only its root where the arms are down."""
    shoulder = body.half_width + 12
    if body.arms_up:
        line = [(side * (shoulder - 8), 8, 92), (side * (shoulder + 4), -6, 175), (side * shoulder, -22, 320)]
        return tube(line, [36 + fat, 36 + fat, 34 + fat])
    return tube([(side * shoulder, 12, 98), (side * (shoulder + 22), 10, 62)], [34 + fat, 36 + fat])


def _shoulder_bones(body: Habitus) -> list[Solid]:
    shoulder = body.half_width + 8
    solids = []
    for side in (-1, 1):
        head = (side * shoulder, 8.0, 104.0)
        reach = (side * (shoulder + 4), -8.0, 330.0) if body.arms_up else (side * (shoulder + 20), 10.0, 40.0)
        across, down = np.array([side * 0.82, -0.57, 0.0]), np.array([side * 0.12, 0.17, 0.98])
        blade = np.array([across, down, np.cross(across, down)])
        middle = (side * body.half_width * 0.72, body.half_depth * 0.72 + 16, 42.0)
        solids += [
            ellipsoid(head, (21, 20, 22)),
            capsule(head, reach, 11),
            ellipsoid(middle, (46, 58, 5.0), blade),
            tube([(side * 20, -44, 62), (side * 75, -40, 84), (side * (shoulder - 14), 4, 112)], [8, 6, 7]),
        ]
    return solids


def _breasts(body: Habitus) -> tuple[Solid | None, Solid | None]:
    if not body.female:
        return None, None
    front, size = -(body.half_depth + 10 + body.fat * 0.5), 0.75 + body.fat / 60
    centers = [(side * 78.0, front, -32.0) for side in (-1, 1)]
    breasts = union(*(ellipsoid(c, (60 * size, 30 * size, 52 * size)) for c in centers))
    glands = union(*(ellipsoid((x, y - 10 * size, z), (32, 11 * size, 30)) for x, y, z in centers))
    return breasts, glands


def _ribs(body: Habitus, cage: Solid) -> Solid:
    """Bands 7 mm outside the cage's inner face, sloping down to the front, ending at the costal arch."""
    back, front, top = body.half_depth + 8, -body.half_depth, body.apex_z + 8
    steep = float(np.hypot(1, RIB_SLOPE))

    def formula(points: Points) -> Field:
        level = points.z + RIB_SLOPE * (back - points.y)
        number = np.clip(np.round((top - level) / RIB_PITCH_MM), 0, RIBS - 1)
        off = (level - (top - RIB_PITCH_MM * number)) / steep
        band = (np.sqrt(((cage.at(points) - 7) / 4) ** 2 + (off / 6.5) ** 2) - 1) * 4.5
        arch = (-78 - 0.75 * np.abs(points.x) - 1.3 * (points.y - front) - points.z) * 0.55
        beside_spine = np.where(points.y > 0, 16 - np.abs(points.x), -50)
        return np.maximum(np.maximum(band, arch), beside_spine)

    return Solid(formula, _between(cage, -280, body.apex_z + 20))


def _between(solid: Solid, low_z: float, high_z: float) -> Array:
    bounds = solid.box_mm.copy()
    bounds[:, 2] = low_z, high_z
    return bounds


def _sternum(body: Habitus, cage: Solid) -> Solid:
    half_width = Profile([-80, -60, 25, 50], [8, 16, 15, 26])

    def formula(points: Points) -> Field:
        plate = np.abs(cage.at(points) - 8) - 5
        wide = np.abs(points.x) - half_width.at(points)
        tall = np.maximum(points.z - 58, -82 - points.z)
        return np.maximum(np.maximum(plate, wide), np.maximum(tall, points.y + 10))

    return Solid(formula, box([-30, -body.half_depth - 40, -82], [30, -10, 58]))


def _along_spine(spine_y: Profile, behind: float, half_width: float, half_depth: float) -> Solid:
    """An elliptical rod that follows the spine, `behind` mm posterior of the vertebral bodies' middle."""

    def formula(points: Points) -> Field:
        u, v = points.x / half_width, (points.y - spine_y.at(points) - behind) / half_depth
        near = np.sqrt(u * u + v * v + np.float32(1e-9))
        return near * (near - 1) / np.sqrt((u / half_width) ** 2 + (v / half_depth) ** 2 + np.float32(1e-11))

    return Solid(formula, box([-half_width, -60, -np.inf], [half_width, 200, np.inf]))


def _vertebrae(spine_y: Profile) -> Solid:
    """Bodies, arch around the canal, spinous and transverse processes; discs are left to `is_disc`."""
    bodies, arch = _along_spine(spine_y, 0.0, 19.0, 15.0), _along_spine(spine_y, CANAL_BEHIND_MM, 14.0, 12.5)

    def processes(points: Points) -> Field:
        y = points.y - spine_y.at(points)
        off = np.mod(points.z + 0.5 * np.maximum(y - 30, 0), VERTEBRA_PITCH_MM) - VERTEBRA_PITCH_MM / 2
        spinous = np.maximum(np.maximum(np.abs(points.x) - 3.5, np.abs(off) - 8), np.abs(y - 46) - 15)
        transverse = np.maximum(np.maximum(np.abs(points.x) - 31, np.abs(off) - 6), np.abs(y - 19) - 5)
        return np.minimum(spinous, transverse)

    return union(bodies, arch, Solid(processes, box([-32, -60, -np.inf], [32, 200, np.inf])), blend_mm=2.0)


def is_disc(points: Points, wall: ChestWall) -> NDArray[np.bool_]:
    """Where a vertebral body gives way to the disc between two."""
    off = np.mod(points.z, VERTEBRA_PITCH_MM)
    return (np.minimum(off, VERTEBRA_PITCH_MM - off) < 3) & (np.abs(points.y - wall.spine_y.at(points)) < 17)
