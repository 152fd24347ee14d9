"""The two pleural cavities: within the cage, above the diaphragm, beside the mediastinum."""

import numpy as np

from lungseg_monai.synthesis.chest import LEFT, RIGHT
from lungseg_monai.synthesis.fields import Field, soft_maximum
from lungseg_monai.synthesis.frame import Frame
from lungseg_monai.synthesis.habitus import Habitus
from lungseg_monai.synthesis.middle import Middle

SIDES = {RIGHT: -1.0, LEFT: 1.0}
WALL_MM = 2.0  # pleura and fat between lung and ribs


def diaphragm(frame: Frame, body: Habitus, random: np.random.Generator) -> Field:
    """Negative above it: a dome a side, lower in front of the spine, falling off deep behind."""
    domes = []
    for label, side in SIDES.items():
        top = body.dome_right if label == RIGHT else body.dome_left
        centre = side * body.half_width * float(random.uniform(0.4, 0.55))
        u = (frame.x - np.float32(centre)) / np.float32(body.half_width * random.uniform(0.48, 0.62))
        ahead, behind = body.half_depth * random.uniform(0.95, 1.3), body.half_depth * random.uniform(0.7, 0.95)
        away = frame.y + np.float32(random.uniform(0, 22))
        v = away / np.where(away < 0, np.float32(ahead), np.float32(behind))
        fall = np.float32(body.fall)
        steep = 2 * fall * np.sqrt((u / np.float32(0.55 * body.half_width)) ** 2 + (v / np.float32(ahead)) ** 2)
        domes.append((np.float32(top) - fall * (u * u + v * v) - frame.z) / np.sqrt(1 + steep * steep))
    # Each side has its own dome; between them the two meet.
    share = np.clip(0.5 + frame.x / 40, 0, 1)
    return (domes[0] * (1 - share) + domes[1] * share).astype(np.float32)


def cavities(frame: Frame, body: Habitus, inner: Field, under: Field, middle: Middle) -> Field:
    """Distance field of both cavities together; sides by the midline (middle.side)."""
    field = soft_maximum(inner + np.float32(WALL_MM), _apices(frame, body), 5.0)
    field = soft_maximum(field, under + 2, 4.0)
    return soft_maximum(field, -middle.whole, 5.0)


def _apices(frame: Frame, body: Habitus) -> Field:
    """Paraboloids that close the lungs upwards."""
    caps = []
    for label, side in SIDES.items():
        top = body.apex_right if label == RIGHT else body.apex_left
        u = (frame.x - np.float32(side * 0.41 * body.half_width)) / np.float32(0.34 * body.half_width)
        v = (frame.y - 14) / np.float32(0.52 * body.half_depth)
        steep = np.sqrt((2 * u / 42) ** 2 + (2 * v / 50) ** 2 + np.float32(1 / 22**2))
        caps.append((u * u + v * v - (np.float32(top) - frame.z) / 22) / steep)
    return np.minimum(*caps)
