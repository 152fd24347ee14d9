"""Areas of lungs in a radiograph, and what makes one worth a look."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lungseg_monai.errors import ConfigError
from lungseg_monai.pictures.sides import LEFT, NAMES, RIGHT, Labels
from lungseg_monai.segment.result import Flag

RATIO = (0.6, 2.5)  # of the right to the left lung's area
SMALL = 0.05  # of the picture: a chest film shows more lung than that
EDGES = ("top", "bottom", "left", "right")
ALONG_EDGE = 0.05  # of the edge's length


def areas(labels: Labels, spacing_mm: Sequence[float] | None = None) -> dict[str, dict[str, float | int | None]]:
    """For lung_right, lung_left and lungs: {"pixels", "cm2", "share_of_picture"} of labels (H, W).

    spacing_mm: between rows and between columns, at the detector: areas in the patient are smaller by magnification.
    cm2 is None where it is None. Raises ConfigError for a spacing that is not two lengths above 0.
    """
    if spacing_mm is not None and (len(spacing_mm) != 2 or not all(np.isfinite(mm) and mm > 0 for mm in spacing_mm)):
        raise ConfigError(f"pixel spacing {spacing_mm!r} mm; wanted two lengths above 0: between rows, between columns")
    masks = {NAMES[RIGHT]: labels == RIGHT, NAMES[LEFT]: labels == LEFT, "lungs": labels > 0}
    found: dict[str, dict[str, float | int | None]] = {}
    for name, mask in masks.items():
        pixels = int(np.count_nonzero(mask))
        cm2 = None if spacing_mm is None else round(pixels * spacing_mm[0] * spacing_mm[1] / 100, 2)
        found[name] = {"pixels": pixels, "cm2": cm2, "share_of_picture": round(pixels / labels.size, 4)}
    return found


def flags_of(labels: Labels) -> tuple[Flag, ...]:
    """What is odd about labels (H, W).

    "no_lung" and "one_lung" (alarm), "small_lungs" (less than 0.05 of the picture), "uneven_lungs" (right to left area
    outside 0.6 to 2.5), "cut_at_edge" (along more than 0.05 of an edge of the picture).
    """
    pixels: dict[int, Any] = {side: int(np.count_nonzero(labels == side)) for side in NAMES}
    there = [side for side in NAMES if pixels[side]]
    if not there:
        return (Flag("no_lung", "no lung was found", "alarm"),)
    flags = []
    if len(there) == 1:
        flags.append(Flag("one_lung", f"only {NAMES[there[0]]} was found, {pixels[there[0]]} pixels", "alarm"))
    elif not RATIO[0] <= pixels[RIGHT] / pixels[LEFT] <= RATIO[1]:
        what = f"the right lung has {pixels[RIGHT]} pixels, the left one {pixels[LEFT]}"
        flags.append(Flag("uneven_lungs", what))
    share = sum(pixels.values()) / labels.size
    if share < SMALL:
        flags.append(Flag("small_lungs", f"the lungs are {share:.1%} of the picture"))
    return (*flags, *_cut_at_edge(labels))


def _cut_at_edge(labels: Labels) -> tuple[Flag, ...]:
    lines = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    touched = [name for name, line in zip(EDGES, lines, strict=True) if np.count_nonzero(line) > ALONG_EDGE * line.size]
    what = f"the picture ends within the lungs: {', '.join(touched)}"
    return (Flag("cut_at_edge", what),) if touched else ()
