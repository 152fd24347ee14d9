"""Air that the network took for lung and that is none: windpipe, stomach, bowel. On the network grid, axes LPS."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.spread import Labels, box_around, spread

AIR_HU = -900.0  # of a lumen at 3 mm, where partial volume lifts it from -985
TUBE_MM2 = 750.0  # cross-section of a windpipe at most
TUBE_MM = 12.0  # shorter ones are an apex or a stray slice
BETWEEN = (0.25, 0.75)  # from the right lung's middle to the left one's
LUNGS_APART_MM = 60.0  # their middles, in a slice
AHEAD_MM = 45.0  # of the lungs' middle, to front and back: where a windpipe may run
GAS_HU = -930.0
GAS_ML = 3.0
GAS_CONTACT = 0.3  # of a gas pocket's surface against lung: a bulla has more, a stomach less


def windpipe(labels: Labels, hu: NDArray[np.float32], spacing_mm: float) -> Labels:
    """1 where labels hold a thin tube of air between the lungs. labels: (I, J, K), 1 right, 2 left.

    Looked for slice by slice, upwards: above the carina it stands alone between the lungs, or over them.
    """
    import cc3d

    mask, found = (labels > 0).astype(np.uint8), np.zeros_like(labels)
    between: Between | None = None
    for k in np.flatnonzero(mask.any(axis=(0, 1))).tolist():
        pieces = cc3d.connected_components(mask[:, :, k], connectivity=8)
        stats = cc3d.statistics(pieces)
        between = _between(stats, spacing_mm) or between
        if between is None:
            continue
        for n in range(1, len(stats["voxel_counts"])):
            x, y = stats["centroids"][n][:2]
            small = stats["voxel_counts"][n] * spacing_mm**2 <= TUBE_MM2
            if small and between.holds(x, y) and np.percentile(hu[:, :, k][pieces == n], 30) < AIR_HU:
                found[:, :, k][pieces == n] = 1
    return _long_ones(found, spacing_mm) if found.any() else found


@dataclass(frozen=True)
class Between:
    """Where a windpipe may run, in voxels of a slice."""

    low_x: float
    high_x: float
    low_y: float
    high_y: float

    def holds(self, x: float, y: float) -> bool:
        return self.low_x < x < self.high_x and self.low_y < y < self.high_y


def _between(stats: Any, spacing_mm: float) -> Between | None:
    """The place between the two lungs of a slice; None where it doesn't show two."""
    voxels = stats["voxel_counts"]
    middles = [stats["centroids"][n] for n in range(1, len(voxels)) if voxels[n] * spacing_mm**2 > TUBE_MM2]
    if len(middles) < 2:
        return None
    low, high = min(float(c[0]) for c in middles), max(float(c[0]) for c in middles)
    if (high - low) * spacing_mm < LUNGS_APART_MM:
        return None
    depth, reach = float(np.mean([c[1] for c in middles])), AHEAD_MM / spacing_mm
    right, left = (low + share * (high - low) for share in BETWEEN)
    return Between(right, left, depth - reach, depth + reach)


def _long_ones(found: Labels, spacing_mm: float) -> Labels:
    import cc3d

    pieces = cc3d.connected_components(found, connectivity=26)
    boxes = cc3d.statistics(pieces)["bounding_boxes"]
    for index in range(1, len(boxes)):
        along = boxes[index][2]
        if (along.stop - along.start) * spacing_mm < TUBE_MM:
            found[boxes[index]][pieces[boxes[index]] == index] = 0
    return found


def gas_below(labels: Labels, hu: NDArray[np.float32], spacing_mm: float) -> Labels:
    """1 where labels hold a pocket of nothing but air that lies in the lower half and hardly touches lung."""
    import cc3d

    gas = ((labels > 0) & (hu < GAS_HU)).astype(np.uint8)
    lung = ((labels > 0) & (gas == 0)).astype(np.uint8)
    gas = cc3d.dust(gas, threshold=int(GAS_ML * 1000 / spacing_mm**3), connectivity=6)
    found = np.zeros_like(labels)
    if not gas.any():
        return found
    middle_z = _middle_z(labels)
    pieces = cc3d.connected_components(gas, connectivity=6)
    stats = cc3d.statistics(pieces)
    for n in range(1, len(stats["voxel_counts"])):
        if stats["centroids"][n][2] > middle_z:
            continue
        box = tuple(slice(max(0, part.start - 2), part.stop + 2) for part in stats["bounding_boxes"][n])
        pocket = (pieces[box] == n).astype(np.uint8)
        if _is_gas(pocket, lung[box]):
            rim = spread(pocket, [0, 1, 2]) & (labels[box] > 0)
            found[box] |= rim
    return found


def _is_gas(pocket: Labels, lung: Labels) -> bool:
    rim = spread(spread(pocket, [0, 1, 2]), [0, 1, 2]) - pocket  # one voxel further: past partial volume
    return bool(np.count_nonzero(rim & lung) < GAS_CONTACT * np.count_nonzero(rim))


def _middle_z(labels: Labels) -> float:
    per_slice: NDArray[Any] = np.count_nonzero(labels, axis=(0, 1))
    return float(np.average(np.arange(labels.shape[2]), weights=per_slice))


def windpipe_by_hu(hu: NDArray[np.float32], spacing_mm: tuple[float, float, float]) -> Labels:
    """1 in the lumen of the windpipe, followed down from the top until it widens into the main bronchi or ends.

    hu: (I, J, K), axes LPS, 2 to 4 mm. A piece of air of a windpipe's size that runs on for TUBE_MM in the middle.
    """
    import cc3d

    found = np.zeros(hu.shape, np.uint8)
    body = np.count_nonzero(hu > -500, axis=(1, 2))
    middle_x = float(body @ np.arange(len(body)) / body.sum()) if body.any() else hu.shape[0] / 2
    area_mm2, reach = spacing_mm[0] * spacing_mm[1], 35.0 / spacing_mm[0]
    before: Labels | None = None
    run = 0
    dark = np.ascontiguousarray((hu < AIR_HU + 50).transpose(2, 0, 1))
    for k in range(hu.shape[2] - 1, -1, -1):
        pieces = cc3d.connected_components(dark[k], connectivity=4)
        mm2 = np.bincount(pieces[dark[k]]) * area_mm2
        sized = np.flatnonzero((mm2 > 40) & (mm2 < TUBE_MM2)).tolist()
        middles = cc3d.statistics(pieces)["centroids"] if sized and before is None else ()
        here = np.zeros(hu.shape[:2], np.uint8)
        for n in sized:
            if before is None:
                likely = abs(middles[n][0] - middle_x) < reach
            else:
                likely = bool(np.any(before[pieces == n]))
            if likely and _enclosed(pieces == n, hu[:, :, k]):
                here[pieces == n] = 1
        if here.any():
            before, run = here, run + 1
            found[:, :, k] = here
        elif before is not None:
            if run * spacing_mm[2] > 3 * TUBE_MM:
                break
            found[:, :, k:] = 0
            before, run = None, 0
    return found if run * spacing_mm[2] > 3 * TUBE_MM else np.zeros_like(found)


def _enclosed(piece: NDArray[np.bool_], hu: NDArray[np.float32]) -> bool:
    """Whether tissue surrounds a piece of air: within two voxels of it most is dense, as nowhere within a lung."""
    mask = piece.view(np.uint8)[None]
    box = box_around(mask, 2)
    mask = mask[box]
    ring = spread(spread(mask, [1, 2], True), [1, 2], True) - spread(mask, [1, 2])
    around = hu[None][box][ring > 0]
    return around.size > 0 and float(np.mean(around > -300)) > 0.5
