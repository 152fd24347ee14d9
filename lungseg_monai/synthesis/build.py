"""One healthy chest, from a random person to HU and labels on a grid."""

from dataclasses import asdict

import numpy as np

from lungseg_monai.synthesis.abdomen import paint_abdomen
from lungseg_monai.synthesis.chest import LEFT, RIGHT, Chest
from lungseg_monai.synthesis.fields import soft_maximum
from lungseg_monai.synthesis.frame import Pose, make_frame
from lungseg_monai.synthesis.habitus import draw_habitus
from lungseg_monai.synthesis.lungs import cavities, diaphragm
from lungseg_monai.synthesis.middle import HILUM_MM, build_middle, paint_airways, paint_middle
from lungseg_monai.synthesis.parenchyma import paint_branches, paint_lungs
from lungseg_monai.synthesis.wall import cage, paint_bones, paint_wall, skin


def make_chest(
    shape: tuple[int, int, int], spacing_mm: float, random: np.random.Generator, difficulty: float = 1.0
) -> Chest:
    """A chest without findings, not yet scanned. difficulty: 0 ordinary bodies, 1 all of them, strongly warped."""
    body = draw_habitus(random, difficulty)
    pose = draw_pose(random, difficulty)
    frame = make_frame(shape, spacing_mm, pose, random)
    inner, outer = cage(frame, body), skin(frame, body)
    middle = build_middle(frame, body, random)
    under = diaphragm(frame, body, random)
    cavity = cavities(frame, body, inner, under, middle)
    hu = np.full(shape, -1000, np.float32)
    paint_wall(frame, hu, body, outer, inner)
    paint_abdomen(frame, hu, body, soft_maximum(inner, -under, 4.0), random)
    paint_middle(frame, hu, body, middle)
    paint_bones(frame, hu, body, inner)
    shift = np.array([body.shift * 0.9, 0, 0])
    hila = {label: tuple((np.array(centre) + shift).tolist()) for label, centre in HILUM_MM.items()}
    sides = np.where(middle.side < 0, np.uint8(RIGHT), np.uint8(LEFT))
    label = np.where(cavity < 0, sides, np.uint8(0))
    facts = {"habitus": asdict(body), "pose": asdict(pose)}
    chest = Chest(
        frame.x, frame.y, frame.z, spacing_mm, hu, label, label.copy(), -cavity, outer < 0, body.blood_hu, hila, facts
    )
    paint_lungs(frame, chest, body, cavity, random)
    paint_branches(frame, chest, body, cavity, random)
    central = paint_airways(frame, hu, middle)
    chest.lung[central < 2] = 0
    return chest


def draw_pose(random: np.random.Generator, difficulty: float) -> Pose:
    """Where the grid lies about the chest, how crooked and how large the person is."""
    turns = random.normal(0, 1, 3) * np.array([6, 5, 7]) * (0.4 + 0.6 * difficulty)
    size = random.uniform(0.86, 1.12)
    if random.random() < 0.12 * difficulty:
        size = random.uniform(0.55, 0.86)  # children
    scale = size * random.uniform(0.92, 1.08, 3)
    centre = (random.uniform(-18, 18), random.uniform(-14, 26), random.normal(-35, 28 + 22 * difficulty))
    warp = (0.7 + 0.9 * difficulty) * random.uniform(0.5, 1.1)
    a, b, c = scale.tolist()
    p, q, r = turns.tolist()
    u, v, w = (float(value) for value in centre)
    return Pose((u, v, w), (p, q, r), (a, b, c), float(warp))
