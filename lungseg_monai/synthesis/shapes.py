"""Distance fields of simple bodies, computed only where a frame holds them. Negative inside, mm."""

from collections.abc import Sequence

import numpy as np

from lungseg_monai.synthesis.fields import Field, blend, share
from lungseg_monai.synthesis.frame import Frame

FAR = 1e3
STEPS = 2001  # of the table of a profile
Window = tuple[slice, slice, slice]
Shape = tuple[Window, Field] | None  # where, and the field there; None: not on this grid


def ellipsoid(frame: Frame, centre: Sequence[float], radii: Sequence[float], turn: Field | None = None) -> Shape:
    """Radii (mm) along the rows of `turn` (3, 3), the body's axes unless told."""
    axes = np.eye(3) if turn is None else np.asarray(turn, float)
    half = np.sqrt(((axes * np.asarray(radii, float)[:, None]) ** 2).sum(axis=0))
    window = frame.window(np.asarray(centre) - half, np.asarray(centre) + half)
    if window is None:
        return None
    dx, dy, dz = (field[window] - np.float32(c) for field, c in zip((frame.x, frame.y, frame.z), centre, strict=True))
    near = np.float32(1e-9)
    slope = np.float32(1e-12)
    for (a, b, c), radius in zip(axes.tolist(), radii, strict=True):
        u = (dx * np.float32(a) + dy * np.float32(b) + dz * np.float32(c)) * np.float32(1 / radius)
        near = near + u * u
        slope = slope + u * u * np.float32(1 / radius**2)
    root = np.sqrt(near)
    return window, root * (root - 1) / np.sqrt(slope)


def tube(frame: Frame, points: Sequence[Sequence[float]], radii: Sequence[float]) -> Shape:
    """Round rods along a line of points whose radius changes linearly from point to point."""
    line, widest = np.asarray(points, float), max(radii)
    window = frame.window(line.min(axis=0) - widest, line.max(axis=0) + widest)
    if window is None:
        return None
    field = np.full([part.stop - part.start for part in window], FAR, np.float32)
    for start, end, r0, r1 in zip(line[:-1], line[1:], radii[:-1], radii[1:], strict=True):
        own = frame.window(np.minimum(start, end) - max(r0, r1), np.maximum(start, end) + max(r0, r1))
        if own is not None:
            here = field[tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(own, window, strict=True))]
            np.minimum(here, _rod(frame, own, (start, end), (r0, r1)), out=here)
    return window, field


def _rod(frame: Frame, window: Window, ends: tuple[Field, Field], radii: tuple[float, float]) -> Field:
    start, along = ends[0].astype(np.float32), (ends[1] - ends[0]).astype(np.float32)
    dx, dy, dz = (field[window] - value for field, value in zip((frame.x, frame.y, frame.z), start, strict=True))
    t = np.clip((dx * along[0] + dy * along[1] + dz * along[2]) / np.float32(along @ along), 0, 1)
    dx -= t * along[0]
    dy -= t * along[1]
    dz -= t * along[2]
    return np.sqrt(dx * dx + dy * dy + dz * dz) - np.float32(radii[0]) - t * np.float32(radii[1] - radii[0])


def paint(hu: Field, shape: Shape, value: float, edge_mm: float, grow_mm: float = 0.0) -> None:
    """Paint a shape, moved outwards by `grow_mm`, in place."""
    if shape is not None:
        window, field = shape
        blend(hu[window], share(field - np.float32(grow_mm), edge_mm), value)


def into(field: Field, shape: Shape, blend_mm: float = 0.0, grow_mm: float = 0.0) -> None:
    """Unite a shape with a field on the whole grid, in place; corners filled by about `blend_mm`."""
    if shape is None:
        return
    window, other = shape
    here = field[window]
    other = other - np.float32(grow_mm)
    if blend_mm > 0:
        fillet = np.maximum(np.float32(blend_mm) - np.abs(here - other), 0)
        np.minimum(here, other, out=here)
        here -= fillet * fillet * np.float32(0.25 / blend_mm)
    else:
        np.minimum(here, other, out=here)


def profile(z: Field, knots: Sequence[float], values: Sequence[float]) -> Field:
    """A curve over z through `values` at rising `knots`, smooth between them, flat beyond both ends."""
    fine = np.linspace(knots[0], knots[-1], STEPS)
    kernel = np.hanning(STEPS // 10) / np.hanning(STEPS // 10).sum()
    at = np.pad(np.interp(fine, knots, values), len(kernel) // 2, mode="edge")
    table = np.convolve(at, kernel, mode="valid").astype(np.float32)
    place = (z - np.float32(knots[0])) * np.float32((STEPS - 1) / (knots[-1] - knots[0]))
    return table.take(np.clip(place, 0, STEPS - 1).astype(np.int16))
