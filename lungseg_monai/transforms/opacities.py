"""Disease drawn into lungs: soft clouds as of consolidation, and a white base as of an effusion. Labels stay."""

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.pictures.grey import Picture
from lungseg_monai.transforms.random_picture import Label

SHARE_OF_WIDTH = (0.03, 0.15)  # standard deviation of a cloud


def whiten(picture: Picture, weight: NDArray[np.float32], density: float) -> Picture:
    """picture (H, W) drawn towards `density` by `weight` (0 to 1) of the way, where it is darker than that."""
    return picture + weight * np.maximum(np.float32(density) - picture, 0)


def cloud(shape: tuple[int, int], centre: tuple[float, float], sigmas: tuple[float, float], angle: float) -> Picture:
    """(H, W): 1 at `centre` (row, column), falling off as a Gaussian of `sigmas` pixels turned by `angle` radians."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    down, across = rows - centre[0], columns - centre[1]
    along = (down * np.cos(angle) + across * np.sin(angle)) / sigmas[0]
    aside = (across * np.cos(angle) - down * np.sin(angle)) / sigmas[1]
    return np.exp(-0.5 * (along**2 + aside**2)).astype(np.float32)


def base(lung: NDArray[np.bool_], level: float, softness: float, tilt: float) -> Picture:
    """(H, W): 0 above and 1 below the share `level` of the lung's height, over `softness` of it; `tilt` turns it."""
    rows = np.flatnonzero(lung.any(axis=1))
    columns = np.flatnonzero(lung.any(axis=0))
    height, width = float(np.ptp(rows)) + 1, float(np.ptp(columns)) + 1
    down = (np.arange(lung.shape[0])[:, None] - rows[0]) / height
    across = (np.arange(lung.shape[1])[None] - columns.mean()) / width
    slope = np.clip((down - level + tilt * across) / softness, -30, 30)
    return (1 / (1 + np.exp(-slope))).astype(np.float32)


def opacities(picture: Picture, label: Label, random: np.random.RandomState) -> tuple[Picture, Label]:
    """One to four clouds within the lungs or a white base of one lung, as dense as what lies around the lungs."""
    from scipy.ndimage import gaussian_filter
    from scipy.ndimage import label as pieces_of

    lungs = label.max(axis=0) > 0.5
    if not lungs.any() or lungs.all():
        return picture, label
    density = float(np.percentile(picture[~lungs], random.uniform(50, 85)))
    within = gaussian_filter(lungs.astype(np.float32), 0.008 * lungs.shape[1])
    if random.uniform() < 0.35:
        pieces, count = pieces_of(lungs)
        sizes = np.bincount(pieces.ravel())[1:]
        lung = pieces == 1 + random.choice(count, p=sizes / sizes.sum())
        cover = base(lung, random.uniform(0.4, 0.9), random.uniform(0.01, 0.06), random.uniform(-0.3, 0.3))
        beside = gaussian_filter(lung.astype(np.float32), 0.008 * lungs.shape[1])
        return whiten(picture, random.uniform(0.6, 1.0) * cover * beside, density), label
    places = np.argwhere(lungs)
    out = picture
    for _ in range(random.randint(1, 5)):
        centre = places[random.randint(len(places))]
        sigmas = random.uniform(*SHARE_OF_WIDTH, 2) * lungs.shape[1]
        soft = cloud(picture.shape, (centre[0], centre[1]), (sigmas[0], sigmas[1]), random.uniform(0, np.pi))
        out = whiten(out, random.uniform(0.3, 0.95) * soft * within, density)
    return out, label
