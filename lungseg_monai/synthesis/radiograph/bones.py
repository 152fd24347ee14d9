"""Bones as a frontal film shows them: ribs with their cortex, cartilage in front, spine, scapulae turned out."""

import numpy as np

from lungseg_monai.synthesis.fields import Field, blend, share
from lungseg_monai.synthesis.frame import Frame
from lungseg_monai.synthesis.habitus import Habitus
from lungseg_monai.synthesis.radiograph.patient import Patient
from lungseg_monai.synthesis.shapes import ellipsoid, paint, profile, tube
from lungseg_monai.synthesis.wall import VERTEBRA_MM, arm, spine_x, spine_y

HARD_HU = 1050.0
RIB_HU = 1250.0  # cortex; thin, so that soft edges of the grid take a third of it
CARTILAGE_HU = 90.0
PITCH_MM = 24.0


def paint_skeleton(frame: Frame, hu: Field, patient: Patient, inner: Field, random: np.random.Generator) -> None:
    """Paint all bones. inner: distance to the inside of the cage, negative within."""
    body = patient.habitus
    hard, edge = HARD_HU * body.bone_hu, frame.spacing_mm
    _paint_ribs(frame, hu, body, inner, random)
    _paint_spine(frame, hu, body)
    wide = profile(frame.z, [-80, -40, 30, 50], [6, 15, 15, 26])
    plate = np.maximum(np.abs(inner - 9) - 5, np.abs(frame.x) - wide)
    plate = np.maximum(np.maximum(plate, np.abs(frame.z + 12) - 68), frame.y + 15)
    blend(hu, share(plate, edge), 0.18 * hard)
    turned = float(random.uniform(0.0, 0.5) if patient.view == "AP" else random.uniform(0.5, 1.0))
    for side in (-1, 1):
        _paint_shoulder(frame, hu, body, side, turned)


def _paint_ribs(frame: Frame, hu: Field, body: Habitus, inner: Field, random: np.random.Generator) -> None:
    """Bands that fall from the spine outwards and forwards, on the shell about the cage."""
    slope, fall = float(random.uniform(0.36, 0.5)), float(random.uniform(0.05, 0.22))
    level = frame.z + np.float32(slope) * (np.float32(body.half_depth) - frame.y) + np.float32(fall) * np.abs(frame.x)
    level += np.float32(random.uniform(0, PITCH_MM))
    off = (np.mod(level, np.float32(PITCH_MM)) - PITCH_MM / 2) / np.float32(np.hypot(1, slope))
    band = np.sqrt(((inner - 7) / 4.2) ** 2 + (off / 6.2) ** 2 + np.float32(1e-6))
    arch = (-88 - 0.75 * np.abs(frame.x) - 1.3 * (frame.y + body.half_depth) - frame.z) * 0.55
    ends = np.maximum(np.maximum(arch, frame.z - 100), -215 - frame.z)
    rib = np.maximum((band - 1) * np.float32(5), ends).astype(np.float32)
    hard = np.float32(RIB_HU * body.bone_hu)
    front = np.clip((-frame.y - np.float32(0.42 * body.half_depth)) / 14, 0, 1).astype(np.float32)
    value: Field = hard + front * (np.float32(CARTILAGE_HU) - hard)
    blend(hu, share(rib, frame.spacing_mm), value)
    blend(hu, share(rib + np.float32(2.4), frame.spacing_mm), np.float32(0.4) * value)


def _paint_spine(whole: Frame, whole_hu: Field, body: Habitus) -> None:
    """Bodies with plates and discs, pedicles, transverse and spinous processes."""
    reach, back = 40 + abs(body.scoliosis), 0.64 * body.half_depth
    window = whole.window(np.array([-reach, back - 60, -400.0]), np.array([reach, back + 90, 300.0]))
    if window is None:
        return
    x, y, z = (axis[window] for axis in (whole.x, whole.y, whole.z))
    frame, hu = Frame(x, y, z, whole.spacing_mm, whole.index_from_body, whole.reach_mm), whole_hu[window]
    edge, hard = frame.spacing_mm, np.float32(HARD_HU * body.bone_hu)
    x, y = frame.x - spine_x(frame, body), frame.y - spine_y(frame, body)
    off = np.abs(np.mod(frame.z, np.float32(VERTEBRA_MM)) - VERTEBRA_MM / 2)
    waist = np.float32(1.08) - np.float32(0.12) * np.clip(1 - off / 9, 0, 1)
    column = (np.sqrt((x / 17) ** 2 + (y / 14) ** 2 + np.float32(1e-6)) - waist).astype(np.float32) * np.float32(14)
    disc = (off > VERTEBRA_MM / 2 - 2.6) & (column < 3)
    blend(hu, share(column, edge), np.where(disc, np.float32(110), np.float32(0.2) * hard))
    plates = np.maximum(column, np.abs(off - np.float32(VERTEBRA_MM / 2 - 3.6)) - 1)
    blend(hu, share(plates, edge), np.float32(0.3) * hard)
    lamina = np.maximum(np.sqrt((x / 15) ** 2 + ((y - 25) / 13) ** 2 + np.float32(1e-6)) * 12 - 12, off - 9)
    canal = np.sqrt((x / 9) ** 2 + ((y - 24) / 9) ** 2 + np.float32(1e-6)) * 9 - 9
    pedicle = np.sqrt((np.abs(x) - 13) ** 2 + off**2) - 5
    pedicle = np.maximum(pedicle, np.abs(y - 16) - 7)
    wings = np.maximum(np.maximum(np.abs(x) - 31, np.abs(y - 20) - 5), off - 5)
    thorn = np.maximum(np.maximum(np.abs(x) - 3, np.abs(y - 46) - 15), off - 7)
    blend(hu, share(np.minimum(np.minimum(lamina, wings), thorn), edge), np.float32(0.3) * hard)
    blend(hu, share(canal, edge), np.float32(25))
    blend(hu, share(pedicle.astype(np.float32), edge), np.float32(0.55) * hard)


def _paint_shoulder(frame: Frame, hu: Field, body: Habitus, side: int, turned: float) -> None:
    """Clavicle, scapula and humerus. turned: 0 scapula over the lung, 1 rolled out of it."""
    edge, hard = frame.spacing_mm, HARD_HU * body.bone_hu
    w, behind = body.half_width, body.half_depth * 0.72 + 20
    joint = (side * (w + 14), 8.0, 100.0)
    paint(hu, ellipsoid(frame, joint, (23, 22, 24)), 0.24 * hard, edge)
    line, _ = arm(body, side)
    line[0] = joint
    paint(hu, tube(frame, line, [11.0] * len(line)), hard, edge)
    paint(hu, tube(frame, line, [6.5] * len(line)), 0.25 * hard, edge)
    out = 0.68 + 0.34 * turned
    medial = (side * w * (out - 0.27), behind, 66.0)
    tip = (side * w * (out + 0.06 * turned), behind - 6 - 18 * turned, -38 + 14 * turned)
    socket = (side * (w * 1.0 + 2), 14 + 0.2 * behind, 84.0)
    paint(hu, tube(frame, [medial, tip], [2.0, 3.2]), 0.7 * hard, edge)
    paint(hu, tube(frame, [tip, socket], [4.0, 6.5]), 0.6 * hard, edge)
    paint(hu, tube(frame, [medial, (side * w * 0.92, behind + 8, 92.0), joint], [3.5, 5, 8]), 0.4 * hard, edge)
    middle = np.mean([medial, tip, socket], axis=0)
    across, down = np.array([side * 0.82, -0.57, 0.0]), np.array([side * 0.12, 0.17, 0.98])
    blade = np.array([across, down, np.cross(across, down)])
    paint(hu, ellipsoid(frame, middle, (34, 46, 3.2), blade), 0.4 * hard, edge)
    collar = [(side * 20.0, -48.0, 66.0), (side * 70.0, -50.0, 80.0), (side * 108.0, -24.0, 94.0)]
    collar.append((side * (w + 4), 4.0, 108.0))
    paint(hu, tube(frame, collar, [8.5, 6, 5.5, 7]), 0.8 * hard, edge)
    paint(hu, tube(frame, collar, [6, 3.8, 3.4, 4.6]), 0.25 * hard, edge)
