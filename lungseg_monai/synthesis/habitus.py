"""One person drawn at random: build, sex, age, posture, contrast medium. In the body's own frame, mm."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Habitus:
    """half_width, half_depth: of the rib cage at its widest. dome_right, dome_left: heights of the diaphragm.

    shift: how far heart and midline lie to the left of their usual place. arms: "up", "down" or "absent".
    """

    female: bool
    half_width: float
    half_depth: float
    roundness: float
    apex_right: float
    apex_left: float
    dome_right: float
    dome_left: float
    fall: float
    shift: float
    septum_bend: float
    heart: float
    muscle: float
    fat: float
    belly: float
    kyphosis: float
    scoliosis: float
    hollow_chest: float
    arms: str
    prone: bool
    trachea: float
    blood_hu: float
    vein_hu: float
    lung_hu: float
    bone_hu: float
    stomach_gas: float
    bowel_gas: float


def draw_habitus(random: np.random.Generator, difficulty: float) -> Habitus:
    """Draw one person. difficulty: 0 ordinary builds only, 1 all of them."""

    def between(low: float, high: float) -> float:
        return float(random.uniform(low, high))

    def rarely(chance: float) -> bool:
        return bool(random.random() < chance * (0.3 + 0.7 * difficulty))

    dome_right = between(-115, -60)
    dome_left = dome_right - between(-8, 24)
    if rarely(0.25):
        dome_left += between(10, 80)
    if rarely(0.12):
        dome_right += between(10, 60)
    contrast = random.random() < 0.5
    blood = between(110, 350) if contrast else between(32, 60)
    flat = random.random()
    lung_hu = between(-900, -770)
    if flat < 0.12:
        lung_hu = between(-770, -620)
    elif flat < 0.27:
        lung_hu = between(-960, -900)
    return Habitus(
        female=bool(random.random() < 0.45),
        half_width=between(112, 148),
        half_depth=between(76, 112),
        roundness=between(2.1, 3.0),
        apex_right=between(84, 116),
        apex_left=between(84, 116),
        dome_right=dome_right,
        dome_left=dome_left,
        fall=between(26, 72),
        shift=between(-30, 30) if rarely(0.25) else between(-6, 6),
        septum_bend=between(-10, 10),
        heart=between(0.8, 1.25) * (between(1.1, 1.4) if rarely(0.15) else 1.0),
        muscle=between(8, 24),
        fat=float(random.triangular(3, 10, 48)),
        belly=between(0.85, 1.15),
        kyphosis=between(-6, 22),
        scoliosis=between(-22, 22) if rarely(0.2) else between(-4, 4),
        hollow_chest=between(8, 34) if rarely(0.1) else 0.0,
        arms=str(random.choice(["up", "down", "absent"], p=[0.65, 0.2, 0.15])),
        prone=rarely(0.08),
        trachea=between(5, 12.5),
        blood_hu=blood,
        vein_hu=between(150, 900) if contrast and random.random() < 0.3 else blood * between(0.7, 1.0),
        lung_hu=lung_hu,
        bone_hu=between(0.6, 1.3),
        stomach_gas=between(0, 80) if rarely(0.5) else between(5, 34),
        bowel_gas=between(0.0, 1.0),
    )
