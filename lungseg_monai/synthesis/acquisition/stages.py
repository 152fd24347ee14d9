"""The stages of a scan: which effects come, how strong, and a note of each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.acquisition import calibration, field_of_view, hardware, sharpness, surroundings
from lungseg_monai.synthesis.acquisition import noise as noises
from lungseg_monai.synthesis.acquisition.waves import bounds, happens, log_uniform
from lungseg_monai.synthesis.chest import Chest

Volume = NDArray[np.float32]
Labels = NDArray[np.uint8]
Facts = dict[str, Any]
HARDWARE = {
    "leads": (hardware.add_leads, 0.25),
    "pacemaker": (hardware.add_pacemaker, 0.1),
    "tube": (hardware.add_tube, 0.12),
    "sternal_wires": (hardware.add_sternal_wires, 0.1),
}
MAX_STARS = 4


def surround(hu: Volume, chest: Chest, hard: float, random: np.random.Generator, facts: Facts) -> Volume:
    """Table, blanket, folds of cloth, a second object."""
    for name, effect, chance in (
        ("table", surroundings.add_table, 0.85),
        ("blanket", surroundings.add_blanket, 0.4),
        ("folds", surroundings.add_folds, 0.2),
        ("block", surroundings.add_block, 0.2),
    ):
        if happens(random, chance * hard):
            hu, facts[name] = effect(hu, chest.body, chest.spacing_mm, random)
    return hu


def implant(
    hu: Volume, chest: Chest, hard: float, random: np.random.Generator, facts: Facts
) -> tuple[Volume, list[hardware.Point]]:
    """Metal and plastic; also the points (voxels) that metal streaks start from."""
    points: list[hardware.Point] = []
    for name, (effect, chance) in HARDWARE.items():
        if happens(random, chance * hard):
            hu, found = effect(hu, chest.body, chest.spacing_mm, random)
            points += found
            facts[name] = len(found)
    return hu, points


def move(hu: Volume, chest: Chest, hard: float, random: np.random.Generator, facts: Facts) -> Volume:
    """Breathing, heart beats, steps between slabs."""
    up = bounds(chest.lung, 2)
    if up and happens(random, 0.15 * hard):
        offset, share = int(random.choice([-3, -2, -1, 1, 2, 3])), random.uniform(0.1, 0.5) * hard
        base = up[0] + random.uniform(0.1, 0.45) * (up[1] - up[0])
        hu = sharpness.breathing(hu, base, random.uniform(10, 35) / chest.spacing_mm, offset, share)
        facts["breathing"] = {"offset": offset, "share": round(share, 2)}
    if up and happens(random, 0.2 * hard):
        centre = (hu.shape[0] * random.uniform(0.5, 0.65), hu.shape[1] * 0.4, up[0] + 0.35 * (up[1] - up[0]))
        offset_ij = tuple(int(o) for o in random.integers(-2, 3, 2))
        hu = sharpness.heartbeat(hu, centre, 40 / chest.spacing_mm, (offset_ij[0], offset_ij[1]), 0.5 * hard)
        facts["heartbeat"] = offset_ij
    if happens(random, 0.06 * hard):
        height = int(random.integers(3, 12))
        hu = sharpness.stair_steps(hu, height, random.uniform(0.2, 0.8) * hard, random)
        facts["stair_steps"] = height
    return hu


def focus(hu: Volume, hard: float, random: np.random.Generator, facts: Facts) -> Volume:
    """Blur and sharp kernels."""
    if happens(random, 0.6 * hard):
        sigma = tuple(float(s) for s in random.uniform(0.2, 0.9) * random.uniform(0.7, 1.3, 3) * hard)
        hu = sharpness.blur(hu, (sigma[0], sigma[1], sigma[2]))
        facts["blur"] = tuple(round(s, 2) for s in sigma)
    if happens(random, 0.35 * hard):
        amount = random.uniform(0.15, 1.2) * hard
        hu = sharpness.sharpen(hu, amount, random.uniform(0.7, 1.4))
        facts["sharpen"] = round(amount, 2)
    return hu


def slice_up(
    hu: Volume, spacing_mm: float, hard: float, random: np.random.Generator, facts: Facts
) -> tuple[Volume, tuple[sharpness.Matrix, int] | None]:
    """Thick slices along z, seldom along another axis; also what spreads them, for the noise to be as thick."""
    if not happens(random, 0.45 * hard):
        return hu, None
    thick_mm = random.uniform(3, 10)
    step_mm = thick_mm * random.choice([1.0, random.uniform(0.5, 1.0), random.uniform(1.0, 1.6)], p=[0.6, 0.3, 0.1])
    step, nearest = max(1.0, step_mm / spacing_mm), happens(random, 0.35)
    axis = int(random.choice(3, p=[0.03, 0.05, 0.92]))
    gather, spread = sharpness.thick_slices(
        hu.shape[axis], thick_mm / spacing_mm, step, nearest, random.uniform(0, step / 2)
    )
    facts["slices"] = {"axis": axis, "thick_mm": round(thick_mm, 1), "step_mm": round(step_mm, 1), "nearest": nearest}
    return sharpness.apply_along(sharpness.apply_along(hu, gather, axis), spread, axis), (spread, axis)


def miscalibrate(hu: Volume, hard: float, random: np.random.Generator, facts: Facts) -> Volume:
    """Gain, offset, cupping, slow waves."""
    if happens(random, 0.7 * hard):
        gain = 1 + random.uniform(-0.04, 0.04) * hard
        offset = (random.uniform(-60, 60) if happens(random, 0.25) else random.normal(0, 12)) * hard
        hu = calibration.gain_and_offset(hu, gain, offset)
        facts["gain"], facts["offset_hu"] = round(gain, 3), round(offset, 1)
    if happens(random, 0.25 * hard):
        depth = random.uniform(-25, 45) * hard
        centre = hu.shape[0] / 2 + random.normal(0, 6), hu.shape[1] / 2 + random.normal(0, 6)
        hu = calibration.cupping(hu, depth, centre, 0.6 * max(hu.shape[:2]))
        facts["cupping_hu"] = round(depth, 1)
    if happens(random, 0.3 * hard):
        sd = random.uniform(3, 22) * hard
        hu = calibration.slow_waves(hu, sd, random.uniform(12, 45), random)
        facts["waves_hu"] = round(sd, 1)
    return hu


def streak(
    hu: Volume, spacing_mm: float, metal: list[hardware.Point], hard: float, random: np.random.Generator, facts: Facts
) -> Volume:
    """Streaks of shoulders and of metal."""
    if happens(random, 0.35 * hard):
        sd = log_uniform(random, 15, 160) * hard
        hu = calibration.shoulder_streaks(hu, sd, spacing_mm, random)
        facts["shoulder_streaks_hu"] = round(sd)
    if not happens(random, 0.5):  # most metal on the skin leaves no streak
        return hu
    for n in random.permutation(len(metal))[:MAX_STARS]:
        if happens(random, 0.7):
            hu = calibration.metal_star(hu, metal[n], random.uniform(30, 350) * hard, random.uniform(3, 15), random)
            facts["stars"] = facts.get("stars", 0) + 1
    return hu


def add_noise(
    hu: Volume,
    spacing_mm: float,
    slices: tuple[sharpness.Matrix, int] | None,
    hard: float,
    random: np.random.Generator,
    facts: Facts,
) -> Volume:
    """White or correlated noise of 2 to 90 HU, as thick as the slices, often more of it deep in the body."""
    sd = log_uniform(random, 2, 2 * 45**hard)
    sigma = random.uniform(0.4, 1.3) if happens(random, 0.5 * hard) else 0.0
    shape = list(hu.shape)
    if slices:
        shape[slices[1]] = slices[0].shape[1]
    noise = noises.make_noise((shape[0], shape[1], shape[2]), sd, sigma, random)
    if slices:
        noise = sharpness.apply_along(noise, *slices)
    deep = happens(random, 0.5 * hard)
    if deep:
        noise = noise * noises.depth_weight(hu, spacing_mm)
    facts["noise"] = {"sd_hu": round(sd, 1), "sigma": round(sigma, 2), "deep": deep}
    return hu + noise


def frame(chest: Chest, hard: float, random: np.random.Generator, facts: Facts) -> tuple[slice, slice, slice]:
    """The box that is cut out of the grid."""
    shape, spacing_mm = chest.hu.shape, chest.spacing_mm
    spans = [(0, n) for n in shape]
    up = bounds(chest.lung, 2) or (0, shape[2])
    if happens(random, 0.3 * hard):
        spans[2], facts["cut_up"] = field_of_view.cut_up(up, shape[2], spacing_mm, random)
    aim = field_of_view.one_lung(chest.lung, spacing_mm, random) if happens(random, 0.09 * hard) else None
    if aim:
        spans[:2], facts["one_lung"] = list(aim), True
    elif happens(random, 0.2 * hard):
        depth = random.choice([25.0, 70.0], p=[0.7, 0.3]) / spacing_mm * hard
        for axis in (0, 1):
            body = bounds(chest.body, axis) or (0, shape[axis])
            spans[axis] = field_of_view.cut_sides(body, shape[axis], depth, random)
        facts["cut_sides"] = True
    facts["crop"] = tuple(spans)
    i, j, k = (slice(*span) for span in spans)
    return i, j, k


def pad(hu: Volume, labels: Labels, hard: float, random: np.random.Generator, facts: Facts) -> tuple[Volume, Labels]:
    """Padding outside a circle and in the wedges that an oblique scan leaves."""
    padding = float(random.choice(field_of_view.PADDINGS_HU))
    half = max(hu.shape[:2]) / 2
    if happens(random, 0.45 * hard):
        kind = str(random.choice(["corners", "round", "tight"], p=[0.4, 0.4, 0.2]))
        low, high = {"corners": (1.0, 1.25), "round": (0.92, 1.02), "tight": (0.68, 0.92)}[kind]
        radius = half * random.uniform(low, high)
        centre = tuple(float(n / 2 + random.normal(0, 0.04 * n)) for n in hu.shape[:2])
        inside = field_of_view.circle((hu.shape[0], hu.shape[1]), (centre[0], centre[1]), radius)[:, :, None]
        hu, labels = field_of_view.pad_outside(hu, labels, inside, padding)
        facts["circle"] = {"kind": kind, "centre": centre, "radius": float(radius)}
    if happens(random, 0.12 * hard):
        axes = [(0, 1), (1, 0), (1, 2), (2, 1), (2, 0)][random.integers(5)]
        slope = random.uniform(0.02, 0.25) * hard
        depth = -random.uniform(0.2, 0.8) * slope * hu.shape[axes[1]]
        inside = field_of_view.wedge((hu.shape[0], hu.shape[1], hu.shape[2]), axes, depth, slope)
        hu, labels = field_of_view.pad_outside(hu, labels, inside, padding)
        facts["wedge"] = {"axes": axes, "depth": float(depth), "slope": float(slope)}
    facts["padding_hu"] = padding
    return hu, labels
