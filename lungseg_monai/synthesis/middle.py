"""What lies between the lungs: heart, great vessels, airways, oesophagus, hila."""

from dataclasses import dataclass

import numpy as np

from lungseg_monai.synthesis.fields import Field, blend, share
from lungseg_monai.synthesis.frame import Frame
from lungseg_monai.synthesis.habitus import Habitus
from lungseg_monai.synthesis.shapes import Shape, ellipsoid, into, paint, profile, tube
from lungseg_monai.synthesis.wall import beside_spine

WALL_MM = 1.6
HILUM_MM = {1: (-40.0, 18.0, -22.0), 2: (43.0, 22.0, -18.0)}


@dataclass
class Middle:
    """whole: all that the lungs leave out in the middle. side: negative on the right of the midline."""

    whole: Field
    side: Field
    heart: list[Shape]
    arteries: list[Shape]
    veins: list[Shape]
    airways: list[Shape]
    gullet: Shape


def build_middle(frame: Frame, body: Habitus, random: np.random.Generator) -> Middle:
    """All of it, moved sideways by body.shift."""
    moved = shifted(frame, body)
    heart, arteries, veins = _heart(moved, body), _arteries(moved, body), _veins(moved, body)
    airways = _airways(moved, body, random)
    gullet = tube(moved, [(2, 34, 170), (4, 40, 40), (6, 42, -40), (14, 30, -100), (34, 10, -128)], [7, 7, 7, 8, 11])
    middle = np.float32(body.septum_bend) * np.sin(frame.y * np.float32(np.pi / 90))
    middle = middle + profile(frame.z, [-130, -40], [body.heart * 10, 2])
    side = moved.x - middle
    wide = profile(frame.z, [-140, -40, 5, 50, 95, 125], [14, 6, 8, 20, 28, 34])
    thin = 0.5 + 0.5 * np.clip((frame.y + 75) / 40, 0, 1)
    whole = (np.abs(side) - wide * thin).astype(np.float32)
    for shape in heart:
        into(whole, shape, blend_mm=9, grow_mm=float(random.uniform(2, 7)))
    for shape in (*arteries, *veins):
        into(whole, shape, blend_mm=8, grow_mm=2)
    for shape in airways[:2]:
        into(whole, shape, blend_mm=7, grow_mm=WALL_MM + 1.5)
    into(whole, gullet, blend_mm=7, grow_mm=1)
    size = float(random.uniform(0.8, 1.25))
    for centre in HILUM_MM.values():
        into(whole, ellipsoid(moved, centre, (12 * size, 15 * size, 18 * size)), blend_mm=8)
    spine = beside_spine(frame, body)
    np.minimum(whole, spine, out=whole)
    return Middle(whole, side, heart, arteries, veins, airways, gullet)


def shifted(frame: Frame, body: Habitus) -> Frame:
    """The frame in which the midline is where it usually is; neck and abdomen stay."""
    bump = np.exp(-(((frame.z + 20) / 90) ** 2)).astype(np.float32)
    x = frame.x - np.float32(body.shift) * bump
    return Frame(x, frame.y, frame.z, frame.spacing_mm, frame.index_from_body, frame.reach_mm + abs(body.shift))


def _heart(frame: Frame, body: Habitus) -> list[Shape]:
    s, z = body.heart, 0.5 * (body.dome_right + min(body.dome_left, body.dome_right + 10)) + 34 * body.heart
    z = float(np.clip(z, -85, -35))
    tip = np.array([0.74, -0.45, -0.5]) / np.linalg.norm([0.74, -0.45, -0.5])
    across = np.cross(tip, [0, 0, 1]) / np.linalg.norm(np.cross(tip, [0, 0, 1]))
    axes = np.array([tip, across, np.cross(tip, across)])
    return [
        ellipsoid(frame, (18, -30, z), (62 * s, 44 * s, 46 * s), axes),
        ellipsoid(frame, (-24 * s, -20, z + 4), (28 * s, 32 * s, 40 * s)),
        ellipsoid(frame, (6, 6, z + 16), (36 * s, 24 * s, 26 * s)),
    ]


def _arteries(frame: Frame, body: Habitus) -> list[Shape]:
    back = 0.64 * body.half_depth
    arch = [(-2, -22, -38), (-14, -26, 4), (-8, -22, 28), (6, -6, 42), (18, 16, 38), (24, back - 16, 14)]
    down = [(24, back - 16, -40), (20, back - 18, -110), (12, back - 24, -170), (2, back - 26, -300)]
    return [
        tube(frame, [*arch, *down], [15, 15, 15, 14, 13, 12.5, 12, 11.5, 11, 10]),
        tube(frame, [(18, -44, -50), (20, -26, -12), (22, -8, -8), (36, 10, -8), HILUM_MM[2]], [15, 15, 14, 11, 9]),
        tube(frame, [(18, -14, -12), (-12, -6, -14), HILUM_MM[1]], [12, 11, 9]),
        tube(frame, [(14, -14, 40), (26, -4, 80), (24, 4, 200)], [5, 5, 4]),
        tube(frame, [(0, -18, 38), (-18, -10, 80), (-24, 4, 200)], [7, 5, 4]),
        tube(frame, [(18, 8, 38), (34, 14, 84), (74, 6, 100)], [6, 5, 5]),
    ]


def _veins(frame: Frame, body: Habitus) -> list[Shape]:
    low = body.dome_right + 24
    return [
        tube(frame, [(-24, -6, 74), (-26, -14, 0), (-27, -14, -40)], [8, 9, 10]),
        tube(frame, [(-22, 6, -60), (-20, 14, low - 30), (-16, 24, -300)], [12, 12, 10]),
        tube(frame, [(-24, -8, 62), (20, -24, 58), (36, -14, 84)], [7, 7, 6]),
        tube(frame, [(-26, -8, 70), (-40, -6, 92), (-80, 2, 100)], [6, 5, 5]),
    ]


def _airways(frame: Frame, body: Habitus, random: np.random.Generator) -> list[Shape]:
    """Lumina: trachea, main bronchi, then lobar ones, thinner."""
    r = body.trachea
    sway = float(random.uniform(-6, 6))
    right, left = (-30, 18, -24), (40, 24, -26)
    carina = (2, 15, 0)
    return [
        tube(frame, [(0, 6, 250), (sway * 0.4, 8, 120), (sway, 12, 55), carina], [r, r, r, 1.05 * r]),
        tube(frame, [right, carina, left], [0.78 * r, 0.85 * r, 0.72 * r]),
        tube(frame, [(-24, 17, -18), (-46, 16, -6), (-58, 12, 10)], [0.6 * r, 0.48 * r, 0.3 * r]),
        tube(frame, [right, (-36, 22, -48), (-48, 34, -76)], [0.7 * r, 0.58 * r, 0.34 * r]),
        tube(frame, [(-35, 20, -42), (-52, -4, -58)], [0.42 * r, 0.3 * r]),
        tube(frame, [left, (56, 12, -20), (64, 4, 0)], [0.6 * r, 0.46 * r, 0.3 * r]),
        tube(frame, [left, (44, 34, -48), (55, 42, -76)], [0.62 * r, 0.52 * r, 0.32 * r]),
    ]


def paint_middle(frame: Frame, hu: Field, body: Habitus, middle: Middle) -> None:
    """Everything but the airways, over the fat of the mediastinum."""
    edge = frame.spacing_mm
    paint(hu, middle.gullet, 32.0, edge)
    for shape in middle.heart:
        paint(hu, shape, 46.0, edge)
    for shape in middle.heart:
        paint(hu, shape, 0.92 * body.blood_hu, edge, grow_mm=-7)
    for shape in middle.arteries:
        paint(hu, shape, body.blood_hu, edge)
    for shape in middle.veins:
        paint(hu, shape, body.vein_hu, edge)


def paint_airways(frame: Frame, hu: Field, middle: Middle) -> Field:
    """Walls and air; returns how deep in the air of trachea and main bronchi a voxel lies (negative inside)."""
    edge, central = frame.spacing_mm, np.full(hu.shape, 1e3, np.float32)
    for number, shape in enumerate(middle.airways):
        wall = 0.5 if number > 1 else 0.0
        paint(hu, shape, 20.0, edge, grow_mm=WALL_MM - wall)
        if number < 2:
            into(central, shape)
    for shape in middle.airways:
        paint(hu, shape, -985.0, edge)
    blend(hu, share(central, edge), -990.0)
    return central
