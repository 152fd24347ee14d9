"""What lies below the diaphragm: solid organs, and gas that is not lung."""

import numpy as np

from lungseg_monai.synthesis.fields import Field, blend, share
from lungseg_monai.synthesis.frame import Frame
from lungseg_monai.synthesis.habitus import Habitus
from lungseg_monai.synthesis.shapes import ellipsoid, paint, tube
from lungseg_monai.synthesis.wall import FAT_HU, MUSCLE_HU

GAS_HU = -980.0


def paint_abdomen(frame: Frame, hu: Field, body: Habitus, below: Field, random: np.random.Generator) -> None:
    """Paint all that lies where `below` (under the diaphragm, within the cage) is negative."""
    edge, scratch = frame.spacing_mm, np.full(hu.shape, FAT_HU + 5, np.float32)
    contrast = 0.35 * max(body.blood_hu - 45, 0)
    w, right, left = body.half_width / 130, body.dome_right, body.dome_left
    paint(scratch, ellipsoid(frame, (-64 * w, -6, right - 66), (96 * w, 98, 82)), 55 + 0.8 * contrast, edge)
    paint(scratch, ellipsoid(frame, (6, -44, min(right, left) - 52), (80 * w, 50, 44)), 55 + 0.8 * contrast, edge)
    paint(scratch, ellipsoid(frame, (92 * w, 46, left - 52), (36, 34, 54)), 48 + contrast, edge)
    back = 0.64 * body.half_depth
    for side in (-1, 1):
        paint(scratch, ellipsoid(frame, (side * 58, back + 4, right - 120), (27, 25, 52)), 34 + contrast, edge)
        paint(
            scratch, tube(frame, [(side * 34, back + 6, -130), (side * 48, back + 2, -300)], [18, 26]), MUSCLE_HU, edge
        )
    _paint_bowel(frame, scratch, body, random)
    _paint_stomach(frame, scratch, body)
    blend(hu, share(below, edge), MUSCLE_HU)
    blend(hu, share(below + 3, edge), scratch)


def _paint_stomach(frame: Frame, hu: Field, body: Habitus) -> None:
    """With an air-fluid level: gas rises to the front, to the back in the prone."""
    edge, gas = frame.spacing_mm, body.stomach_gas
    size = 24 + 0.8 * gas
    bag = ellipsoid(frame, (54, -6, body.dome_left - size - 5), (size * 1.05, size, size))
    paint(hu, bag, 45.0, edge)
    paint(hu, bag, 15.0, edge, grow_mm=-4)
    if bag is None:
        return
    window, field = bag
    up = frame.y[window] * np.float32(-1 if body.prone else 1)
    level = np.float32(-6 - size + 2.2 * min(gas, size))
    blend(hu[window], share(np.maximum(field + 4, up - level), edge), GAS_HU)


def _paint_bowel(frame: Frame, hu: Field, body: Habitus, random: np.random.Generator) -> None:
    """Colon under the domes and loops below, part gas, part stool."""
    edge, side = frame.spacing_mm, body.half_width - 34
    top = min(body.dome_left, body.dome_right) - 60
    high = body.dome_left - 40
    line = [(side, 6, high), (side - 30, -46, top - 20), (0, -60, top - 30), (26 - side, -50, top - 24)]
    line.append((-side, 0, top - 60))
    radii = [float(random.uniform(12, 28)) for _ in line]
    colon = tube(frame, line, radii)
    loops = [
        tube(
            frame,
            [tuple(random.uniform((-side, -70, -290), (side, 20, top - 40))) for _ in range(3)],
            [float(random.uniform(9, 20))] * 3,
        )
        for _ in range(int(random.integers(2, 7)))
    ]
    for shape in (colon, *loops):
        paint(hu, shape, 38.0, edge)
        if shape is not None and random.random() < 0.35 + 0.6 * body.bowel_gas:
            window, field = shape
            front = frame.y[window] + np.float32(random.uniform(-10, 60))
            blend(hu[window], share(np.maximum(field + 3, front), edge), GAS_HU)
