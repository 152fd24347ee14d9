"""What lies around the lungs: rib cage, skin, muscle, arms, breasts, bones."""

import numpy as np

from lungseg_monai.synthesis.fields import Field, blend, share, soft_maximum
from lungseg_monai.synthesis.frame import Frame
from lungseg_monai.synthesis.habitus import Habitus
from lungseg_monai.synthesis.shapes import ellipsoid, into, paint, profile, tube

FAT_HU, MUSCLE_HU = -100.0, 52.0
VERTEBRA_MM = 26.0


def column(frame: Frame, width: Field, depth: Field, centre_x: Field, centre_y: Field, power: float) -> Field:
    """An upright trunk of cross sections |u|^power + |v|^power = 1."""
    u = np.abs(frame.x - centre_x) / width
    v = np.abs(frame.y - centre_y) / depth
    power32 = np.float32(power)
    radius = (u**power32 + v**power32 + np.float32(1e-6)) ** np.float32(1 / power)
    return (radius - 1) * np.minimum(width, depth)


def spine_y(frame: Frame, body: Habitus) -> Field:
    """Where the middle of the vertebral bodies lies, along the back."""
    back = body.half_depth * 0.64
    return profile(frame.z, [-260, -120, -20, 60, 150], [back + body.kyphosis * s for s in (-0.9, -0.2, 0, -0.4, -1.6)])


def spine_x(frame: Frame, body: Habitus) -> Field:
    return np.float32(body.scoliosis) * np.cos(frame.z * np.float32(np.pi / 190))


def cage(frame: Frame, body: Habitus) -> Field:
    """The inside of ribs and abdominal wall."""
    knots = [-260, -80, 0, 50, 90, 120]
    width = profile(frame.z, knots, [body.half_width * s for s in (0.95, 1.0, 0.94, 0.8, 0.58, 0.4)])
    depth = profile(frame.z, knots, [body.half_depth * s for s in (0.95, 1.0, 0.92, 0.77, 0.6, 0.5)])
    middle = profile(frame.z, [-100, 0, 60, 110], [0, 3, 10, 18])
    field = column(frame, width, depth, np.float32(0.5) * spine_x(frame, body), middle, body.roundness)
    if body.hollow_chest:
        dent = np.exp(-((frame.x / 34) ** 2 + ((frame.z + 50) / 60) ** 2)) * (frame.y < 0)
        field += np.float32(body.hollow_chest) * dent.astype(np.float32)
    return field


def skin(frame: Frame, body: Habitus) -> Field:
    """The whole body: trunk, shoulders, neck, head, arms, breasts."""
    wide, deep = body.half_width + body.muscle + body.fat, body.half_depth + 0.7 * body.muscle + body.fat
    knots = [-260, -160, -70, 20, 80, 118, 140]
    width = profile(frame.z, knots, [wide * s for s in (body.belly, body.belly * 0.98, 1, 1, 0.94, 0.75, 0.45)])
    depth = profile(frame.z, knots, [deep * s for s in (body.belly, body.belly * 0.97, 1, 0.95, 0.82, 0.66, 0.5)])
    middle = profile(frame.z, [-100, 0, 60, 110], [4, 7, 14, 20])
    field = column(frame, width, depth, np.float32(0.5) * spine_x(frame, body), middle, 2.4)
    reach, thick = body.half_width + 14, 46 + body.muscle * 0.5 + body.fat * 0.5
    into(field, tube(frame, [(-reach, 14, 84), (reach, 14, 84)], [thick, thick]), blend_mm=24)
    neck = 50 + body.fat * 0.5
    into(field, tube(frame, [(0, 14, 95), (0, -4, 230)], [neck + 8, neck]), blend_mm=24)
    into(field, ellipsoid(frame, (0, -18, 300), (78, 98, 105)), blend_mm=16)
    for side in (-1, 1):
        into(field, tube(frame, *arm(body, side)), blend_mm=14)
    if body.female:
        size, front = 0.7 + body.fat / 50, -(body.half_depth + body.fat * 0.7)
        for side in (-1, 1):
            into(field, ellipsoid(frame, (side * 74, front, -38), (58 * size, 34 * size, 52 * size)), blend_mm=8)
    return field


def arm(body: Habitus, side: int) -> tuple[list[tuple[float, float, float]], list[float]]:
    """The line of one arm and its radii, skin included."""
    shoulder, thick = body.half_width + 18, 34 + 0.4 * body.fat + 0.3 * body.muscle
    if body.arms == "up":
        line = [(side * (shoulder - 6), 8, 90), (side * (shoulder + 6), -8, 180), (side * shoulder * 0.9, -30, 330)]
    elif body.arms == "down":
        line = [(side * shoulder, 12, 95), (side * (shoulder + 48), 14, -40), (side * (shoulder + 62), 4, -260)]
    else:
        line = [(side * (shoulder - 8), 12, 92), (side * (shoulder - 2), 12, 84)]
    return [(float(x), float(y), float(z)) for x, y, z in line], [thick + 4, thick, thick - 6][: len(line)]


def paint_wall(frame: Frame, hu: Field, body: Habitus, outer: Field, inner: Field) -> None:
    """Skin, fat, muscle, and the fat inside the cage."""
    edge = frame.spacing_mm
    blend(hu, share(outer, edge), 10.0)
    blend(hu, share(outer + 2, edge), FAT_HU)
    under = np.float32(body.fat) * profile(frame.z, [-200, -60, 60, 120], [1.0, 0.85, 0.7, 0.45])
    flesh = soft_maximum(outer + np.minimum(under, 26) + 3, inner - np.float32(0.9 * body.muscle + 12), 6.0)
    for side in (-1, 1):
        line, radii = arm(body, side)
        into(flesh, tube(frame, line, [max(r - 0.5 * body.fat - 4, 14) for r in radii]))
    into(flesh, tube(frame, [(0, 16, 95), (0, 2, 230)], [44, 42]), blend_mm=10)
    flesh = np.maximum(flesh, outer + 3)
    blend(hu, share(flesh, edge), MUSCLE_HU)
    blend(hu, share(soft_maximum(inner + 1, frame.z - 110, 10.0), edge), FAT_HU + 10)


def paint_bones(frame: Frame, hu: Field, body: Habitus, inner: Field) -> None:
    """Ribs as slanted bands in the shell outside the cage, spine, sternum, shoulder girdle, humeri, skull."""
    edge, hard = frame.spacing_mm, 560 * body.bone_hu
    blend(hu, share(_ribs(frame, body, inner), edge), 0.75 * hard)
    _paint_spine(frame, hu, body)
    plate = np.maximum(np.abs(inner - 9) - 5, np.abs(frame.x) - profile(frame.z, [-80, -40, 30, 50], [6, 15, 15, 26]))
    plate = np.maximum(np.maximum(plate, np.abs(frame.z + 12) - 68), frame.y + 15)
    blend(hu, share(plate, edge), 0.4 * hard)
    for side in (-1, 1):
        paint(hu, ellipsoid(frame, (side * (body.half_width + 8), 8, 100), (22, 21, 23)), 0.6 * hard, edge)
        line, _ = arm(body, side)
        paint(hu, tube(frame, line, [11.0] * len(line)), hard, edge)
        paint(hu, tube(frame, line, [5.0] * len(line)), 0.2 * hard, edge)
        across, down = np.array([side * 0.82, -0.57, 0.0]), np.array([side * 0.12, 0.17, 0.98])
        blade = np.array([across, down, np.cross(across, down)])
        behind = body.half_depth * 0.72 + 20
        paint(hu, ellipsoid(frame, (side * body.half_width * 0.74, behind, 40), (46, 62, 5), blade), 0.8 * hard, edge)
        collar = [(side * 20, -48, 66), (side * 75, -44, 90), (side * (body.half_width - 4), 4, 112)]
        paint(hu, tube(frame, collar, [8, 6, 7]), 0.8 * hard, edge)
    skull = ellipsoid(frame, (0, -18, 300), (70, 90, 97))
    paint(hu, skull, 1.4 * hard, edge)
    paint(hu, skull, 38.0, edge, grow_mm=-7)


def _ribs(frame: Frame, body: Habitus, inner: Field) -> Field:
    pitch, slope = 25.0, 0.42
    level = frame.z + np.float32(slope) * (np.float32(body.half_depth) - frame.y)
    off = (np.mod(level, np.float32(pitch)) - pitch / 2) / np.float32(np.hypot(1, slope))
    band = (np.sqrt(((inner - 7) / 4.5) ** 2 + (off / 6.5) ** 2) - 1) * np.float32(5)
    arch = (-88 - 0.75 * np.abs(frame.x) - 1.3 * (frame.y + body.half_depth) - frame.z) * 0.55
    ends = np.maximum(frame.z - 108, -230 - frame.z)
    return np.maximum(np.maximum(band, arch), ends).astype(np.float32)


def _paint_spine(frame: Frame, hu: Field, body: Habitus) -> None:
    edge, hard = frame.spacing_mm, 560 * body.bone_hu
    x, y = frame.x - spine_x(frame, body), frame.y - spine_y(frame, body)
    rod = np.sqrt((x / 19) ** 2 + (y / 15) ** 2 + np.float32(1e-6))
    off = np.abs(np.mod(frame.z, np.float32(VERTEBRA_MM)) - VERTEBRA_MM / 2)
    arch = np.sqrt((x / 15) ** 2 + ((y - 25) / 14) ** 2 + np.float32(1e-6))
    thorn = np.maximum(np.maximum(np.abs(x) - 4, np.abs(y - 48) - 16), off - 8)
    wings = np.maximum(np.maximum(np.abs(x) - 32, np.abs(y - 19) - 6), off - 6)
    bone = np.minimum(np.minimum((rod - 1) * 15, (arch - 1) * 12), np.minimum(thorn, wings))
    value = np.where((off > VERTEBRA_MM / 2 - 3.5) & (rod < 1.2), np.float32(85), np.float32(0.5 * hard))
    blend(hu, share(bone, edge), value)
    blend(hu, share((arch - np.float32(0.7)) * 12, edge), 25.0)


def beside_spine(frame: Frame, body: Habitus) -> Field:
    """The column of spine and soft tissue that the lungs lie around."""
    y = frame.y - spine_y(frame, body)
    behind, front = np.maximum(y, 0), np.minimum(y, 0)
    x = frame.x - spine_x(frame, body)
    return np.sqrt((x * np.float32(0.86)) ** 2 + front * front + np.float32(1e-6)) - 20 - np.float32(0.15) * behind
