"""What a scanner does to an image, one fault at a time, on chests that have nothing else."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.lungs.chests import MARGIN_MM, as_sample, draw_chest, scanned
from benchmarks.lungs.sample import Sample, stream
from lungseg_monai.synthesis.acquisition import calibration, field_of_view, hardware, noise, sharpness, surroundings
from lungseg_monai.synthesis.acquisition.waves import bounds
from lungseg_monai.synthesis.chest import Chest
from lungseg_monai.synthesis.scene import trim

Volume = NDArray[np.float32]
Labels = NDArray[np.uint8]
Steps = tuple[float, float, float]
Made = tuple[Volume, Labels, Steps]
Fault = Callable[[Volume, Chest, np.random.Generator], Made]


def values(change: Callable[[Volume, Chest, np.random.Generator], Volume]) -> Fault:
    """A fault that changes HU alone."""
    return lambda hu, chest, random: (change(hu, chest, random), chest.lung, (chest.spacing_mm,) * 3)


def noisy(sd_hu: float, sigma: float = 0.0) -> Fault:
    return values(lambda hu, chest, random: hu + noise.make_noise(chest.hu.shape, sd_hu, sigma, random))


def thick(thick_mm: float, step_mm: float, axis: int = 2) -> Fault:
    """Slices as they are stored: a grid of its own along `axis`, a voxel lung where most of its slice is."""

    def make(hu: Volume, chest: Chest, random: np.random.Generator) -> Made:
        mm = chest.spacing_mm
        gather, _ = sharpness.thick_slices(
            hu.shape[axis], thick_mm / mm, step_mm / mm, False, random.uniform(0, 1) * step_mm / mm
        )
        shares = [sharpness.apply_along((chest.lung == n).astype(np.float32), gather, axis) for n in (1, 2)]
        labels = np.where(np.maximum(*shares) >= 0.5, np.where(shares[0] >= shares[1], 1, 2), 0).astype(np.uint8)
        steps = [mm, mm, mm]
        steps[axis] = step_mm
        return sharpness.apply_along(hu, gather, axis), labels, (steps[0], steps[1], steps[2])

    return make


def calibrated(gain: float, offset_hu: float) -> Fault:
    return values(lambda hu, chest, random: calibration.gain_and_offset(hu, gain, offset_hu))


def cupped(hu: Volume, chest: Chest, random: np.random.Generator) -> Volume:
    return calibration.cupping(hu, 45.0, (hu.shape[0] / 2, hu.shape[1] / 2), 0.6 * max(hu.shape[:2]))


def equipped(add: Callable[..., tuple[Volume, list]], star_hu: float = 0.0) -> Fault:
    """Metal or plastic; with star_hu, up to four points of it leave streaks."""

    def change(hu: Volume, chest: Chest, random: np.random.Generator) -> Volume:
        hu, points = add(hu, chest.body, chest.spacing_mm, random)
        for point in points[:4] if star_hu else []:
            hu = calibration.metal_star(hu, point, star_hu, 10.0, random)
        return hu

    return values(change)


def around(add: Callable[..., tuple[Volume, dict]]) -> Fault:
    return values(lambda hu, chest, random: add(hu, chest.body, chest.spacing_mm, random)[0])


def beating(hu: Volume, chest: Chest, random: np.random.Generator) -> Volume:
    low, high = bounds(chest.lung, 2) or (0, hu.shape[2])
    centre = (hu.shape[0] * 0.57, hu.shape[1] * 0.4, low + 0.35 * (high - low))
    return sharpness.heartbeat(hu, centre, 40 / chest.spacing_mm, (2, -2), 0.5)


def breathing(hu: Volume, chest: Chest, random: np.random.Generator) -> Volume:
    low, high = bounds(chest.lung, 2) or (0, hu.shape[2])
    return sharpness.breathing(hu, low + 0.25 * (high - low), 25 / chest.spacing_mm, 3, 0.5)


def circled(share: float, padding_hu: float) -> Fault:
    """A circular field of view; share of half of the image's longer side."""

    def make(hu: Volume, chest: Chest, random: np.random.Generator) -> Made:
        i, j = hu.shape[:2]
        inside = field_of_view.circle((i, j), (i / 2, j / 2), share * max(i, j) / 2)[:, :, None]
        hu, labels = field_of_view.pad_outside(hu, chest.lung, inside, padding_hu)
        return hu, labels, (chest.spacing_mm,) * 3

    return make


def wedged(hu: Volume, chest: Chest, random: np.random.Generator) -> Made:
    inside = field_of_view.wedge(chest.hu.shape, (1, 2), 0.0, 0.2)
    hu, labels = field_of_view.pad_outside(hu, chest.lung, inside, -2000.0)
    return hu, labels, (chest.spacing_mm,) * 3


def cut_z(low: float, high: float) -> Fault:
    """Shares of the lungs' height that are left; below 0 and above 1 the abdomen and the neck."""

    def make(hu: Volume, chest: Chest, random: np.random.Generator) -> Made:
        first, last = bounds(chest.lung, 2) or (0, hu.shape[2])
        height = last - first
        k = slice(max(0, round(first + low * height)), max(1, round(first + high * height)))
        return hu[:, :, k], chest.lung[:, :, k], (chest.spacing_mm,) * 3

    return make


def slab(thick_mm: float) -> Fault:
    """So many mm anywhere between the middle tenths of the lungs."""

    def make(hu: Volume, chest: Chest, random: np.random.Generator) -> Made:
        first, last = bounds(chest.lung, 2) or (0, hu.shape[2])
        middle = first + random.uniform(0.2, 0.8) * (last - first)
        half = 0.5 * thick_mm / chest.spacing_mm
        k = slice(max(0, round(middle - half)), round(middle + half))
        return hu[:, :, k], chest.lung[:, :, k], (chest.spacing_mm,) * 3

    return make


def one_lung(hu: Volume, chest: Chest, random: np.random.Generator) -> Made:
    i, j = field_of_view.one_lung(chest.lung, chest.spacing_mm, random) or ((0, hu.shape[0]), (0, hu.shape[1]))
    box = (slice(*i), slice(*j))
    return hu[box], chest.lung[box], (chest.spacing_mm,) * 3


def sides_cut(depth_mm: float) -> Fault:
    """The image ends so deep in the body on its right and left."""

    def make(hu: Volume, chest: Chest, random: np.random.Generator) -> Made:
        low, high = bounds(np.asarray(chest.body), 0) or (0, hu.shape[0])
        depth = round(depth_mm / chest.spacing_mm)
        i = slice(low + depth, max(low + depth + 32, high - depth))
        return hu[i], chest.lung[i], (chest.spacing_mm,) * 3

    return make


def mirrored(hu: Volume, chest: Chest, random: np.random.Generator) -> Made:
    scan, labels = field_of_view.mirror(np.rint(hu).astype(np.int16), chest.lung)
    return scan.astype(np.float32), labels, (chest.spacing_mm,) * 3


FAULTS: dict[str, tuple[str, Fault]] = {
    "none": ("an ordinary scan: table, 15 HU of noise", values(lambda hu, chest, random: hu)),
    "noise-30": ("white noise of 30 HU", noisy(30)),
    "noise-60": ("white noise of 60 HU", noisy(60)),
    "noise-100": ("white noise of 100 HU", noisy(100)),
    "noise-60-coarse": ("correlated noise of 60 HU", noisy(60, 1.0)),
    "slices-5": ("slices of 5 mm", thick(5, 5)),
    "slices-7": ("slices of 7 mm", thick(7, 7)),
    "slices-10": ("slices of 10 mm", thick(10, 10)),
    "slices-5-gap-10": ("slices of 5 mm every 10 mm", thick(5, 10)),
    "sagittal-6": ("sagittal slices of 6 mm", thick(6, 6, 0)),
    "coronal-6": ("coronal slices of 6 mm", thick(6, 6, 1)),
    "hu-minus-100": ("all HU 100 too low", calibrated(1, -100)),
    "hu-minus-50": ("all HU 50 too low", calibrated(1, -50)),
    "hu-plus-50": ("all HU 50 too high", calibrated(1, 50)),
    "hu-plus-100": ("all HU 100 too high", calibrated(1, 100)),
    "hu-plus-1024": ("stored without its intercept of -1024", calibrated(1, 1024)),
    "gain-0.95": ("attenuation 5 % too low", calibrated(0.95, 0)),
    "gain-1.05": ("attenuation 5 % too high", calibrated(1.05, 0)),
    "cupping": ("45 HU darker in the middle", values(cupped)),
    "waves": ("slow shading of 25 HU", values(lambda hu, chest, r: calibration.slow_waves(hu, 25, 20, r))),
    "blur": ("a blur of 6 mm full width", values(lambda hu, chest, r: sharpness.blur(hu, (0.85, 0.85, 0.85)))),
    "sharp": ("a sharp kernel: edges overshoot by 100 %", values(lambda hu, chest, r: sharpness.sharpen(hu, 1.0, 1.0))),
    "shoulder-streaks": (
        "streaks of 150 HU through the shoulders",
        values(lambda hu, chest, r: calibration.shoulder_streaks(hu, 150, chest.spacing_mm, r)),
    ),
    "pacemaker": ("a pacemaker or port with streaks", equipped(hardware.add_pacemaker, 350)),
    "leads": ("ECG leads with streaks", equipped(hardware.add_leads, 200)),
    "sternal-wires": ("wires or clips with streaks", equipped(hardware.add_sternal_wires, 300)),
    "tube": ("a tube or drain", equipped(hardware.add_tube)),
    "breathing": ("a double diaphragm, 9 mm apart", values(breathing)),
    "heartbeat": ("a double heart, 8 mm apart", values(beating)),
    "steps": ("slabs moved by 3 mm", values(lambda hu, chest, r: sharpness.stair_steps(hu, 6, 0.8, r))),
    "blanket": ("a blanket or clothes", around(surroundings.add_blanket)),
    "folds": ("crumpled cloth around the body", around(surroundings.add_folds)),
    "block": ("a second object beside the body", around(surroundings.add_block)),
    "circle-1000": ("a circle inside the image, -1000 HU outside", circled(0.95, -1000)),
    "circle-2000": ("the same, -2000 HU outside", circled(0.95, -2000)),
    "circle-3024": ("the same, -3024 HU outside", circled(0.95, -3024)),
    "circle-tight": ("a circle that cuts the lungs", circled(0.7, -2000)),
    "wedge": ("an oblique scan put on a straight grid", wedged),
    "apex-missing": ("the upper 30 % of the lungs missing", cut_z(-1, 0.7)),
    "base-missing": ("the lower 30 % missing", cut_z(0.3, 2)),
    "abdomen": ("an abdomen with the lowest 25 % of the lungs", cut_z(-2, 0.25)),
    "neck": ("a neck with the upper 20 %", cut_z(0.8, 2)),
    "slab-150": ("a slab of 150 mm", slab(150)),
    "slab-80": ("a slab of 80 mm", slab(80)),
    "slab-50": ("a slab of 50 mm", slab(50)),
    "slab-30": ("a slab of 30 mm", slab(30)),
    "sides-30": ("right and left 30 mm of the body cut off", sides_cut(30)),
    "sides-60": ("right and left 60 mm of the body cut off", sides_cut(60)),
    "one-lung": ("an image of one lung alone", one_lung),
    "mirrored": ("all organs on the other side", mirrored),
}
FAULT_ROWS = {name: help_line for name, (help_line, _) in FAULTS.items()}


@lru_cache(maxsize=1)
def _base(number: int) -> tuple[Chest, Volume]:
    chest, random = draw_chest(("fault", number))
    chest = trim(chest, MARGIN_MM)
    return chest, scanned(chest, random)


def with_fault(row: str, number: int) -> Sample:
    """Chest `number` of all rows is the same."""
    chest, hu = _base(number)
    made, lung, spacing_mm = FAULTS[row][1](hu.copy(), chest, stream("fault", row, number))
    return as_sample(made, lung, spacing_mm)
