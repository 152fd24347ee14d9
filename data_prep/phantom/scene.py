"""One made chest: all solids together, and the HU that each of them paints. In the body's own frame."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.phantom.abdomen import Abdomen, build_abdomen
from data_prep.phantom.chest_wall import ChestWall, build_chest_wall, is_disc
from data_prep.phantom.habitus import Habitus
from data_prep.phantom.lungs import LEFT, RIGHT, Pleura, build_pleura, build_vessels
from data_prep.phantom.mediastinum import Mediastinum, build_mediastinum
from data_prep.phantom.solids import EVERYWHERE, Array, Points, Solid, grow, intersect, subtract, union
from data_prep.phantom.table import build_table
from data_prep.phantom.tumours import Tumour, grow_tumours

AIR_HU, FAT_HU, MUSCLE_HU = -1000.0, -102.0, 52.0
CORD = "Spinal-Cord"
Paint = float | Callable[[Points], NDArray[np.float32]]


@dataclass(frozen=True)
class Scene:
    """solids: by name, the contoured ones (`rois`) and others that tests ask for. layers: later ones paint over."""

    habitus: Habitus
    tumours: tuple[Tumour, ...]
    pleurae: dict[str, Pleura]
    solids: dict[str, Solid]
    rois: tuple[str, ...]
    layers: tuple[tuple[Solid, Paint], ...]


def build_scene(body: Habitus, to_world: Array, kind: str, random: np.random.Generator) -> Scene:
    """Build the chest of `body` with tumours of `kind`. to_world: (3, 3) rotation of the body on the table."""
    wall = build_chest_wall(body)
    middle = build_mediastinum(body, wall)
    pleurae = {side: build_pleura(side, body, wall, middle, random) for side in (RIGHT, LEFT)}
    vessels = union(*(build_vessels(side, pleura, random) for side, pleura in pleurae.items()))
    tumours = grow_tumours(kind, pleurae, middle, random)
    abdomen = build_abdomen(body, wall)
    growths = {f"GTV-{index}": tumour.solid for index, tumour in enumerate(tumours, 1)}
    lungs = {
        side: subtract(pleura.cavity, middle.airways, *growths.values()) for side, pleura in sorted(pleurae.items())
    }
    rois = {**lungs, **growths, CORD: wall.cord}
    others = {
        "Airways": middle.airways,
        "Airway-Lumen": middle.air,
        "Lung-Vessels": vessels,
        "Heart": middle.heart,
        "Aorta": middle.aorta,
        "Liver": abdomen.liver,
        "Gas": abdomen.gas,
        "Bones": wall.bones,
        "Body": wall.skin,
    }
    table = build_table(body, to_world)
    air = [(pleura.cavity, _lung_paint(body, random)) for pleura in pleurae.values()]
    layers = (
        *table,
        *_wall_layers(body, wall),
        *_abdomen_layers(body, abdomen),
        *_middle_layers(body, middle),
        *_bone_layers(body, wall),
        *air,
        (vessels, 0.7 * body.blood_hu),
        (middle.airways, 20.0),
        *((solid, 38.0) for solid in growths.values()),
        (middle.air, -985.0),
    )
    return Scene(body, tumours, pleurae, rois | others, tuple(rois), layers)


def paint(layers: tuple[tuple[Solid, Paint], ...], points: Points, blur_mm: float = 0.0) -> NDArray[np.float32]:
    """HU on `points`. With `blur_mm` edges become ramps of that width, as partial volume makes them."""
    hu = np.full(points.x.shape, AIR_HU, np.float32)
    for solid, value in layers:
        distance = solid.at(points)
        if isinstance(distance, float):
            continue
        if blur_mm > 0:
            share = np.minimum(np.maximum(0.5 - distance / blur_mm, 0), 1)
        else:
            share = (distance < 0).astype(np.float32)
        if share.any():
            hu += share * ((value if isinstance(value, float) else value(points)) - hu)
    return hu


def _wall_layers(body: Habitus, wall: ChestWall) -> list[tuple[Solid, Paint]]:
    layers: list[tuple[Solid, Paint]] = [(wall.skin, 10.0), (grow(wall.skin, -2), FAT_HU)]
    if wall.breasts and wall.glands:
        layers += [(wall.breasts, 0.0), (grow(wall.breasts, -2), FAT_HU), (wall.glands, 15.0)]
    below_neck = Solid(lambda points: points.z - body.apex_z - 14, EVERYWHERE)
    inside = intersect(wall.cage, grow(wall.muscle, -4), below_neck, blend_mm=12.0)
    return [*layers, (wall.muscle, MUSCLE_HU), (inside, FAT_HU + 8)]


def _bone_layers(body: Habitus, wall: ChestWall) -> list[tuple[Solid, Paint]]:
    def marrow(points: Points) -> NDArray[np.float32]:
        return np.where(is_disc(points, wall), 85, 210 * body.bone_hu).astype(np.float32)

    def cortex(points: Points) -> NDArray[np.float32]:
        cartilage = (points.y < -0.55 * body.half_depth) & (np.abs(points.x) < 82) & (np.abs(points.x) > 18)
        ribs_end = cartilage & (points.z < 55)
        return np.where(ribs_end, 130, np.where(is_disc(points, wall), 110, 620 * body.bone_hu)).astype(np.float32)

    return [(wall.bones, cortex), (grow(wall.bones, -2.5), marrow), (wall.canal, 8.0), (wall.cord, 40.0)]


def _abdomen_layers(body: Habitus, abdomen: Abdomen) -> list[tuple[Solid, Paint]]:
    contrast = 0.35 * max(body.blood_hu - 42, 0)
    return [
        (abdomen.whole, MUSCLE_HU),
        (abdomen.fat, FAT_HU),
        (abdomen.kidneys, 34 + 1.6 * contrast),
        (abdomen.spleen, 48 + contrast),
        (abdomen.liver, 58 + 0.8 * contrast),
        (abdomen.bowel, 30.0),
        (abdomen.stomach, 42.0),
        (grow(abdomen.stomach, -4), 14.0),
        (abdomen.gas, -975.0),
    ]


def _middle_layers(body: Habitus, middle: Mediastinum) -> list[tuple[Solid, Paint]]:
    return [
        (middle.oesophagus, 32.0),
        (middle.heart, 45.0),
        (grow(middle.heart, -7), 0.92 * body.blood_hu),
        (middle.blood, body.blood_hu),
    ]


def _lung_paint(body: Habitus, random: np.random.Generator) -> Paint:
    """Denser towards the back, as gravity has it, with slow waves."""
    waves = (random.normal(size=(5, 3)) * 0.05).tolist()
    phases = random.uniform(0, 2 * np.pi, 5).tolist()

    def hu(points: Points) -> NDArray[np.float32]:
        value = body.lung_hu + 0.35 * points.y
        for (a, b, c), phase in zip(waves, phases, strict=True):
            value += 9 * np.cos(a * points.x + b * points.y + c * points.z + phase)
        return value

    return hu
