"""How films of other machines look: gamma, bedside films, uneven exposure, inverted grey, equalisation."""

import numpy as np

from lungseg_monai.pictures.clahe import clahe
from lungseg_monai.pictures.grey import Picture
from lungseg_monai.transforms.random_picture import Label


def portable(picture: Picture, contrast: float, haze: float, slope: tuple[float, float], sigma: float) -> Picture:
    """(H, W) as from a bedside machine: blurred by `sigma` pixels, flatter (times `contrast` about the mean), hazy.

    `haze` makes it brighter; `slope` (down, across) from one edge to the other, as of a grid that is off centre.
    """
    from scipy.ndimage import gaussian_filter

    soft = gaussian_filter(picture, sigma)
    down, across = (np.linspace(-0.5, 0.5, size, dtype=np.float32) for size in picture.shape)
    shade = np.float32(slope[0]) * down[:, None] + np.float32(slope[1]) * across[None]
    mean = float(soft.mean())
    return np.clip((soft - mean) * np.float32(contrast) + np.float32(mean + haze) + shade, 0, 1)


def vignette(picture: Picture, strength: float, centre: tuple[float, float]) -> Picture:
    """(H, W) times 1 - strength * r^2; r is 1 at half the diagonal from `centre`, a share of (rows, columns)."""
    down, across = (
        np.linspace(0, 1, size, dtype=np.float32) - np.float32(at)
        for size, at in zip(picture.shape, centre, strict=True)
    )
    away = (down[:, None] ** 2 + across[None] ** 2) / np.float32(0.5)
    return np.clip(picture * (1 - np.float32(strength) * away), 0, 1)


def portable_look(picture: Picture, label: Label, random: np.random.RandomState) -> tuple[Picture, Label]:
    contrast, haze, sigma = random.uniform(0.4, 0.85), random.uniform(0, 0.2), random.uniform(0.3, 1.3)
    slope = random.uniform(-0.35, 0.35, 2)
    return portable(picture, contrast, haze, (slope[0], slope[1]), sigma), label


def vignetted(picture: Picture, label: Label, random: np.random.RandomState) -> tuple[Picture, Label]:
    centre = random.uniform(0.3, 0.7, 2)
    return vignette(picture, random.uniform(-0.5, 0.8), (centre[0], centre[1])), label


def inverted(picture: Picture, label: Label, random: np.random.RandomState) -> tuple[Picture, Label]:
    """Dense is dark: a film whose photometric interpretation got lost."""
    return 1 - picture, label


def equalised(picture: Picture, label: Label, random: np.random.RandomState) -> tuple[Picture, Label]:
    """CLAHE, from a little to a lot, mixed with the picture itself."""
    tiles = int(random.randint(2, 10))
    share = np.float32(random.uniform(0.4, 1.0))
    return share * clahe(np.clip(picture, 0, 1), random.uniform(1.2, 5.0), (tiles, tiles)) + (
        1 - share
    ) * picture, label


def contrast_and_brightness(picture: Picture, label: Label, random: np.random.RandomState) -> tuple[Picture, Label]:
    """Contrast times 0.5 to 1.6 about the mean, brightness up to 0.2 more or less, cut at 0 and 1."""
    mean = float(picture.mean())
    factor, more = np.float32(random.uniform(0.5, 1.6)), np.float32(random.uniform(-0.2, 0.2))
    return np.clip((picture - np.float32(mean)) * factor + np.float32(mean) + more, 0, 1), label
