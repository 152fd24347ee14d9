"""The couch: a shell around foam, flat or hollowed. It stays level however crooked the patient lies on it."""

import numpy as np

from data_prep.phantom.habitus import Habitus
from data_prep.phantom.solids import EVERYWHERE, Array, Field, Points, Solid, grow

THICKNESS_MM, HALF_WIDTH_MM, SHELL_MM, HOLLOW_RADIUS_MM = 32.0, 215.0, 3.0, 420.0


def build_table(body: Habitus, to_world: Array) -> list[tuple[Solid, float]]:
    """Layers (solid, HU) in the body's own frame. to_world: (3, 3) rotation of the body on the table."""
    top = 7 + body.half_depth + 25 + body.fat * 0.6 + 4
    (xx, xy, xz), (yx, yy, yz), _ = to_world.tolist()

    def formula(points: Points) -> Field:
        x = xx * points.x + xy * points.y + xz * points.z
        y = yx * points.x + yy * points.y + yz * points.z
        if body.curved_table:
            y = y + x * x / (2 * HOLLOW_RADIUS_MM)
        return np.maximum(np.maximum(top - y, y - top - THICKNESS_MM), np.abs(x) - HALF_WIDTH_MM)

    shell = Solid(formula, EVERYWHERE)
    return [(shell, -180.0), (grow(shell, -SHELL_MM), -930.0)]
