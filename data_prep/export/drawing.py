"""Regions -> what goes into a file: on the series' voxels, with a name, and those left out that can't be."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import NothingToDoError
from data_prep.export.align import align, resample_nearest
from data_prep.export.reference import ReferenceSeries
from data_prep.export.regions import ExportOptions, MaskError, Refused, Region
from data_prep.export.structures import Structure, dicom_name, structure_of


@dataclass(frozen=True, eq=False)
class Placed:
    """A region on the series, its voxels packed to bits (slice, row, column). shape: of these axes."""

    name: str
    found_as: str
    structure: Structure
    colour: tuple[int, int, int]
    packed: NDArray[np.uint8]
    shape: tuple[int, int, int]
    voxels: int
    volume_ml: float
    notes: tuple[str, ...]

    def mask(self) -> NDArray[np.bool_]:
        """(slices, rows, columns)."""
        return np.unpackbits(self.packed, count=int(np.prod(self.shape))).reshape(self.shape).view(np.bool_)


def place(
    regions: Iterable[Region | Refused], series: ReferenceSeries, options: ExportOptions
) -> tuple[list[Placed], list[Refused]]:
    """Lay each region on the series. One that can't be, or is empty, costs only itself."""
    placed: list[Placed] = []
    refused: list[Refused] = []
    names: set[str] = set()
    for region in regions:
        if isinstance(region, Refused):
            refused.append(region)
            continue
        try:
            mask, notes = _on_series(region, series, options)
        except MaskError as error:
            refused.append(Refused(region.name, str(error)))
            continue
        structure = structure_of(region.name, region.label, len(placed))
        name, named = dicom_name(region, structure, options, names)
        per_slice = np.count_nonzero(mask, axis=(1, 2))
        area_mm2 = float(np.prod(series.spacing_mm))
        placed.append(
            Placed(
                name=name,
                found_as=region.name,
                structure=structure,
                colour=_colour(structure.colour, {one.colour for one in placed}),
                packed=np.packbits(mask),
                shape=mask.shape,
                voxels=int(per_slice.sum()),
                volume_ml=float(per_slice @ series.thickness_mm) * area_mm2 / 1000,
                notes=(*notes, *named),
            )
        )
    return placed, refused


def nothing_left(refused: list[Refused]) -> NothingToDoError:
    """What to raise where no region is left."""
    reasons = "; ".join(f"{one.name}: {one.reason}" for one in refused[:4])
    return NothingToDoError(f"no mask can be exported ({reasons or 'none given'})")


def content_hash(placed: list[Placed], options: ExportOptions) -> str:
    """Changes with the voxels, names and options, which are all that the file is made of besides the series."""
    digest = hashlib.sha256(repr(sorted((k, v) for k, v in vars(options).items() if k != "timestamp")).encode())
    for one in placed:
        digest.update(repr((one.name, one.shape)).encode())
        digest.update(np.ascontiguousarray(one.packed).tobytes())
    return digest.hexdigest()


def _on_series(region: Region, series: ReferenceSeries, options: ExportOptions) -> tuple[NDArray[np.bool_], list[str]]:
    if region.mask_ijk.shape != region.grid.shape_ijk:
        raise MaskError(f"its array has shape {region.mask_ijk.shape}, its grid {region.grid.shape_ijk}")
    before = int(np.count_nonzero(region.mask_ijk))
    if not before:
        raise MaskError("it is empty, and planning systems stumble over a region of nothing")
    try:
        return align(region.mask_ijk, region.grid, series) != 0, []
    except MaskError:
        if options.resample == "refuse":
            raise
    mask = resample_nearest(region.mask_ijk, region.grid, series) != 0
    area = float(np.prod(series.spacing_mm))
    after_ml = float(np.count_nonzero(mask, axis=(1, 2)) @ series.thickness_mm) * area / 1000
    if not mask.any():
        raise MaskError("nothing of it lies on the images of the series")
    before_ml = before * region.grid.voxel_volume_mm3 / 1000
    return mask, [f"resampled to the nearest voxel, from {before_ml:.2f} ml to {after_ml:.2f} ml"]


def _colour(wanted: tuple[int, int, int], taken: set[tuple[int, int, int]]) -> tuple[int, int, int]:
    """`wanted`, or the nearest shade that no region before it has."""
    red, green, blue = wanted
    while (red, green, blue) in taken:
        red, green, blue = (red + 53) % 256, (green + 101) % 256, (blue + 29) % 256
    return red, green, blue
