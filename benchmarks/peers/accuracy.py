"""The cases that accuracy is measured on: seven solids on 1 x 1 x 3 mm, and eight nodules of 4 mm on 1 x 1 x 1 mm."""

from pathlib import Path

import numpy as np

from benchmarks.peers.cases import Case, Roi, Volume, even, offset_hu, on_grid, stored_values
from benchmarks.peers.dicom import Contour, Series, write_rtstruct, write_series
from benchmarks.peers.shapes import Solid, seven, sphere

CENTRES_MM = np.random.default_rng(7).uniform((-20, 50, -165), (30, 95, -140), (7, 3))  # anywhere, on no raster
NODULES_MM = np.random.default_rng(8).uniform((-40, 30, -190), (40, 110, -155), (8, 3))
NODULE_RADIUS_MM = 2.0


def make(root: Path) -> list[Case]:
    shapes = even("shapes", (144, 136, 40), (1.0, 1.0), 3.0)
    nodules = even("nodules", (128, 128, 60), (1.0, 1.0), 1.0)
    small = [
        sphere(centre, NODULE_RADIUS_MM, f"nodule {letter}")
        for letter, centre in zip("abcdefgh", NODULES_MM, strict=True)
    ]
    return [
        _write(root, "seven solids", shapes, seven(CENTRES_MM)),
        _write(root, "eight nodules of 4 mm", nodules, small),
    ]


def _write(root: Path, trap: str, series: Series, solids: list[Solid]) -> Case:
    offset = offset_hu(series)
    folder = root / series.case
    write_series(folder / "ct", series, lambda k: stored_values(series, k, offset))
    write_rtstruct(folder / "rtstruct" / "rs.dcm", series, [(solid.name, _contours(series, solid)) for solid in solids])
    rois = [Roi(one.name, one.inside, on_grid(series, one.inside), one.volume_mm3) for one in solids]
    return Case(series.case, trap, (Volume(offset, series),), tuple(rois))


def _contours(series: Series, solid: Solid) -> list[Contour]:
    return [
        Contour(k, np.column_stack([outline, np.full(len(outline), z)]))
        for k, z in enumerate(series.positions_mm[:, 2])
        for outline in solid.outlines(z)
    ]
