"""The lungs' vessels as lines on the film: trees that fork from each hilum, their chords in mm at full resolution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.fields import Field
from lungseg_monai.synthesis.frame import Frame
from lungseg_monai.synthesis.lungs import SIDES
from lungseg_monai.synthesis.radiograph.beam import locate

FORKS = 6
LAYERS = 3  # within one, crossing vessels don't add
SMALLEST_MM = 0.35


@dataclass(frozen=True)
class Onto:
    """From the grid to the film: pixels a grid's step, (rows, columns), mm a pixel, both on the receptor."""

    scale: tuple[float, float]
    shape: tuple[int, int]
    spacing_mm: float


def vessel_chords_mm(
    frame: Frame, depth_mm: Field, hila: dict[int, tuple[float, float, float]], onto: Onto, random: np.random.Generator
) -> Field:
    """(rows, columns): how far a ray runs through vessels within the lungs. depth_mm: below the pleura, (I, J, K)."""
    layers = np.zeros((LAYERS, *onto.shape), np.float32)
    for label, centre in hila.items():
        start, end, thick = _tree(frame, depth_mm, np.array(centre), SIDES[label], random)
        tracks = np.concatenate([_film(start, frame, onto), _film(end, frame, onto)], axis=1)
        for (r0, c0, r1, c1), radius in zip(tracks.tolist(), thick.tolist(), strict=True):
            draw_rod(layers[int(random.integers(LAYERS))], (r0, c0), (r1, c1), radius / onto.spacing_mm)
    return layers.sum(axis=0) * np.float32(onto.spacing_mm)


def _tree(
    frame: Frame, depth_mm: Field, hilum: NDArray[np.float64], side: float, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Starts (N, 3), ends (N, 3) and radii (N,) of segments in the body's frame, mm."""
    count = int(random.integers(16, 24))
    rise = np.linspace(-1.25, 1.25, count) + random.normal(0, 0.12, count)
    swing = random.uniform(-1.0, 1.0, count)
    way = np.stack([side * np.cos(rise) * np.cos(swing), np.cos(rise) * np.sin(swing), np.sin(rise)], axis=1)
    at = hilum + random.normal(0, 1, (count, 3)) * (5, 6, 9)
    thick = random.uniform(2.2, 5.0, count) * np.where(rise < 0, 1.15, 0.85)
    starts, ends, radii = [], [], []
    for _ in range(FORKS):
        far = at + way * (11 + 5.5 * thick * random.uniform(0.7, 1.3, len(thick)))[:, None]
        kept = _inside(frame, depth_mm, far)
        starts.append(at[kept])
        ends.append(far[kept])
        radii.append(thick[kept])
        at, way, thick = np.repeat(far[kept], 2, axis=0), np.repeat(way[kept], 2, axis=0), np.repeat(thick[kept], 2)
        way = way + random.normal(0, 0.33, way.shape)
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        thick = thick * random.uniform(0.6, 0.9, len(thick))
        alive = thick > SMALLEST_MM
        at, way, thick = at[alive], way[alive], thick[alive]
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(radii)


def _inside(frame: Frame, depth_mm: Field, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    index = np.rint(locate(frame, points)).astype(int)
    there = ((index >= 0) & (index < depth_mm.shape)).all(axis=1)
    i, j, k = np.clip(index, 0, np.array(depth_mm.shape) - 1).T
    return there & (depth_mm[i, j, k] > -4)  # a hilum's own first steps lie in the mediastinum


def _film(points: NDArray[np.float64], frame: Frame, onto: Onto) -> NDArray[np.float64]:
    """(N, 2) rows and columns, rows from the top."""
    index = locate(frame, points)
    rows = onto.shape[0] - 0.5 - (index[:, 2] + 0.5) * onto.scale[0]
    return np.stack([rows, (index[:, 0] + 0.5) * onto.scale[1] - 0.5], axis=1)


def draw_rod(layer: Field, start: tuple[float, float], end: tuple[float, float], radius: float) -> None:
    """The chord through a round rod, in pixels, kept in `layer` where it is the longest; thin ones are spread out."""
    wide = max(radius, 0.7)
    (r0, c0), (r1, c1) = start, end
    reach = wide + 1
    rows = slice(max(0, int(min(r0, r1) - reach)), max(0, int(max(r0, r1) + reach) + 2))
    columns = slice(max(0, int(min(c0, c1) - reach)), max(0, int(max(c0, c1) + reach) + 2))
    here = layer[rows, columns]
    if here.size == 0:
        return
    dr = np.arange(rows.start, rows.start + here.shape[0], dtype=np.float32)[:, None] - np.float32(r0)
    dc = np.arange(columns.start, columns.start + here.shape[1], dtype=np.float32)[None] - np.float32(c0)
    ar, ac = r1 - r0, c1 - c0
    t = np.clip((dr * np.float32(ar) + dc * np.float32(ac)) / np.float32(max(ar * ar + ac * ac, 1e-6)), 0, 1)
    gap = (dr - t * np.float32(ar)) ** 2 + (dc - t * np.float32(ac)) ** 2
    chord = 2 * np.sqrt(np.maximum(np.float32(wide * wide) - gap, 0)) * np.float32((radius / wide) ** 2)
    np.maximum(here, chord, out=here)
