"""What is exported and what became of it."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from data_prep.errors import MaskError as MaskError
from data_prep.export.outline import Style
from data_prep.geometry import Grid

Resample = Literal["refuse", "nearest"]


@dataclass(frozen=True, eq=False)
class Region:
    """One region to export.

    mask_ijk: anything but 0 is inside. grid: where it lies; any that has the series' voxels, axes in any order, will
    do. name: as it should be called. label: one of ours (lung_left, gtv, ...), which brings code, colour and TG-263
    name; None: found by `name`.
    """

    name: str
    mask_ijk: NDArray
    grid: Grid
    label: str | None = None


@dataclass(frozen=True)
class Refused:
    """What was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class ExportOptions:
    """resample: what to do with a mask on another grid than the series'; `nearest` loses detail.

    names: `auto` takes the TG-263 name where a mask is called by one of our labels, `tg263` wherever our table of
    spellings knows the name, `as-found` never. short_names: at most 16 characters, which is where some planning
    systems cut. algorithm: ROIGenerationAlgorithm and SegmentAlgorithmType. description: SeriesDescription.
    timestamp: of the file, None for now; the same input with the same timestamp gives the same bytes.
    """

    resample: Resample = "refuse"
    names: Literal["auto", "tg263", "as-found"] = "auto"
    short_names: bool = False
    algorithm: Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"] = "AUTOMATIC"
    description: str = "lungseg-monai, for research"
    timestamp: datetime | None = None


@dataclass(frozen=True)
class RtstructOptions(ExportOptions):
    """contour_style: see outline.outlines. holes: contours of their own, or cut into the contour around them.

    simplify_mm: how far contours may leave the points that are left out; 0 leaves out none but on straight lines.
    allow_loss: write contours that don't give the same voxels back. label: StructureSetLabel, at most 16 characters.
    """

    contour_style: Style = "edge"
    holes: Literal["separate", "keyhole"] = "separate"
    simplify_mm: float = 0.0
    allow_loss: bool = False
    label: str = "lungseg"


@dataclass(frozen=True)
class Written:
    """One region in the file. name: as it stands there; found_as: as it came.

    voxels, volume_ml: of the mask on the series. differing, dice: against what the file gives when it is read back.
    """

    name: str
    found_as: str
    voxels: int
    volume_ml: float
    contours: int = 0
    points: int = 0
    differing: int = 0
    dice: float = 1.0
    notes: tuple[str, ...] = ()


@dataclass
class ExportReport:
    """What is in the file, what was left out, and what had to be assumed."""

    path: Path
    written: list[Written] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all done; 1 something was left out."""
        return 1 if self.refused else 0

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "file": str(self.path),
            "written": [vars(one) | {"notes": list(one.notes)} for one in self.written],
            "refused": [vars(one) for one in self.refused],
            "notes": self.notes,
        }

    def table(self) -> str:
        """For people."""
        lines = [_line(one) for one in self.written]
        lines += [f"{one.name}: left out: {one.reason}" for one in self.refused]
        lines += self.notes
        lines += ["", f"{len(self.written)} region(s) in {self.path}"]
        if self.refused:
            lines[-1] += f"; {len(self.refused)} left out"
        return "\n".join("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in lines)


def _line(one: Written) -> str:
    name = one.name if one.name == one.found_as else f"{one.name} (from {one.found_as})"
    parts = [f"{one.volume_ml:.1f} ml"]
    if one.contours:
        parts.append(f"{one.contours} contours, {one.points} points")
    if one.differing:
        parts.append(f"{one.differing} voxels differ when read back, Dice {one.dice:.4f}")
    return f"{name}: {', '.join([*parts, *one.notes])}"
