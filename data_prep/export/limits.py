"""How many contours a region may take: counted before the first is traced, since a speckled mask takes millions."""

import numpy as np
from numpy.typing import NDArray

from data_prep.export.regions import MaskError

# A lung on slices of 512 x 512 takes 1 to 3 contours and some 250 points a slice, so 2,000 slices stay far below.
# 220,000 contours took 94 s to write and to read back, 524,000 took 179 s and 2.2 GB: by that rate some 20 s at the
# limit, which itself was not timed. Pure noise has 22,000 contours a slice: minutes and gigabytes, in a file that no
# planning system opens.
MOST_CONTOURS, MOST_POINTS = 50_000, 2_000_000
FEWEST_POINTS = 4  # of a contour along the edges of voxels


def refuse_speckle(mask: NDArray[np.bool_]) -> None:
    """Raise MaskError where the outlines of `mask`, (slices, rows, columns), would be over either limit."""
    points = sum(_points(plane) for plane in mask)
    contours = 0
    if points > MOST_POINTS or points > FEWEST_POINTS * MOST_CONTOURS:  # else there can't be that many contours
        contours = sum(_contours(plane) for plane in mask)
    if points > MOST_POINTS or contours > MOST_CONTOURS:
        raise MaskError(
            f"its outlines are {contours:,} contours or more with {points:,} points; at most {MOST_CONTOURS:,} and "
            f"{MOST_POINTS:,} are written for a region. It is a speckle rather than an organ: remove its specks and "
            "holes, or write a DICOM SEG, which holds any mask"
        )


def _points(plane: NDArray[np.bool_]) -> int:
    """Corners of the voxels' edges; one that two diagonal voxels share counts twice, as in outline.outlines."""
    if not plane.any():
        return 0
    box = np.pad(plane, 1)
    upright = box[:, 1:] ^ box[:, :-1]
    single = np.count_nonzero(upright[1:] ^ upright[:-1])
    diagonal = upright[1:] & upright[:-1] & (box[1:, 1:] ^ box[:-1, 1:])
    return int(single) + 2 * int(np.count_nonzero(diagonal))


def _contours(plane: NDArray[np.bool_]) -> int:
    """The least there can be: one around all voxels that share edges, one around each hole that corners don't part."""
    from scipy.ndimage import label

    box = np.pad(plane, 1)
    return int(label(box)[1]) + int(label(~box, np.ones((3, 3)))[1]) - 1
