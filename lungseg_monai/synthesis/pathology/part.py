"""The part of a chest that a finding works in, and how findings are registered and recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lungseg_monai.synthesis.pathology.fields import Field, Mask, smooth_noise
from lungseg_monai.synthesis.pathology.rim import carry_to_rim

if TYPE_CHECKING:
    from lungseg_monai.synthesis.chest import Chest

MARGIN_MM = 30.0
SMALLEST_ML = 60.0
"""A cavity smaller than this (cut off by the image's edge, or absent) is left alone."""
CHANGED_HU = 25.0


@dataclass
class Part:
    """Views into a chest, cut to one pleural cavity with a margin (side 1 or 2) or whole (side 0); (I, J, K) each."""

    chest: Chest
    side: int
    box: tuple[slice, slice, slice]
    hu: Field
    lung: np.ndarray
    cavity: Mask  # this side's cavity; both for the whole chest
    inside: Mask  # this side's lung as it was when the part was opened
    depth_mm: Field
    x: Field
    y: Field
    z: Field

    @property
    def spacing_mm(self) -> float:
        """Isotropic spacing in mm."""
        return self.chest.spacing_mm

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        return self.hu.shape

    def noise(self, scale_mm: float, random: np.random.Generator) -> Field:
        """Smooth noise over this part."""
        return smooth_noise(self.shape, self.spacing_mm, scale_mm, random)

    def blend(self, weight: Field, hu: Field | float, where: Mask | None = None) -> None:
        """Mix `hu` in with a weight of 0 to 1, inside the lung unless told where."""
        weight = weight * (self.inside if where is None else where)
        self.hu += weight * (hu - self.hu)

    def wet(self, share: Field, hu: float = 35.0) -> None:
        """Replace a share (0 to 1) of the air inside the lung by water or cells: vessels keep standing out."""
        self.hu += (share * self.inside) * np.maximum(hu - self.hu, 0)

    def take_from_lung(self, where: Mask) -> None:
        """What lies there is no longer lung."""
        self.lung[where & (self.lung == self.side)] = 0
        self.inside &= ~where

    def down_mm(self) -> Field:
        """How far along gravity each voxel lies, mm, in the image's frame so that fluid levels are flat."""
        facts = self.chest.facts
        prone = facts.get("prone", facts.get("habitus", {}).get("prone", False))
        down = facts.get("down", (0.0, -1.0 if prone else 1.0, 0.0))
        total = np.zeros((1, 1, 1), np.float32)
        for axis, share in enumerate(down):
            steps = np.arange(self.shape[axis], dtype=np.float32) * np.float32(share * self.spacing_mm)
            total = total + steps.reshape([-1 if other == axis else 1 for other in range(3)])
        return np.broadcast_to(total, self.shape)

    def up_share(self) -> Field:
        """Height in the body, 0 at the bottom of the cavity and 1 at its top."""
        return _share(self.z, self.cavity)

    def back_share(self) -> Field:
        """0 at the front of the cavity, 1 at its back."""
        return _share(self.y, self.cavity)

    def hilum_ijk(self) -> tuple[float, float, float]:
        """Index of the voxel nearest the hilum, in this part."""
        x, y, z = self.chest.hilum_mm[self.side]
        gap = (self.x - x) ** 2 + (self.y - y) ** 2 + (self.z - z) ** 2
        place = np.unravel_index(int(np.argmin(gap)), self.shape)
        return float(place[0]), float(place[1]), float(place[2])

    def from_hilum_mm(self) -> Field:
        """Distance to the hilum in mm, body frame."""
        x, y, z = self.chest.hilum_mm[self.side]
        return np.sqrt((self.x - x) ** 2 + (self.y - y) ** 2 + (self.z - z) ** 2)

    def from_voxel_mm(self, place: tuple[float, ...], stretch: tuple[float, ...] = (1.0, 1.0, 1.0)) -> Field:
        """Distance in mm to a voxel; an axis with stretch 2 counts half."""
        squares = []
        for axis, (centre, factor) in enumerate(zip(place, stretch, strict=True)):
            steps = (np.arange(self.shape[axis], dtype=np.float32) - centre) * (self.spacing_mm / factor)
            squares.append((steps * steps).reshape([-1 if other == axis else 1 for other in range(3)]))
        return np.sqrt(squares[0] + squares[1] + squares[2]).astype(np.float32)

    def around(self, place: tuple[int, ...], radius_mm: float) -> Part:
        """A smaller part about a voxel."""
        reach = int(np.ceil(radius_mm / self.spacing_mm)) + 1
        box = tuple(
            slice(max(0, at - reach), min(size, at + reach + 1)) for at, size in zip(place, self.shape, strict=True)
        )
        return _cut(self, box)  # type: ignore[arg-type]

    def pick(self, where: Mask, random: np.random.Generator) -> tuple[int, int, int] | None:
        """A random voxel of a mask, or None where the mask is empty."""
        for _ in range(100):
            place = tuple(int(random.integers(size)) for size in self.shape)
            if where[place]:
                return place  # type: ignore[return-value]
        found = np.flatnonzero(where)
        if found.size == 0:
            return None
        i, j, k = np.unravel_index(int(found[random.integers(found.size)]), self.shape)
        return int(i), int(j), int(k)


def _share(values: Field, where: Mask) -> Field:
    chosen = values[where]
    low, high = float(chosen.min()), float(chosen.max())
    return (values - np.float32(low)) * np.float32(1 / max(high - low, 1.0))


def _cut(part: Part, box: tuple[slice, slice, slice]) -> Part:
    views = {name: getattr(part, name)[box] for name in ("hu", "lung", "cavity", "inside", "depth_mm", "x", "y", "z")}
    begun = tuple(slice(old.start + new.start, old.start + new.stop) for old, new in zip(part.box, box, strict=True))
    return Part(chest=part.chest, side=part.side, box=begun, **views)  # type: ignore[arg-type]


def open_part(chest: Chest, side: int) -> Part | None:
    """Views of one side's cavity with a margin, or of the whole chest (side 0); None where there is no cavity."""
    cavity = chest.cavity > 0 if side == 0 else chest.cavity == side
    voxel_ml = chest.spacing_mm**3 / 1000
    if np.count_nonzero(cavity) * voxel_ml < SMALLEST_ML:
        return None
    if side == 0:
        box = tuple(slice(0, size) for size in chest.hu.shape)
    else:
        margin = int(MARGIN_MM / chest.spacing_mm)
        box = _bounds(cavity, margin)
    lung = chest.lung[box]
    return Part(
        chest=chest,
        side=side,
        box=box,  # type: ignore[arg-type]
        hu=chest.hu[box],
        lung=lung,
        cavity=cavity[box],
        inside=(lung > 0) if side == 0 else (lung == side),
        depth_mm=chest.depth_mm[box],
        x=chest.x[box],
        y=chest.y[box],
        z=chest.z[box],
    )


def _bounds(mask: Mask, margin: int) -> tuple[slice, ...]:
    slices = []
    for axis in range(3):
        found = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        slices.append(slice(max(0, int(found[0]) - margin), min(mask.shape[axis], int(found[-1]) + 1 + margin)))
    return tuple(slices)


Draw = Callable[[Part, np.random.Generator], None]
Finding = Callable[["Chest", int, np.random.Generator], None]

FINDINGS: dict[str, Finding] = {}
FINDINGS_HELP: dict[str, str] = {}
LAYER: dict[str, int] = {}
"""Order of drawing: 0 the lung's own texture, 1 opacities, 2 nodules, 3 masses, 4 collapse, 5 pleura, 6 the rest."""
MIDLINE: set[str] = set()
"""Findings that are not bound to one side: they take any side and record side 0."""


def finding(help_line: str, *, layer: int, midline: bool = False) -> Callable[[Draw], Finding]:
    """Register `draw(part, random)` under its name as a finding `(chest, side, random)` that records itself."""

    def register(draw: Draw) -> Finding:
        name = draw.__name__

        def make(chest: Chest, side: int, random: np.random.Generator) -> None:
            part = open_part(chest, 0 if midline else side)
            if part is None or not part.inside.any():
                return
            before_hu, before_lung = part.hu.copy(), part.lung.copy()
            draw(part, random)
            if not midline:
                carry_to_rim(part, before_hu)
            np.clip(part.hu, -1024, 3000, out=part.hu)
            _record(part, name, before_hu, before_lung)

        make.__name__, make.__doc__ = name, help_line
        FINDINGS[name], FINDINGS_HELP[name], LAYER[name] = make, help_line, layer
        if midline:
            MIDLINE.add(name)
        return make

    return register


def _record(part: Part, name: str, before_hu: Field, before_lung: np.ndarray) -> None:
    changed = (np.abs(part.hu - before_hu) > CHANGED_HU) | (part.lung != before_lung)
    count = int(np.count_nonzero(changed))
    still_lung = int(np.count_nonzero(part.lung[changed]))
    part.chest.facts.setdefault("findings", []).append(
        {
            "name": name,
            "side": part.side,
            "volume_ml": round(count * part.spacing_mm**3 / 1000, 2),
            "in_lung": bool(count > 0 and still_lung * 2 > count),
        }
    )
