"""How one made patient differs from the next: all that the seed decides about the body, as numbers."""

from dataclasses import dataclass

import numpy as np

# Where the body's own frame lies: x left, y posterior, z superior, in mm, z = 0 a little below the carina.
CARINA_Z_MM = 12.0


@dataclass(frozen=True)
class Habitus:
    """Lengths in mm, in the body's own frame. Ranges are wide enough that patients differ at a glance."""

    female: bool
    half_width: float  # of the rib cage's inside, at its widest
    half_depth: float
    apex_z: float  # top of the higher lung
    apex_drop_left: float
    dome_z_right: float  # top of the right diaphragm dome
    dome_drop_left: float  # how much lower the left one stands
    recess_depth: float  # how far the lungs reach below the dome at the wall
    left_narrowing: float  # share of half_width that the left side lacks
    heart_scale: float
    heart_left: float  # how far the heart lies to the left
    muscle: float  # thickness outside the ribs, at the sides
    fat: float  # thickness under the skin, at the sides
    kyphosis: float
    arms_up: bool
    curved_table: bool
    lung_hu: float
    blood_hu: float
    bone_hu: float
    stomach_gas: float  # radius
    turn_deg: tuple[float, float, float]  # how crooked the patient lies, about x, y, z
    position_mm: tuple[float, float, float]  # of the body's own origin in the scanner's frame (LPS)


def draw_habitus(random: np.random.Generator, female: bool) -> Habitus:
    """Draw one patient's body. Uses `random` only."""

    def between(low: float, high: float) -> float:
        return float(random.uniform(low, high))

    stature = between(-1, 1)  # tall people have long and wide lungs
    return Habitus(
        female=female,
        half_width=(123 if female else 136) + 6 * stature + between(-6, 6),
        half_depth=(88 if female else 97) + 4 * stature + between(-8, 8),
        apex_z=82 + 6 * stature + between(-4, 4),
        apex_drop_left=between(-6, 10),
        dome_z_right=-68 - 8 * stature + between(-13, 13),
        dome_drop_left=between(6, 22),
        recess_depth=between(30, 46),
        left_narrowing=between(-0.01, 0.07),
        heart_scale=between(0.85, 1.2),
        heart_left=between(8, 24),
        muscle=(13 if female else 18) + between(0, 8),
        fat=float(random.triangular(6, 14, 38)),
        kyphosis=between(0.6, 1.5),
        arms_up=bool(random.random() < 0.75),
        curved_table=bool(random.integers(2)),
        lung_hu=between(-880, -790),
        blood_hu=float(random.choice([42, 130, 190])),
        bone_hu=between(0.75, 1.15),
        stomach_gas=between(16, 32),
        turn_deg=(between(-2, 2), between(-3, 3), between(-9, 9)),
        position_mm=(between(-14, 14), between(-190, -120), between(-420, 180)),
    )
