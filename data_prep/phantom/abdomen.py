"""What lies below the diaphragm, a stomach bubble (air that is not lung) among it. In the body's own frame (x left)."""

from dataclasses import dataclass

import numpy as np

from data_prep.phantom.chest_wall import ChestWall
from data_prep.phantom.habitus import Habitus
from data_prep.phantom.lungs import LEFT, RIGHT, above_diaphragm
from data_prep.phantom.solids import EVERYWHERE, Field, Points, Solid, ellipsoid, grow, intersect, subtract, tube, union


@dataclass(frozen=True)
class Abdomen:
    """whole: all below the diaphragm, its muscle included. gas: in stomach and colon."""

    whole: Solid
    fat: Solid
    liver: Solid
    spleen: Solid
    stomach: Solid
    kidneys: Solid
    bowel: Solid
    gas: Solid


def build_abdomen(body: Habitus, wall: ChestWall) -> Abdomen:
    right, left = body.dome_z_right, body.dome_z_right - body.dome_drop_left
    below = union(_below(RIGHT, body), _below(LEFT, body), blend_mm=12.0)
    whole = intersect(wall.cage, below)
    fat = intersect(grow(wall.cage, -3), grow(below, -4))
    width = body.half_width / 130
    liver = intersect(
        fat,
        union(
            ellipsoid((-66 * width, -4, right - 62), (92 * width, 92, 78)),
            ellipsoid((8, -42, right - 58), (78 * width, 46, 42)),
            blend_mm=12.0,
        ),
        blend_mm=3.0,
    )
    radius = body.stomach_gas
    stomach = intersect(fat, ellipsoid((62 * width, -12, left - radius - 16), (34 + radius * 0.5, 44, radius + 14)))
    lumen = grow(stomach, -4)
    spleen = subtract(intersect(fat, ellipsoid((92 * width, 48, left - 48), (34, 30, 52))), grow(stomach, 2))
    back = wall.spine_y.value(-200)
    kidneys = union(*(ellipsoid((side * 58, back + 4, left - 108 - 8 * (side < 0)), (27, 25, 52)) for side in (-1, 1)))
    bowel = _bowel(body, left)
    gas = union(intersect(lumen, _in_front_of(-2.0)), intersect(grow(bowel, -3), _in_front_of(-46.0)))
    return Abdomen(whole, fat, liver, spleen, stomach, kidneys, bowel, gas)


def _below(side: str, body: Habitus) -> Solid:
    above = above_diaphragm(side, body)
    return Solid(lambda points: -np.asarray(above.at(points)), EVERYWHERE)


def _bowel(body: Habitus, top: float) -> Solid:
    side, z = body.half_width - 30, top - 92
    line = [(side, -8, z + 4), (side - 30, -46, z - 6), (0, -58, z - 18), (-side + 30, -50, z - 16)]
    return tube(line, [15, 17, 15, 17])


def _in_front_of(y_mm: float) -> Solid:
    def formula(points: Points) -> Field:
        return points.y - y_mm

    return Solid(formula, EVERYWHERE)
