"""The chest before the receptor: painted along the rays, with the parts whose shadows bound what is seen of a lung."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.abdomen import GAS_HU, paint_abdomen
from lungseg_monai.synthesis.chest import LEFT, RIGHT, Chest
from lungseg_monai.synthesis.fields import Field, blend, noise, share, soft_maximum
from lungseg_monai.synthesis.frame import Frame
from lungseg_monai.synthesis.habitus import Habitus
from lungseg_monai.synthesis.lungs import cavities, diaphragm
from lungseg_monai.synthesis.middle import HILUM_MM, Middle, build_middle, paint_airways, paint_middle
from lungseg_monai.synthesis.radiograph.bones import paint_skeleton
from lungseg_monai.synthesis.radiograph.patient import Patient
from lungseg_monai.synthesis.shapes import Shape, ellipsoid
from lungseg_monai.synthesis.wall import cage, paint_wall, skin

HEART_WALL_MM = 3.0  # pericardium and its fat belong to the silhouette


@dataclass
class Standing:
    """chest: as for CT, on the rays; its spacing_mm is that across the beam. share: how much of a voxel is cavity.

    heart, middle, abdomen: (I, J, K) float32, how much of a voxel they fill; middle: heart, aorta, pulmonary trunk
    and cavae. central: where a voxel lies in the air of trachea and main bronchi.
    """

    chest: Chest
    frame: Frame
    share: Field
    heart: Field
    middle: Field
    abdomen: Field


def build_body(frame: Frame, patient: Patient, spacing_mm: float, random: np.random.Generator) -> Standing:
    """A chest without findings; `spacing_mm` is the grid's across the beam."""
    body = patient.habitus
    inner, outer = cage(frame, body), skin(frame, body)
    middle = build_middle(frame, body, random)
    under = diaphragm(frame, body, random)
    cavity = cavities(frame, body, inner, under, middle)
    hu = np.full(frame.x.shape, -1000, np.float32)
    paint_wall(frame, hu, body, outer, inner)
    below = soft_maximum(inner, -under, 4.0)
    paint_abdomen(frame, hu, body, below, random)
    _paint_bubble(frame, hu, body, below, random)
    paint_middle(frame, hu, body, middle)
    paint_skeleton(frame, hu, patient, inner, random)
    filled = share(cavity, frame.spacing_mm)
    _paint_lungs(frame, hu, body, filled, random)
    central = paint_airways(frame, hu, middle)
    chest = _chest(frame, hu, patient, (cavity, outer, middle.side), spacing_mm)
    chest.lung[central < 2] = 0
    heart = _fill(frame, middle.heart, HEART_WALL_MM)
    return Standing(chest, frame, filled, heart, _central(frame, middle, heart), share(below, frame.spacing_mm))


def _chest(frame: Frame, hu: Field, patient: Patient, fields: tuple[Field, Field, Field], spacing_mm: float) -> Chest:
    cavity, outer, side = fields
    body = patient.habitus
    hila = {label: (x + body.shift * 0.9, y, z) for label, (x, y, z) in HILUM_MM.items()}
    label = np.where(cavity < 0, np.where(side < 0, np.uint8(RIGHT), np.uint8(LEFT)), np.uint8(0))
    facts = {
        "habitus": asdict(body),
        "pose": asdict(patient.pose),
        "view": patient.view,
        "child": patient.child,
        "down": patient.down,
    }
    return Chest(
        frame.x, frame.y, frame.z, spacing_mm, hu, label, label.copy(), -cavity, outer < 0, body.blood_hu, hila, facts
    )


def _paint_lungs(frame: Frame, hu: Field, body: Habitus, filled: Field, random: np.random.Generator) -> None:
    """Air and tissue without vessels, which are drawn on the film, sharper than a grid can hold them."""
    cell = 30 / frame.spacing_mm
    air = np.float32(body.lung_hu) + np.float32(random.uniform(10, 35)) * noise(hu.shape, cell, random)
    air -= np.float32(random.uniform(0.1, 0.5)) * frame.z  # blood lies low in those who stand
    blend(hu, filled, np.clip(air, -990, -500))


def _paint_bubble(frame: Frame, hu: Field, body: Habitus, below: Field, random: np.random.Generator) -> None:
    """Gas in the stomach over a level, under the left dome of those who stand or sit."""
    if random.random() < 0.25:
        return
    size = float(random.uniform(14, 42))
    bag = ellipsoid(frame, (random.uniform(44, 66), -4, body.dome_left - size - 9), (size * 1.2, size, size))
    if bag is None:
        return
    window, field = bag
    level = np.float32(body.dome_left - 9 - size * random.uniform(0.5, 2.0))
    gas = np.maximum(np.maximum(field, below[window] + 4), level - frame.z[window])
    blend(hu[window], share(gas, frame.spacing_mm), GAS_HU)


def _central(frame: Frame, middle: Middle, heart: Field) -> Field:
    """Heart, aorta, pulmonary trunk, cavae: what draws the mediastinum's silhouette."""
    solid = heart.copy()
    for shape in (middle.arteries[0], middle.arteries[1], middle.veins[0], middle.veins[1]):
        _into(solid, frame, shape, 1.5)
    return solid


def _fill(frame: Frame, shapes: list[Shape], grow_mm: float) -> Field:
    solid = np.zeros(frame.x.shape, np.float32)
    for shape in shapes:
        _into(solid, frame, shape, grow_mm)
    return solid


def _into(solid: NDArray[np.float32], frame: Frame, shape: Shape, grow_mm: float) -> None:
    if shape is not None:
        window, field = shape
        np.maximum(solid[window], share(field - np.float32(grow_mm), frame.spacing_mm), out=solid[window])
