"""Scans without any lung: abdomen, head, limbs, phantoms, an empty table. They teach where to find nothing."""

from collections.abc import Callable

import numpy as np

from lungseg_monai.synthesis.chest import Chest
from lungseg_monai.synthesis.fields import Field, blend, noise, share
from lungseg_monai.synthesis.frame import Frame, Pose, make_frame
from lungseg_monai.synthesis.shapes import FAR, Shape, ellipsoid, into, paint, tube

AIR_HU = -1000.0
FAR_FROM_LUNG_MM = -100.0
Random = np.random.Generator


def make_elsewhere(shape: tuple[int, int, int], spacing_mm: float, random: Random) -> Chest:
    """A Chest with no lung in it, on a grid of `shape` voxels (I, J, K), axes LPS.

    lung and cavity are 0 everywhere, depth_mm is negative. facts["elsewhere"] names what was made.
    """
    names = list(MAKERS)
    kind = str(random.choice(names, p=[MAKERS[name][1] for name in names]))
    low, high = HEIGHTS_MM[kind]
    pose = Pose(
        centre_mm=(float(random.normal(0, 15)), float(random.normal(0, 12)), float(random.uniform(low, high))),
        turn_deg=tuple(float(a) for a in random.normal(0, (9, 7, 10))),  # type: ignore[arg-type]
        scale=tuple(float(s) for s in random.uniform(0.8, 1.2) * random.uniform(0.92, 1.08, 3)),  # type: ignore[arg-type]
        warp=float(random.uniform(0.1, 0.3) if kind == "phantom" else random.uniform(0.7, 2.0)),
    )
    frame = make_frame(shape, spacing_mm, pose, random)
    hu = np.full(shape, AIR_HU, np.float32)
    skin_mm = MAKERS[kind][0](frame, hu, random)
    hu[skin_mm > 0.5 * spacing_mm] = AIR_HU  # what a warp or a drawn organ pushed out of the skin
    body = skin_mm < 0
    grain = noise(shape, float(random.uniform(1.2, 4)), random) * np.float32(random.uniform(2, 12))
    hu += np.where(hu > -400, grain, 0)
    nothing = np.zeros(shape, np.uint8)
    depth_mm = np.full(shape, FAR_FROM_LUNG_MM, np.float32)
    return Chest(
        frame.x, frame.y, frame.z, spacing_mm, hu, nothing, nothing.copy(), depth_mm, body, facts={"elsewhere": kind}
    )


def draw(random: Random, low: float, high: float, size: int = 3) -> list[float]:
    """`size` uniform draws."""
    return [float(v) for v in random.uniform(low, high, size)]


def near(centre: tuple[float, float, float], sd_mm: float, random: Random) -> list[float]:
    """A point about `centre`."""
    return [float(v) for v in np.array(centre) + random.normal(0, sd_mm, 3)]


# --- abdomen and pelvis -------------------------------------------------------------------------------------------


def abdomen(frame: Frame, hu: Field, random: Random) -> Field:
    """Belly and pelvis, z from the dome (0) down to the thighs; bowel gas, a stomach with its level, bones."""
    wide, deep = random.uniform(115, 195), random.uniform(80, 140)
    power = np.float32(random.uniform(2.0, 2.8))
    radius = np.abs(frame.x / np.float32(wide)) ** power + np.abs(frame.y / np.float32(deep)) ** power
    skin_mm = (radius ** (1 / power) - 1) * np.float32(0.5 * (wide + deep))
    fat_mm, muscle_mm = random.uniform(4, 40), random.uniform(8, 24)
    edge = frame.spacing_mm
    blend(hu, share(skin_mm, edge), random.uniform(-120, -80))
    blend(hu, share(skin_mm + np.float32(fat_mm), edge), random.uniform(35, 75))
    inner_mm = skin_mm + np.float32(fat_mm + muscle_mm)
    marble = noise(frame.x.shape, 14 / edge, random)
    content = np.clip(marble * 2 + np.float32(random.uniform(-0.5, 1.5)), 0, 1) * 140 - 100
    blend(hu, share(inner_mm, edge), content.astype(np.float32))
    _bowel(frame, hu, inner_mm, random)
    _organs(frame, hu, (wide - fat_mm, deep - fat_mm), random)
    _trunk_bones(frame, hu, (wide - fat_mm, deep - fat_mm), random)
    return skin_mm


def _bowel(frame: Frame, hu: Field, inner_mm: Field, random: Random) -> None:
    """Loops with walls, filled with gas, fluid below a level, or stool; a colon along the flanks and across."""
    edge, shape = frame.spacing_mm, frame.x.shape
    loops = noise(shape, random.uniform(18, 50) / edge, random)
    limit = np.float32(random.uniform(0.5, 2.2))
    room = share(inner_mm + 8, edge)
    blend(hu, room * np.clip((loops - limit) * 4 + 1.5, 0, 1), 45.0)
    gas = room * np.clip((loops - limit) * 4, 0, 1)
    level_mm = noise(shape, 60 / edge, random) * 30 + np.float32(random.uniform(-40, 90))
    blend(hu, gas, np.where(frame.y > level_mm, np.float32(15), np.float32(AIR_HU)))
    if random.random() < 0.7:
        wide, front, radius = random.uniform(60, 110), random.uniform(-90, -30), draw(random, 10, 38, 6)
        top, bottom = random.uniform(-90, -20), random.uniform(-260, -160)
        path = [(-wide, 20, bottom), (-wide, 10, top), (0, front, top - 20), (wide, 10, top + 20), (wide, 30, bottom)]
        line = [near(point, 12, random) for point in path]
        _filled(hu, tube(frame, line, radius[:5]), random, edge)


def _filled(hu: Field, shape: Shape, random: Random, edge: float) -> None:
    """A hollow organ: wall, then gas or, patchwise, stool."""
    if shape is None:
        return
    window, field = shape
    paint(hu, shape, 45.0, edge, grow_mm=3.0)
    stool = np.clip(noise(field.shape, 14 / edge, random) * 2 + np.float32(random.uniform(-2.5, 1)), 0, 1)
    grains = noise(field.shape, 2.0, random) * 120 - 150
    blend(hu[window], share(field, edge), (AIR_HU + stool * (grains - AIR_HU)).astype(np.float32))


def _organs(frame: Frame, hu: Field, half_mm: tuple[float, float], random: Random) -> None:
    wide, deep = half_mm
    edge, contrast = frame.spacing_mm, random.choice([0.0, random.uniform(20, 120)])
    liver = ellipsoid(
        frame, near((-0.45 * wide, -5, -60), 12, random), [0.5 * wide, 0.7 * deep, random.uniform(60, 100)]
    )
    paint(hu, liver, random.uniform(30, 70) + 0.5 * contrast, edge)
    spleen = ellipsoid(frame, near((0.65 * wide, 0.35 * deep, -50), 10, random), draw(random, 25, 55))
    paint(hu, spleen, 50 + 0.6 * contrast, edge)
    for side in (-1, 1):
        kidney = ellipsoid(frame, near((side * 60, 0.45 * deep, -120), 10, random), (28, 26, 55))
        paint(hu, kidney, 30 + contrast, edge)
    back = 0.5 * deep
    paint(hu, tube(frame, [(12, back, 60), (8, back, -190)], [12, 9]), 40 + 2 * contrast, edge)
    if random.random() < 0.7:
        _stomach(frame, hu, (wide, deep), random)
    if random.random() < 0.7:
        bladder = ellipsoid(frame, near((0, -0.1 * deep, -290), 10, random), draw(random, 25, 55))
        paint(hu, bladder, random.uniform(0, 20), edge)
        _filled(
            hu, tube(frame, [(0, 0.5 * deep, -230), near((0, 0.55 * deep, -320), 8, random)], [18, 16]), random, edge
        )


def _stomach(frame: Frame, hu: Field, half_mm: tuple[float, float], random: Random) -> None:
    """Air before, fluid behind, as in a patient on the back."""
    wide, deep = half_mm
    shape = ellipsoid(frame, near((0.4 * wide, -0.15 * deep, -40), 15, random), draw(random, 30, 80))
    if shape is None:
        return
    window, field = shape
    paint(hu, shape, 45.0, frame.spacing_mm, grow_mm=4.0)
    level_mm = np.float32(random.uniform(-0.6, 0.5) * deep)
    value = AIR_HU + share(level_mm - frame.y[window], frame.spacing_mm) * np.float32(random.uniform(1000, 1060))
    blend(hu[window], share(field, frame.spacing_mm), value.astype(np.float32))


def _trunk_bones(frame: Frame, hu: Field, half_mm: tuple[float, float], random: Random) -> None:
    edge, hard = frame.spacing_mm, random.uniform(0.7, 1.4)
    back = half_mm[1] - random.uniform(40, 55)
    spine = tube(
        frame, [(0, back, 150), (0, back - 12, -60), (0, back - 20, -140), (0, back + 5, -260)], [17, 21, 25, 18]
    )
    if spine is not None:
        window, field = spine
        disc = np.mod(frame.z[window], 34) < 8
        blend(hu[window], share(field, edge), np.where(disc, np.float32(80), np.float32(350 * hard)))
        blend(hu[window], share(np.abs(field + 2) - 2, edge) * ~disc, 650 * hard)
    paint(hu, tube(frame, [(0, back + 28, 150), (0, back + 26, -240)], [8, 8]), 25.0, edge)
    for side in (-1, 1):
        tilt = np.array([[0.6 * side, 0.8, 0.0], [-0.8 * side, 0.6, 0.3], [0.0, -0.3, 1.0]])
        tilt = np.linalg.qr(tilt.T)[0].T
        wing = ellipsoid(frame, (side * 85, 15, -215), (9, 55, 60), tilt)
        _bone(hu, wing, edge, hard)
        _bone(hu, ellipsoid(frame, (side * 90, 0, -300), (24, 24, 24)), edge, hard)
        _bone(
            hu,
            tube(frame, [(side * 90, 0, -300), (side * 125, 10, -320), (side * 115, 10, -480)], [16, 20, 15]),
            edge,
            hard,
        )


def _bone(hu: Field, shape: Shape, edge: float, hard: float = 1.0, rind_mm: float = 4.0) -> None:
    """Hard outside, marrow inside."""
    paint(hu, shape, 900 * hard, edge)
    paint(hu, shape, 150 * hard, edge, grow_mm=-rind_mm)


# --- head and neck ------------------------------------------------------------------------------------------------


def head(frame: Frame, hu: Field, random: Random) -> Field:
    """Skull, brain, face with its air-filled spaces, neck with the windpipe; z 0 in the middle of the brain."""
    edge = frame.spacing_mm
    skin_mm = np.full(frame.x.shape, FAR, np.float32)
    skull = ellipsoid(frame, (0, 0, 0), [random.uniform(62, 74), random.uniform(80, 96), random.uniform(70, 85)])
    neck = random.uniform(42, 68)
    into(skin_mm, skull, grow_mm=random.uniform(5, 10))
    into(skin_mm, ellipsoid(frame, (0, -38, -80), (56, 55, 65)), blend_mm=15)
    into(skin_mm, tube(frame, [(0, 15, -70), (0, 25, -190), (0, 30, -400)], [neck, neck, 1.3 * neck]), blend_mm=20)
    if random.random() < 0.5:
        into(skin_mm, ellipsoid(frame, (0, 35, -290), (random.uniform(150, 210), 75, 70)), blend_mm=40)
    blend(hu, share(skin_mm, edge), random.uniform(-60, 30))
    blend(hu, share(skin_mm + np.float32(random.uniform(3, 12)), edge), random.uniform(40, 70))
    paint(hu, skull, random.uniform(800, 1500), edge)
    paint(hu, skull, random.uniform(25, 42), edge, grow_mm=-random.uniform(5, 9))
    for side in (-1, 1):
        paint(hu, ellipsoid(frame, near((side * 12, 5, 15), 3, random), (6, 35, 10)), 8.0, edge)
        paint(hu, ellipsoid(frame, (side * 32, -78, -35), (13, 13, 12)), 15.0, edge)
    _face(frame, hu, random)
    _throat(frame, hu, random)
    return skin_mm


def _face(frame: Frame, hu: Field, random: Random) -> None:
    """Sinuses, nose, ethmoid and mastoid cells, jaw."""
    edge = frame.spacing_mm
    for side in (-1, 1):
        sinus = ellipsoid(frame, near((side * 27, -62, -66), 3, random), draw(random, 9, 19))
        paint(hu, sinus, 700.0, edge, grow_mm=2.5)
        paint(hu, sinus, 30.0 if random.random() < 0.2 else AIR_HU, edge)
        paint(hu, ellipsoid(frame, near((side * 12, -88, -12), 3, random), draw(random, 4, 12)), AIR_HU, edge)
        _cells(
            hu, ellipsoid(frame, near((side * 58, 18, -52), 3, random), draw(random, 12, 22)), 7 / edge, random, edge
        )
        paint(hu, tube(frame, [(side * 75, 5, -48), (side * 45, 5, -48)], [4, 3]), AIR_HU, edge)
        jaw = [(side * 48, 5, -65), (side * 48, -10, -115), (side * 25, -70, -125), (0, -85, -125)]
        _bone(hu, tube(frame, jaw, [9, 10, 9, 9]), edge, 1.2, 3.0)
    _cells(hu, ellipsoid(frame, (0, -65, -42), (14, 22, 14)), 6 / edge, random, edge)
    paint(hu, ellipsoid(frame, (0, -40, -38), draw(random, 6, 15)), AIR_HU, edge)
    paint(hu, tube(frame, [(0, -90, -70), (0, -35, -68)], [9, 8]), AIR_HU, edge)


def _cells(hu: Field, shape: Shape, cell: float, random: Random, edge: float) -> None:
    """Bone full of small air cells."""
    if shape is None:
        return
    window, field = shape
    cells = np.clip(noise(field.shape, max(cell, 1.0), random) * 2 + np.float32(random.uniform(-0.5, 1.5)), 0, 1)
    blend(hu[window], share(field, edge), (700 - 1650 * cells).astype(np.float32))


def _throat(frame: Frame, hu: Field, random: Random) -> None:
    edge, radius = frame.spacing_mm, random.uniform(6, 12)
    _bone(hu, tube(frame, [(0, 35, -75), (0, 40, -190), (0, 60, -400)], [12, 13, 17]), edge, 0.8)
    paint(hu, tube(frame, [(0, 62, -60), (0, 65, -400)], [8, 8]), 20.0, edge)
    paint(
        hu, tube(frame, [(0, 5, -70), (0, 3, -130), (0, 0, -170), (0, 15, -400)], [9, 11, radius, radius]), AIR_HU, edge
    )
    if random.random() < 0.5:
        paint(hu, ellipsoid(frame, near((0, -45, -95), 5, random), (random.uniform(10, 25), 25, 5)), AIR_HU, edge)


# --- limbs --------------------------------------------------------------------------------------------------------


def legs(frame: Frame, hu: Field, random: Random) -> Field:
    """One leg or two along z: thigh, knee at z 0, calf."""
    skin_mm = np.full(frame.x.shape, FAR, np.float32)
    apart, build = random.uniform(60, 105), random.uniform(0.75, 1.25)
    for side in (-1, 1) if random.random() < 0.7 else (0,):
        x = side * apart
        line = [(x + 10 * side, 0, 450), (x, 0, 90), (x, 0, 0), (x, 12, -110), (x, 5, -330), (x, 0, -420)]
        _limb(frame, hu, skin_mm, (line, [build * r for r in (92, 68, 58, 60, 38, 40)]), random)
        hard, edge = random.uniform(0.8, 1.4), frame.spacing_mm
        _bone(hu, tube(frame, [(x, -8, 450), (x, -6, 60), (x, 2, 10)], [15, 15, 27]), edge, hard, 6.0)
        _bone(hu, tube(frame, [(x, 2, -10), (x, -6, -60), (x, -6, -400)], [28, 15, 13]), edge, hard, 5.0)
        _bone(hu, tube(frame, [(x + 25, 18, -30), (x + 25, 15, -400)], [7, 6]), edge, hard, 3.0)
        _bone(hu, ellipsoid(frame, (x, -36, 12), (20, 10, 20)), edge, hard)
    return skin_mm


def arms(frame: Frame, hu: Field, random: Random) -> Field:
    """A forearm or an upper arm, or two, anywhere in the image."""
    skin_mm = np.full(frame.x.shape, FAR, np.float32)
    for _ in range(random.integers(1, 3)):
        x, y = random.normal(0, 60), random.normal(0, 35)
        line = [(x + random.normal(0, 60), y, 300), (x, y, 0), (x + random.normal(0, 60), y, -300)]
        _limb(frame, hu, skin_mm, (line, draw(random, 28, 62)), random)
        for offset in (-14, 14) if random.random() < 0.5 else (0,):
            bone = [(a + offset, b, c) for a, b, c in line]
            _bone(hu, tube(frame, bone, draw(random, 7, 13)), frame.spacing_mm, random.uniform(0.8, 1.4), 4.0)
    return skin_mm


def _limb(frame: Frame, hu: Field, skin_mm: Field, course: tuple[list, list[float]], random: Random) -> None:
    """Fat around muscle with fat between its bellies."""
    limb = tube(frame, *course)
    into(skin_mm, limb, blend_mm=6)
    paint(hu, limb, random.uniform(-120, -80), frame.spacing_mm)
    if limb is None:
        return
    window, field = limb
    bellies = np.abs(noise(field.shape, 25 / frame.spacing_mm, random))
    muscle = 60 - 140 * np.clip(1 - bellies * 8, 0, 1)
    blend(hu[window], share(field + np.float32(random.uniform(3, 18)), frame.spacing_mm), muscle.astype(np.float32))


# --- no patient at all --------------------------------------------------------------------------------------------


def phantom(frame: Frame, hu: Field, random: Random) -> Field:
    """A water cylinder with rods of air, foam and plastics in it: foam of -900 to -700 HU is not lung."""
    edge, radius, length = frame.spacing_mm, random.uniform(70, 165), random.uniform(60, 500)
    flat = random.uniform(0.65, 1.0)
    skin_mm = (np.sqrt(frame.x**2 + (frame.y / np.float32(flat)) ** 2) - np.float32(radius)) * np.float32(flat)
    skin_mm = np.maximum(skin_mm, np.abs(frame.z) - np.float32(length / 2)).astype(np.float32)
    blend(hu, share(skin_mm, edge), random.uniform(60, 250))
    blend(hu, share(skin_mm + np.float32(random.uniform(3, 12)), edge), random.uniform(-80, 60))
    count, start = random.integers(2, 11), random.uniform(0, 2 * np.pi)
    for n in range(count):
        angle, far = start + 2 * np.pi * n / count, random.uniform(0.35, 0.65) * radius
        x, y = far * np.cos(angle), far * np.sin(angle) * flat
        half = random.uniform(20, 200)
        rod = tube(frame, [(x, y, -half), (x, y, half)], [random.uniform(5, 0.3 * radius)] * 2)
        paint(hu, rod, float(random.choice([AIR_HU, *random.uniform(-900, -700, 3), -100, 120, 340, 990])), edge)
    return skin_mm


def empty(frame: Frame, hu: Field, random: Random) -> Field:
    """Air alone; the scan may add its table."""
    return np.full(frame.x.shape, FAR, np.float32)


MAKERS: dict[str, tuple[Callable[[Frame, Field, Random], Field], float]] = {  # with how often each comes
    "abdomen": (abdomen, 0.45),
    "head": (head, 0.17),
    "legs": (legs, 0.13),
    "arms": (arms, 0.07),
    "phantom": (phantom, 0.13),
    "empty": (empty, 0.05),
}
HEIGHTS_MM = {  # what may lie in the middle of the grid
    "abdomen": (-330.0, 0.0),
    "head": (-200.0, 20.0),
    "legs": (-300.0, 300.0),
    "arms": (-100.0, 100.0),
    "phantom": (-80.0, 80.0),
    "empty": (0.0, 0.0),
}
