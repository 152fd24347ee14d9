"""Corruptions in, on and beside the patient: disease, devices, letters. Labels stay as they are."""

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.pictures.grey import Picture
from lungseg_monai.pictures.sides import Labels

Random = np.random.Generator
Both = tuple[Picture, Labels]
Mask = NDArray[np.bool_]
Point = tuple[float, float]  # shares of (rows, columns)
WORDS = (
    "WARD 7",
    "BED 12",
    "THORAX AP",
    "R-ANT",
    "STAND 180cm",
    "LIEGEND",
    "EXP 3/4",
    "mAs 2.0",
    "DOB --.--",
    "SIN",
    "DX",
)
FINE = 2  # drawn larger and averaged: soft edges


class Sheet:
    """Lines, boxes and letters drawn on a transparent sheet of a picture's shape; places are shares of its sides."""

    def __init__(self, shape: tuple[int, int]) -> None:
        from PIL import Image, ImageDraw

        self.shape = shape
        self._canvas = Image.new("L", (shape[1] * FINE, shape[0] * FINE), 0)
        self._draw = ImageDraw.Draw(self._canvas)

    def line(self, points: list[Point], width: float) -> None:
        """width: share of the columns."""
        pixels = max(1, round(width * self.shape[1] * FINE))
        self._draw.line([self._xy(one) for one in points], fill=255, width=pixels, joint="curve")

    def disk(self, centre: Point, radius: float) -> None:
        x, y = self._xy(centre)
        reach = radius * self.shape[1] * FINE
        self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=255)

    def box(self, upper: Point, lower: Point) -> None:
        self._draw.rectangle((*self._xy(upper), *self._xy(lower)), fill=255)

    def word(self, text: str, corner: Point, height: float) -> None:
        from PIL import ImageFont

        font = ImageFont.load_default(size=max(6.0, height * self.shape[0] * FINE))
        self._draw.text(self._xy(corner), text, fill=255, font=font)

    def cover(self) -> Picture:
        """(H, W), 0 to 1."""
        from PIL import Image

        small = self._canvas.resize((self.shape[1], self.shape[0]), Image.Resampling.BOX)
        return np.asarray(small, np.float32) / np.float32(255)

    def _xy(self, place: Point) -> Point:
        return place[1] * self.shape[1] * FINE, place[0] * self.shape[0] * FINE


def marked(picture: Picture, labels: Labels, random: Random, lines: int, height: float, ruler: int) -> Both:
    """`lines` of text as a block in a corner, a side marker with an arrow, a black box; with `ruler` one along a side.

    height: of letters, a share of the picture's.
    """
    black, white = Sheet(picture.shape), Sheet(picture.shape)
    top, left = (float(random.choice(places)) for places in ((0.01, 0.97 - 1.25 * height * lines), (0.01, 0.62)))
    for row in range(int(lines)):
        text = f"{random.choice(WORDS)} {random.integers(0, 9999):04d}"
        white.word(text, (top + 1.2 * height * row, left), height)
    at = (float(random.uniform(0.08, 0.3)), float(random.choice([0.04, 0.86])))
    white.word(str(random.choice(["R", "L", "(R)", "(L)"])), at, 2.2 * height)
    white.line([(at[0] + 0.14, at[1] + 0.03), (at[0] + 0.08, at[1] + 0.03)], 0.006)
    box = (float(random.choice([0.0, 0.94])), float(random.uniform(0.1, 0.5)))
    black.box(box, (box[0] + 0.06, box[1] + 0.35))
    if ruler:
        side = float(random.choice([0.03, 0.97]))
        inward = 1 if side < 0.5 else -1
        white.line([(0.1, side), (0.9, side)], 0.003)
        for tick in range(41):
            white.line(
                [(0.1 + 0.02 * tick, side), (0.1 + 0.02 * tick, side + inward * (0.03 - 0.015 * bool(tick % 5)))], 0.003
            )
    out = picture * (1 - black.cover())
    return out + white.cover() * (1 - out), labels


def with_devices(picture: Picture, labels: Labels, random: Random, leads: int, metal: int) -> Both:
    """`leads` with electrodes, a tube down the middle, a catheter from a shoulder; `metal`: pacemaker, clips, rods."""
    soft, hard = Sheet(picture.shape), Sheet(picture.shape)
    middle = float(random.uniform(0.46, 0.54))
    soft.line([(0.0, middle), (0.3, middle + 0.005)], 0.018)
    side = float(random.choice([0.15, 0.85]))
    soft.line([(0.08, side), (0.17, side), (0.24, middle + 0.2 * (side - middle)), (0.42, middle - 0.04)], 0.007)
    for _ in range(int(leads)):
        pad = (float(random.uniform(0.15, 0.85)), float(random.uniform(0.1, 0.9)))
        hard.disk(pad, 0.012)
        soft.disk(pad, 0.03)
        hard.line([pad, (float(random.uniform(0.3, 1.0)), float(random.choice([0.0, 1.0])))], 0.005)
    if metal:
        _metal(hard, random, middle)
    out = picture + 0.25 * soft.cover() * (1 - picture)
    return out + hard.cover() * (1 - out), labels


def _metal(sheet: Sheet, random: Random, middle: float) -> None:
    right = bool(random.random() < 0.5)
    upper = (0.16, 0.14 if right else 0.74)
    sheet.box(upper, (upper[0] + 0.11, upper[1] + 0.12))
    sheet.line([(0.2, upper[1] + 0.06), (0.3, middle), (0.55, middle + 0.02), (0.72, middle + 0.12)], 0.006)
    for rod in (-0.035, 0.035):
        sheet.line([(0.25, middle + rod), (0.98, middle + rod)], 0.012)
    for row in np.linspace(0.3, 0.95, 6).tolist():
        sheet.line([(row, middle - 0.055), (row, middle + 0.055)], 0.008)
    for _ in range(5):
        at = (float(random.uniform(0.3, 0.6)), float(random.uniform(0.25, 0.75)))
        sheet.line([at, (at[0] + 0.012, at[1] + 0.008)], 0.006)


def pneumonia(picture: Picture, labels: Labels, random: Random, share: float, density: float, both: int) -> Both:
    """Patches with texture over about `share` of one lung, or at the periphery of both; `density` of the way to solid.

    Solid is the median grey outside the lungs.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    lungs = _lungs(labels)
    if not lungs:
        return picture, labels
    chosen = lungs if both else [lungs[int(random.integers(len(lungs)))]]
    place = np.logical_or.reduce(chosen)
    patches = _texture(picture.shape, 0.06, random) + 0.4 * _texture(picture.shape, 0.015, random)
    if both:
        depth = distance_transform_edt(place)
        patches -= 1.5 * depth / max(depth.max(), 1)
    level = float(np.quantile(patches[place], 1 - share))
    cover = 1 / (1 + np.exp(np.clip(-(patches - level) / 0.25, -30, 30)))
    cover *= gaussian_filter(place.astype(np.float32), 0.006 * picture.shape[1])
    return _solid(picture, density * cover, labels, 50), labels


def white_lung(picture: Picture, labels: Labels, random: Random, level: float, density: float) -> Both:
    """One lung white below `level` of its height, higher at its outer side (a meniscus); below 0: all of it."""
    from scipy.ndimage import gaussian_filter

    lungs = _lungs(labels)
    if not lungs:
        return picture, labels
    lung = lungs[int(random.integers(len(lungs)))]
    rows, columns = (np.flatnonzero(lung.any(axis=axis)) for axis in (1, 0))
    down = (np.arange(lung.shape[0])[:, None] - rows[0]) / len(rows)
    across = (np.arange(lung.shape[1])[None] - columns[0]) / len(columns)
    outer = 1 - across if columns.mean() < lung.shape[1] / 2 else across
    below = 1 / (1 + np.exp(np.clip(-(down - level + 0.3 * np.clip(outer, 0, 1) ** 3) / 0.02, -30, 30)))
    cover = below * gaussian_filter(lung.astype(np.float32), 0.012 * lung.shape[1])
    return _solid(picture, density * cover, labels, 65), labels


def _solid(picture: Picture, weight: NDArray, labels: Labels, percentile: float) -> Picture:
    """picture drawn by `weight` towards that percentile of the grey outside the lungs, where it is darker."""
    outside = picture[labels == 0]
    solid = float(np.percentile(outside, percentile)) if outside.size else 1.0
    return np.asarray(picture + weight * np.maximum(solid - picture, 0), np.float32)


def _lungs(labels: Labels) -> list[Mask]:
    """Each lung: by its label, or the two largest pieces of a mask that has one label for both."""
    from lungseg_monai.pictures.pieces import largest

    values = np.unique(labels[labels > 0])
    if len(values) > 1:
        return [labels == value for value in values]
    return largest(labels > 0, 2, 0.2) if len(values) else []


def _texture(shape: tuple[int, int], size: float, random: Random) -> NDArray[np.float64]:
    """Noise of mean 0 and deviation 1 whose patches are about `size` of the width."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(random.normal(size=shape), size * shape[1] / 2)
    return np.asarray((smooth - smooth.mean()) / max(float(smooth.std()), 1e-9))
