"""What lies on films beside the patient: letters, side markers, tubes, leads. Labels stay."""

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.pictures.grey import Picture
from lungseg_monai.transforms.random_picture import Label

WORDS = (
    "L",
    "R",
    "PORTABLE",
    "AP",
    "AP ERECT",
    "PA",
    "SUPINE",
    "10:42",
    "ID 0000",
    "SITZEND",
    "cm",
    "kV 125",
    "W 4095",
)
Point = tuple[float, float]


def written(shape: tuple[int, int], word: str, corner: Point, height: float) -> Picture:
    """(H, W), 0 to 1: `word` with its upper left corner at (row, column), letters about `height` pixels high."""
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.new("L", (shape[1], shape[0]), 0)
    font = ImageFont.load_default(size=max(height, 5.0))
    ImageDraw.Draw(canvas).text((corner[1], corner[0]), word, fill=255, font=font)
    return np.asarray(canvas, np.float32) / np.float32(255)


def curve(shape: tuple[int, int], corners: NDArray, width: float) -> Picture:
    """(H, W), 0 to 1: a smooth line of `width` pixels by the control points (N, 2) of (row, column), a Bezier curve."""
    from PIL import Image, ImageDraw
    from scipy.special import comb

    degree = len(corners) - 1
    t = np.linspace(0, 1, 48)[:, None]
    powers = np.arange(degree + 1)
    weights = comb(degree, powers) * t**powers * (1 - t) ** (degree - powers)
    fine = 3  # drawn larger and averaged: soft edges
    canvas = Image.new("L", (shape[1] * fine, shape[0] * fine), 0)
    path = [(float(column) * fine, float(row) * fine) for row, column in weights @ np.asarray(corners, float)]
    ImageDraw.Draw(canvas).line(path, fill=255, width=max(1, round(width * fine)), joint="curve")
    return np.asarray(canvas.resize((shape[1], shape[0]), Image.Resampling.BOX), np.float32) / np.float32(255)


def blend(picture: Picture, cover: Picture, value: float) -> Picture:
    """picture with `value` where `cover` is 1, itself where it is 0."""
    return picture + cover * (np.float32(value) - picture)


def text(picture: Picture, label: Label, random: np.random.RandomState) -> tuple[Picture, Label]:
    """One to four words, most near an edge, white, some black or grey, some on a box."""
    rows, columns = picture.shape
    out = picture
    for _ in range(random.randint(1, 5)):
        word = WORDS[random.randint(len(WORDS))]
        height = random.uniform(0.02, 0.09) * rows
        edge = random.uniform(-0.02, 0.15) if random.uniform() < 0.5 else random.uniform(0.8, 0.95)
        place = (edge, random.uniform(0, 0.85)) if random.uniform() < 0.6 else (random.uniform(0, 0.9), edge)
        cover = written(picture.shape, word, (place[0] * rows, place[1] * columns), height)
        value = 1.0 if random.uniform() < 0.75 else random.uniform(0, 1)
        if random.uniform() < 0.2 and cover.any():
            where = np.argwhere(cover > 0)
            (top, left), (bottom, right) = where.min(axis=0), where.max(axis=0)
            out = out.copy()
            out[max(top - 2, 0) : bottom + 3, max(left - 2, 0) : right + 3] = 1 - value
        out = blend(out, cover, value)
    return out, label


def tubes(picture: Picture, label: Label, random: np.random.RandomState) -> tuple[Picture, Label]:
    """One to four tubes, lines or leads across the picture, denser than what they lie on; some end in a pad."""
    rows, columns = picture.shape
    out = picture
    for _ in range(random.randint(1, 5)):
        corners = random.uniform(0.0, 1.0, (4, 2)) * (rows, columns)
        corners[0] = (random.choice([0.0, rows - 1.0]), random.uniform(0, columns))
        cover = curve(picture.shape, corners, random.uniform(0.004, 0.014) * columns)
        if random.uniform() < 0.4:
            down, across = np.ogrid[:rows, :columns]
            radius = random.uniform(0.01, 0.025) * columns
            cover = np.maximum(cover, ((down - corners[-1, 0]) ** 2 + (across - corners[-1, 1]) ** 2 <= radius**2))
        out = np.minimum(out + cover.astype(np.float32) * np.float32(random.uniform(0.08, 0.5)), 1.0)
    return out, label
