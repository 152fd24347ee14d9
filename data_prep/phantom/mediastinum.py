"""What lies between the lungs: heart, great vessels, airways, oesophagus. All in the body's own frame (x left)."""

from dataclasses import dataclass

import numpy as np

from data_prep.phantom.chest_wall import ChestWall
from data_prep.phantom.habitus import CARINA_Z_MM, Habitus
from data_prep.phantom.solids import Array, Field, Points, Profile, Solid, box, ellipsoid, grow, tube, union

AIRWAY_WALL_MM = 1.5
HILUM_LEFT_MM, HILUM_RIGHT_MM = np.array([43.0, 20.0, -8.0]), np.array([-42.0, 17.0, -12.0])


@dataclass(frozen=True)
class Mediastinum:
    """whole: everything the lungs leave out in the middle. airways: wall included; air: the lumen alone."""

    whole: Solid
    heart: Solid
    blood: Solid  # great vessels, cardiac chambers apart
    aorta: Solid
    airways: Solid
    air: Solid
    oesophagus: Solid


def build_mediastinum(body: Habitus, wall: ChestWall) -> Mediastinum:
    heart, aorta, air, oesophagus = _heart(body), _aorta(wall), _airways(), _oesophagus(wall)
    blood = union(aorta, *_other_vessels(body))
    airways = grow(air, AIRWAY_WALL_MM)
    hila = [ellipsoid(center, (13, 15, 19)) for center in (HILUM_LEFT_MM, HILUM_RIGHT_MM)]
    central_airways = grow(tube(*_trachea_and_main_bronchi()), AIRWAY_WALL_MM + 1)
    spine = _beside_spine(wall)
    whole = union(
        _septum(body), spine, grow(heart, 3), grow(blood, 2), central_airways, oesophagus, *hila, blend_mm=9.0
    )
    return Mediastinum(whole, heart, blood, aorta, airways, air, oesophagus)


def _heart(body: Habitus) -> Solid:
    size, z = body.heart_scale, body.dome_z_right + 32
    tip = _unit([0.74, -0.45, -0.5])  # the apex of the heart points left, forward, down
    across = _unit(np.cross(tip, [0, 0, 1]))
    axes = np.array([tip, across, np.cross(tip, across)])
    return union(
        ellipsoid((body.heart_left, -26, z), np.array([60, 43, 45]) * size, axes),
        ellipsoid((body.heart_left - 40 * size, -18, z + 2), np.array([26, 30, 36]) * size),
        ellipsoid((6, 12, z + 20), np.array([33, 20, 22]) * size),
        blend_mm=10.0,
    )


def _aorta(wall: ChestWall) -> Solid:
    beside = [(23.0, wall.spine_y.value(z) - 15, z) for z in (20.0, -30.0, -90.0, -160.0, -320.0)]  # fmt: skip
    beside[-2:] = [(x - shift, y, z) for shift, (x, y, z) in zip((8, 14), beside[-2:], strict=True)]
    return tube(
        [(-2, -22, -25), (-14, -26, 12), (-8, -22, 34), (6, -6, 46), (17, 14, 44), *beside],
        [14, 15, 15, 14, 13, 12.5, 12, 11.5, 11, 10],
    )


def _other_vessels(body: Habitus) -> list[Solid]:
    heart_z = body.dome_z_right + 32
    return [
        tube([(16, -42, heart_z + 30), (18, -26, 4), (20, -10, 8)], [14, 14, 13]),  # pulmonary trunk
        tube([(20, -12, 8), (34, 8, 5), tuple(HILUM_LEFT_MM)], [12, 11, 9]),
        tube([(16, -14, 4), (-14, -6, -2), tuple(HILUM_RIGHT_MM)], [11, 11, 9]),
        tube([(-22, -8, 75), (-25, -14, 10), (-27, -16, heart_z + 20)], [8, 9, 10]),  # superior vena cava
        tube([(-22, 4, heart_z), (-20, 16, heart_z - 50), (-18, 22, -320)], [12, 11, 10]),  # inferior vena cava
        tube([(14, -14, 46), (26, -4, 85), (24, 0, 170)], [5, 4.5, 4]),  # left common carotid
        tube([(4, -18, 46), (-16, -10, 85), (-24, 0, 170)], [6.5, 5, 4]),  # brachiocephalic
        tube([(18, 4, 46), (34, 12, 82), (70, 6, 98)], [5, 5, 4.5]),  # left subclavian
    ]


def _trachea_and_main_bronchi() -> tuple[list, list]:
    """One line down the right side, back up and out to the left: where it runs twice changes nothing."""
    carina = (2, 20, CARINA_Z_MM)
    right, left = (-31, 23, -10), (38, 27, -15)
    return [(0, -2, 170), (0, 10, 80), carina, right, carina, left], [8.5, 9, 9, 7, 8, 6.5]


def _airways() -> Solid:
    return union(
        tube(*_trachea_and_main_bronchi()),
        tube([(-24, 22, -4), (-46, 18, 4), (-58, 14, 16)], [5, 4.2, 3]),  # right upper lobe
        tube([(-31, 23, -10), (-37, 24, -32), (-48, 34, -58)], [7, 5.2, 3.4]),  # intermediate and lower
        tube([(-36, 22, -28), (-52, -2, -42)], [4, 3]),  # middle lobe
        tube([(38, 27, -15), (54, 14, -8), (62, 8, 8)], [5.5, 4.4, 3]),  # left upper lobe
        tube([(38, 27, -15), (43, 36, -34), (54, 44, -60)], [6, 4.8, 3.2]),  # left lower lobe
        blend_mm=1.5,
    )


def _oesophagus(wall: ChestWall) -> Solid:
    line = [(x, wall.spine_y.value(z) - 24, z) for x, z in ((2, 160), (4, 40), (4, -30), (12, -80))]
    return tube([*line, (34, 10, -118)], [6.5, 7, 7, 8, 10])


def _septum(body: Habitus) -> Solid:
    """The sheet of fat from sternum to spine that parts the lungs: wide above, thin behind the sternum."""

    middle = Profile([-110, -40], [body.heart_left * 0.5, 2])
    wide = Profile([-120, -30, 5, 50, 95], [15, 6, 8, 21, 29])

    def formula(points: Points) -> Field:
        thin_in_front = 0.55 + 0.45 * np.minimum(np.maximum((points.y + 75) / 40, 0), 1)
        return np.abs(points.x - middle.at(points)) - wide.at(points) * thin_in_front

    return Solid(formula, box([-45, -np.inf, -np.inf], [50, np.inf, np.inf]))


def _beside_spine(wall: ChestWall) -> Solid:
    def formula(points: Points) -> Field:
        y = np.maximum(points.y - wall.spine_y.at(points), 0)  # behind the bodies' middle it runs straight to the wall
        front = np.minimum(points.y - wall.spine_y.at(points), 0)
        return np.sqrt((points.x * 0.86) ** 2 + front * front + np.float32(1e-6)) - 19 - 0.15 * y

    return Solid(formula, box([-45, -20, -np.inf], [45, 200, np.inf]))


def _unit(vector: list[float] | Array) -> Array:
    return np.asarray(vector, float) / np.linalg.norm(vector)
