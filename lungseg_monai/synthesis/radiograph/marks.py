"""What is on a film beside the patient: the edge of the field, lead letters and burnt-in text, wires, tubes, pads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.fields import Field

WORDS = ("PORTABLE", "AP", "PA", "ERECT", "SUPINE", "SEMI ERECT", "MOBILE", "AP SITTING", "CHEST PA", "ICU", "W/C")


@dataclass(frozen=True)
class Field2D:
    """The exposed field: inside (rows, columns) bool, and what grey lies beyond it (0 shutter, 1 unexposed)."""

    inside: NDArray[np.bool_]
    beyond: float


def draw_field(shape: tuple[int, int], lungs: NDArray[np.uint8], random: np.random.Generator, chance: float) -> Field2D:
    """A turned rectangle that holds the film, or most of it: it may graze the lungs, not cut them away."""
    inside = np.ones(shape, bool)
    beyond = float(random.random() < 0.4)
    if random.random() >= chance or not lungs.any():
        return Field2D(inside, beyond)
    rows, columns = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    angle = np.float32(np.deg2rad(random.normal(0, 2.0)))
    down = rows[:, None] * np.cos(angle) + columns[None] * np.sin(angle)
    across = columns[None] * np.cos(angle) - rows[:, None] * np.sin(angle)
    for axis in (down, across):
        there = axis[lungs > 0]
        low, high = float(there.min()), float(there.max())
        if random.random() < 0.75:
            inside &= axis > min(low + 0.02, low - random.uniform(-0.03, 0.4))
        if random.random() < 0.75:
            inside &= axis < max(high - 0.02, high + random.uniform(-0.03, 0.4))
    return Field2D(inside, beyond)


def add_lines(integral: Field, spacing_mm: float, random: np.random.Generator, chance: float) -> list[str]:
    """Tubes, lines, wires and pads in front of the patient, added to the line integrals in place; their names."""
    if random.random() >= chance:
        return []
    makers = {"wires": _wires, "tube": _tube, "line": _line, "pacemaker": _pacemaker}
    weights = np.array([0.45, 0.3, 0.35, 0.08])
    names = [name for name, weight in zip(makers, weights.tolist(), strict=True) if random.random() < weight]
    for name in names:
        makers[name](integral, spacing_mm, random)
    return names


def _wires(integral: Field, mm: float, random: np.random.Generator) -> None:
    rows, columns = integral.shape
    for _ in range(int(random.integers(2, 6))):
        pad = random.uniform((0.15, 0.1), (0.9, 0.9)) * (rows, columns)
        _disk(integral, pad, random.uniform(3, 8) / mm, float(random.uniform(0.15, 0.7)))
        away = np.array([random.uniform(-0.1, 1.1) * rows, random.choice([-0.05, 1.05]) * columns])
        bend = (pad + away) / 2 + random.normal(0, 0.12, 2) * (rows, columns)
        _stroke(integral, _curve([pad, bend, away]), random.uniform(0.6, 1.4) / mm, float(random.uniform(0.3, 0.9)))


def _tube(integral: Field, mm: float, random: np.random.Generator) -> None:
    """From the neck down the midline, on to the stomach in a half."""
    rows, columns = integral.shape
    x = columns * (0.5 + random.normal(0, 0.02))
    points = [(-5, x + random.normal(0, 8)), (rows * 0.2, x), (rows * random.uniform(0.3, 0.42), x)]
    if random.random() < 0.5:
        points += [(rows * 0.75, x + columns * 0.03), (rows * 0.9, x + columns * random.uniform(0.06, 0.16))]
    _stroke(integral, _curve(points), random.uniform(0.8, 2.5) / mm, float(random.uniform(0.15, 0.5)))


def _line(integral: Field, mm: float, random: np.random.Generator) -> None:
    """A catheter from neck or shoulder to the vena cava."""
    rows, columns = integral.shape
    side = float(random.choice([-1, 1]))
    end = (rows * random.uniform(0.38, 0.5), columns * (0.5 - random.uniform(0.03, 0.08)))
    start = (rows * random.uniform(-0.02, 0.25), columns * (0.5 + side * random.uniform(0.1, 0.5)))
    bend = (rows * random.uniform(0.2, 0.26), columns * (0.5 + side * random.uniform(0.02, 0.12)))
    _stroke(integral, _curve([start, bend, end]), random.uniform(0.6, 1.2) / mm, float(random.uniform(0.15, 0.5)))


def _pacemaker(integral: Field, mm: float, random: np.random.Generator) -> None:
    rows, columns = integral.shape
    box = np.array([rows * random.uniform(0.2, 0.32), columns * random.choice([0.2, 0.8])])
    _disk(integral, box, random.uniform(18, 26) / mm, 3.0)
    tip = (rows * random.uniform(0.6, 0.72), columns * random.uniform(0.56, 0.66))
    _stroke(integral, _curve([box, (rows * 0.24, columns * 0.5), (rows * 0.5, columns * 0.44), tip]), 0.9 / mm, 1.2)


def _curve(points: Sequence[NDArray[np.float64] | tuple[float, float]]) -> NDArray[np.float64]:
    """A smooth line through points, (N, 2) rows and columns."""
    knots = np.asarray(points, float)
    from scipy.interpolate import PchipInterpolator

    at = np.linspace(0, len(knots) - 1, 40)
    return np.asarray(PchipInterpolator(np.arange(len(knots)), knots, axis=0)(at), float)


def _stroke(integral: Field, line: NDArray[np.float64], radius: float, dense: float) -> None:
    layer = np.zeros_like(integral)
    from lungseg_monai.synthesis.radiograph.vessels import draw_rod

    for start, end in zip(line[:-1].tolist(), line[1:].tolist(), strict=True):
        draw_rod(layer, tuple(start), tuple(end), radius)
    integral += layer * np.float32(dense / (2 * radius))


def _disk(integral: Field, centre: NDArray[np.float64], radius: float, dense: float) -> None:
    rows, columns = (np.arange(n, dtype=np.float32) for n in integral.shape)
    gap = np.sqrt((rows[:, None] - np.float32(centre[0])) ** 2 + (columns[None] - np.float32(centre[1])) ** 2)
    integral += np.clip(np.float32(radius) - gap + np.float32(0.5), 0, 1) * np.float32(dense)


def add_text(grey: Field, random: np.random.Generator, chance: float) -> list[str]:
    """A side's letter in lead, and lines of text burnt in, in place; what was written."""
    rows, columns = grey.shape
    written = []
    if random.random() < 0.3 + 0.5 * chance:
        right = random.random() < 0.5
        at = (
            rows * random.uniform(0.03, 0.3),
            columns * (random.uniform(0.03, 0.12) if right else random.uniform(0.85, 0.93)),
        )
        written.append("R" if right else "L")
        _write(grey, written[-1], at, rows * random.uniform(0.03, 0.06), float(random.uniform(0.8, 1)))
    for _ in range(int(random.integers(1, 4)) if random.random() < chance else 0):
        number = f"{int(random.integers(0, 99999)):05d}"
        word = str(random.choice([*WORDS, number]))
        at = (
            rows * random.choice([random.uniform(0, 0.1), random.uniform(0.88, 0.96)]),
            columns * random.uniform(0, 0.8),
        )
        written.append(word)
        _write(grey, word, at, rows * random.uniform(0.02, 0.04), float(random.choice([0.0, 1.0], p=[0.2, 0.8])))
    return written


def _write(grey: Field, word: str, at: tuple[float, float], height: float, value: float) -> None:
    from PIL import Image, ImageDraw, ImageFont

    sheet = Image.new("L", (grey.shape[1], grey.shape[0]), 0)
    font = ImageFont.load_default(size=max(6.0, height))
    ImageDraw.Draw(sheet).text((at[1], at[0]), word, fill=255, font=font)
    ink = np.asarray(sheet, np.float32) / 255
    grey += ink * (np.float32(value) - grey)
