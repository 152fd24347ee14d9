"""Regions of slices to tell apart: nodules, what a network took for one, and pieces of lung of a nodule's shape."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
KINDS = ("nodule", "false positive", "vessel", "lung")
SLICES = 3  # of a piece, evenly over its length
LEAST_PIXELS = 12  # of a region: fewer have no texture
TRIES = 200  # places that are drawn for a shape before it is given up
BRIGHT = 0.3  # of the window's 0 ... 1: above is vessel, not air


@dataclass(frozen=True)
class Region:
    """Pixels of one slice. kind: one of KINDS; image: (rows, columns), 0 ... 1; mask: the same shape."""

    case_id: str
    kind: str
    k: int
    image: NDArray[np.float32]
    mask: Mask

    @property
    def label(self) -> int:
        """1 for a nodule."""
        return int(self.kind == "nodule")

    @property
    def centre(self) -> tuple[int, int]:
        rows, columns = np.nonzero(self.mask)
        return round(float(rows.mean())), round(float(columns.mean()))

    def as_dict(self) -> dict[str, Any]:
        row, column = self.centre
        return {"case_id": self.case_id, "kind": self.kind, "slice": self.k, "row": row, "column": column,
                "pixels": int(self.mask.sum())}  # fmt: skip


@dataclass(frozen=True)
class Chest:
    """One case on the network's grid, all (rows, columns, slices): grey values 0 ... 1, and masks.

    found: what a network predicted; None: nothing was predicted.
    """

    case_id: str
    image: NDArray[np.float32]
    nodule: Mask
    lungs: Mask
    found: Mask | None = None


def regions_of(chest: Chest, by_network: bool, random: np.random.Generator) -> list[Region]:
    """Nodules of one case, its false positives, and for each nodule's region one of lung and one of vessel.

    by_network: nodules are drawn as the network found them, and those that it missed are left out; else as the
    reference has them. All that is no nodule lies on slices without any: a nodule nearby would give it away. Regions
    of lung and vessel have the shape of a nodule's region and lie inside the lungs; there are fewer where none fits.
    """
    found = chest.found if chest.found is not None else np.zeros_like(chest.nodule)
    nodules = [
        Region(chest.case_id, "nodule", k, chest.image[..., k], mask)
        for piece in pieces(found if by_network else chest.nodule)
        if not by_network or (piece & chest.nodule).any()
        for k, mask in slices_of(piece)
    ]
    free = ~(chest.nodule.any(axis=(0, 1)))
    wrong = [
        Region(chest.case_id, "false positive", k, chest.image[..., k], mask)
        for piece in pieces(found & free)
        if not (piece & chest.nodule).any()
        for k, mask in slices_of(piece)
    ]
    lungs = chest.lungs & free & ~found
    drawn = [
        region
        for one in nodules
        for kind in ("lung", "vessel")
        for region in [like(one.mask, kind, chest, lungs, random)]
        if region is not None
    ]
    return [*nodules, *wrong, *drawn]


def pieces(mask: Mask) -> Iterator[Mask]:
    """Each connected piece, voxels that touch by a corner too, as a mask of the whole."""
    from scipy.ndimage import label

    numbers, count = label(mask, np.ones((3, 3, 3)))
    for number in range(1, count + 1):
        yield numbers == number


def slices_of(piece: Mask) -> list[tuple[int, Mask]]:
    """Up to SLICES slices of a piece, evenly over those with LEAST_PIXELS or more, and what it has on each."""
    there = np.flatnonzero(piece.sum(axis=(0, 1)) >= LEAST_PIXELS)
    if not len(there):
        return []
    inner = np.linspace(0, len(there) - 1, SLICES + 2)[1:-1].round().astype(int)
    return [(int(k), piece[..., k]) for k in np.unique(there[inner])]


def like(shape: Mask, kind: str, chest: Chest, lungs: Mask, random: np.random.Generator) -> Region | None:
    """A region of `shape` inside `lungs`, about a pixel of lung or of vessel; None where none fits."""
    places = np.argwhere(lungs & (chest.image > BRIGHT) if kind == "vessel" else lungs)
    rows, columns = np.nonzero(shape)
    rows, columns = rows - round(float(rows.mean())), columns - round(float(columns.mean()))
    for _ in range(TRIES if len(places) else 0):
        i, j, k = places[random.integers(len(places))]
        if (rows + i).min() < 0 or (columns + j).min() < 0:
            continue
        if (rows + i).max() >= shape.shape[0] or (columns + j).max() >= shape.shape[1]:
            continue
        if lungs[rows + i, columns + j, k].all():
            mask = np.zeros_like(shape)
            mask[rows + i, columns + j] = True
            return Region(chest.case_id, kind, int(k), chest.image[..., k], mask)
    return None
