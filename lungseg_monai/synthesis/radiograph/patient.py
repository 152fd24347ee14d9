"""Who stands before the receptor, and how: habitus, posture, breath, and the beam."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.frame import Pose
from lungseg_monai.synthesis.habitus import Habitus, draw_habitus

BLOOD_HU = 45.0  # no contrast medium
CARDIOMEGALY = 0.1  # share of all, at difficulty 1
LARGE_HEART = 1.16  # of habitus.heart: larger ones are cardiomegaly


@dataclass(frozen=True)
class Patient:
    """turn: (3, 3) from the laboratory to the body. down: along gravity, as findings take it (patient's LPS).

    field_mm: height of the exposed field on the receptor. source_mm, gap_mm: see Beam.
    """

    view: str
    habitus: Habitus
    pose: Pose
    turn: NDArray[np.float64]
    down: tuple[float, float, float]
    field_mm: float
    source_mm: float
    gap_mm: float
    child: bool


def draw_patient(
    random: np.random.Generator, *, view: str | None, difficulty: float, children: float, large_heart: bool
) -> Patient:
    """A patient for a PA or AP film; AP are lying or sitting, less inspired, more crooked."""
    if view is None:
        view = "AP" if random.random() < 0.35 * difficulty else "PA"
    portable = view == "AP"
    body = _upright(draw_habitus(random, 0.7 * difficulty), portable, random)
    if large_heart:
        body = replace(body, heart=float(random.uniform(LARGE_HEART, 1.35)))
    child = bool(random.random() < children)
    size = float(random.uniform(0.4, 0.85) if child else random.uniform(0.9, 1.1))
    wide, deep, tall = (size * random.uniform(0.94, 1.06, 3)).tolist()
    crooked = (1.6 if portable else 0.8) * (0.5 + 0.5 * difficulty)
    tilt, roll, spin = (random.normal(0, 1, 3) * np.array([4, 2.5, 4]) * crooked).tolist()
    centre = (float(random.normal(0, 8)), float(random.uniform(-4, 10)), float(random.normal(-26, 10)))
    pose = Pose(centre, (tilt, roll, spin), (wide, deep, tall), float(random.uniform(0.5, 1.1)))
    source = float(random.uniform(950, 1200) if portable else random.uniform(1700, 1900))
    thick = deep * (body.half_depth + 0.7 * body.muscle + body.fat)
    gap = thick + float(random.uniform(40, 90) if portable else random.uniform(25, 60))
    enlarged = source / (source - gap)
    field = tall * enlarged * float(random.uniform(345, 430))
    lean = float(random.uniform(0, 0.9)) if portable else 0.0
    down = (0.0, lean, -float(np.sqrt(1 - lean * lean)))
    return Patient(view, body, pose, _rotation(pose.turn_deg), down, field, source, gap, child)


def _upright(body: Habitus, portable: bool, random: np.random.Generator) -> Habitus:
    """No contrast medium, a deep breath unless portable, arms out of the way, gas in the stomach drawn elsewhere."""
    sink = random.uniform(-15, 25) if portable else random.uniform(15, 45)
    arms = str(random.choice(["down", "absent"], p=[0.85, 0.15]))
    return replace(
        body,
        blood_hu=BLOOD_HU,
        vein_hu=BLOOD_HU,
        dome_right=body.dome_right - sink,
        dome_left=body.dome_left - sink,
        heart=min(body.heart, 1.25) * (0.9 if portable else 0.84),
        fall=float(random.uniform(36, 64)),
        lung_hu=float(np.clip(body.lung_hu, -920, -720)),
        arms=arms,
        prone=False,
        fat=min(body.fat, 36.0),
        stomach_gas=0.0,
    )


def _rotation(turn_deg: tuple[float, float, float]) -> NDArray[np.float64]:
    """About x, then y, then z."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(turn_deg)):
        p, q = (axis + 1) % 3, (axis + 2) % 3
        one = np.eye(3)
        one[p, p] = one[q, q] = np.cos(angle)
        one[p, q], one[q, p] = -np.sin(angle), np.sin(angle)
        turn = one @ turn
    return turn
