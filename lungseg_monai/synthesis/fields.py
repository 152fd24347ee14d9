"""Smooth random fields and soft shapes: what everything in a made chest is built from. All float32."""

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def noise(shape: tuple[int, ...], cell: float, random: np.random.Generator) -> Field:
    """Smooth noise of about unit variance that changes over `cell` voxels: cubic between random knots."""
    knots = [max(4, int(np.ceil(n / cell)) + 3) for n in shape]
    coarse = random.standard_normal(knots).astype(np.float32)
    return stretch(coarse, shape, cell)


def stretch(coarse: Field, shape: tuple[int, ...], cell: float) -> Field:
    """Cubic B-spline through the knots `coarse`, `cell` voxels apart, sampled at `shape` voxels."""
    out = coarse
    for axis, size in enumerate(shape):
        out = np.moveaxis(np.tensordot(_basis(size, out.shape[axis], cell), out, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(out, dtype=np.float32)


def _basis(size: int, knots: int, cell: float) -> Field:
    """(size, knots) weights of a uniform cubic B-spline, scaled so that white knots give unit variance on average."""
    at = 1 + np.arange(size) / cell
    matrix = np.zeros((size, knots), np.float32)
    for offset in range(-1, 3):
        knot = np.floor(at).astype(int) + offset
        t = np.abs(at - knot)
        weight = np.where(t < 1, 2 / 3 - t * t + t**3 / 2, np.maximum(2 - t, 0) ** 3 / 6)
        inside = (knot >= 0) & (knot < knots)
        matrix[np.flatnonzero(inside), knot[inside]] = weight[inside]
    scale = np.sqrt((matrix**2).sum(axis=1).mean())
    return matrix / np.float32(scale)


def soft_minimum(a: Field, b: Field, blend_mm: float) -> Field:
    """The smaller of two distance fields (their union), the corner between them filled by about `blend_mm`."""
    lower = np.minimum(a, b)
    fillet = np.maximum(np.float32(blend_mm) - np.abs(a - b), 0)
    return lower - fillet * fillet * np.float32(0.25 / blend_mm)


def soft_maximum(a: Field, b: Field, blend_mm: float) -> Field:
    """The larger of two distance fields (what both hold), its edge rounded by about `blend_mm`."""
    return -soft_minimum(-a, -b, blend_mm)


def share(distance_mm: Field, edge_mm: float) -> Field:
    """How much of a voxel a shape fills: 1 inside, 0 outside, a ramp of `edge_mm` across its surface."""
    return np.clip(np.float32(0.5) - distance_mm / np.float32(edge_mm), 0, 1)


def blend(hu: Field, part: Field, value: Field | np.float32 | float) -> None:
    """Paint `value` over `hu` where `part` (0 to 1) says, in place."""
    hu += part * (value - hu)
