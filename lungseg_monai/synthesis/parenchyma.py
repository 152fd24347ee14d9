"""What fills the lungs: air and tissue, vessels that thin out from the hilum, fissures."""

import numpy as np

from lungseg_monai.synthesis.chest import Chest
from lungseg_monai.synthesis.fields import Field, blend, noise, share
from lungseg_monai.synthesis.frame import Frame
from lungseg_monai.synthesis.habitus import Habitus
from lungseg_monai.synthesis.lungs import SIDES
from lungseg_monai.synthesis.shapes import paint, tube

Branch = tuple[list[tuple[float, float, float]], list[float]]


def paint_lungs(frame: Frame, chest: Chest, body: Habitus, cavity: Field, random: np.random.Generator) -> None:
    """Parenchyma with its vessels wherever `cavity` is negative."""
    shape, mm = chest.hu.shape, frame.spacing_mm
    dorsal = np.float32((-0.5 if body.prone else 0.5) * random.uniform(0.1, 1.1))
    air = np.float32(body.lung_hu) + dorsal * frame.y
    air += np.float32(random.uniform(5, 30)) * noise(shape, 60 / mm, random)
    air += np.float32(random.uniform(3, 18)) * noise(shape, 15 / mm, random)
    air += np.float32(random.uniform(2, 14)) * noise(shape, 6 / mm, random)
    to_hilum = np.minimum(*(_distance(frame, centre) for centre in chest.hilum_mm.values()))
    thin = np.float32(random.uniform(0.5, 1.3)) * np.clip(1.3 - to_hilum / 110, 0.15, 1.2).astype(np.float32)
    flesh = np.float32(body.blood_hu * 0.8)
    for cell, width in ((26 / mm, 0.26), (15 / mm, 0.22)):
        strand = noise(shape, cell, random) ** 2 + noise(shape, cell, random) ** 2
        blend(air, np.exp(-strand / (np.float32(width) * thin) ** 2), flesh)
    for side in SIDES.values():
        tilt = random.uniform(-0.2, 0.2)
        plane = frame.z - np.float32(-25) + 0.75 * (frame.y - 15) + np.float32(tilt) * frame.x * np.float32(side)
        here = (frame.x * side > 0) & (np.abs(plane) < 6)
        air[here] += np.float32(random.uniform(20, 160)) * np.exp(-((plane[here] / 2) ** 2))
    edge = share(cavity, mm)
    blend(chest.hu, edge, np.maximum(air, -1010))


def paint_branches(frame: Frame, chest: Chest, body: Habitus, cavity: Field, random: np.random.Generator) -> None:
    """Arteries and veins from each hilum, a bronchus beside some of them; kept within the cavities."""
    for label, centre in chest.hilum_mm.items():
        for _ in range(int(random.integers(5, 10))):
            line, radii = _branch(np.array(centre), SIDES[label], body, random)
            vessel = tube(frame, line, radii)
            if vessel is None:
                continue
            window, field = vessel
            inside = np.maximum(field, cavity[window])
            blend(chest.hu[window], share(inside, frame.spacing_mm), np.float32(0.9 * body.blood_hu))
            if random.random() < 0.5:
                beside = [(x + 4, y + 3, z + 2) for x, y, z in line]
                paint_bronchus(frame, chest.hu, (beside, [0.75 * r for r in radii]))


def paint_bronchus(frame: Frame, hu: Field, branch: Branch) -> None:
    lumen = tube(frame, *branch)
    paint(hu, lumen, -150.0, frame.spacing_mm, grow_mm=1.0)
    paint(hu, lumen, -960.0, frame.spacing_mm)


def _branch(start: np.ndarray, side: float, body: Habitus, random: np.random.Generator) -> Branch:
    """A line that bends on its way from the hilum to somewhere in the lung."""
    reach, depth = random.uniform(0.4, 0.9), random.uniform(-0.7, 0.7)
    end = np.array([side * body.half_width * reach, body.half_depth * depth, random.uniform(-130, 80)])
    bend = random.normal(0, 9, (2, 3))
    line = [start, start + (end - start) / 3 + bend[0], start + (end - start) * 2 / 3 + bend[1], end]
    thick = float(random.uniform(2.5, 6.0))
    return [(float(x), float(y), float(z)) for x, y, z in line], [thick, 0.75 * thick, 0.5 * thick, 0.8]


def _distance(frame: Frame, point_mm: tuple[float, float, float]) -> Field:
    x, y, z = (np.float32(value) for value in point_mm)
    return np.sqrt((frame.x - x) ** 2 + (frame.y - y) ** 2 + (frame.z - z) ** 2)
