"""A region that somebody drew, whatever it was drawn in: RTSTRUCT, DICOM SEG, NPZ, NIfTI."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Grid
from data_prep.planes import PlaneReport

Fill = Callable[[Grid], tuple[NDArray[np.uint8], PlaneReport]]


@dataclass(frozen=True, eq=False)
class Drawn:
    """One region, ready to be filled on an image's grid.

    name: as found, for people; number: of the ROI or segment. frame_uid: FrameOfReferenceUID, "" where there is none.
    fill: grid -> mask (uint8 0/1, axes i, j, k of that grid) and its ledger. problem: why it can't be used, or None.
    notes: what had to be assumed or done to fill it; `fill` may add to them. label: what it is, for a name that no
    table knows.
    """

    name: str
    number: int | None
    frame_uid: str
    fill: Fill
    problem: str | None = None
    notes: list[str] = field(default_factory=list)
    label: str | None = None
