"""From the network's probabilities to lungs: what is kept, what is not, which side, and how sure. Axes LPS.

Nothing is dropped for being dense: a diseased lung stays a lung.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.aerated import regain_aerated
from lungseg_monai.segment.airways import gas_below, windpipe
from lungseg_monai.segment.body import body_of
from lungseg_monai.segment.options import DEFAULTS, LungOptions
from lungseg_monai.segment.pieces import between_body, keep_pieces, within_body
from lungseg_monai.segment.result import Flag
from lungseg_monai.segment.sides import LEFT, RIGHT, sort_sides
from lungseg_monai.segment.spread import Labels, box_around, flood, grow, shrink, spread

NAMES = {RIGHT: "lung_right", LEFT: "lung_left"}
RATIO = (0.4, 2.5)  # of right to left volume
EDGE_MM2 = 300.0  # of lung in the image's outermost plane
EDGES = ("right", "left", "front", "back", "bottom", "top")
UNCERTAIN = 0.8
BORDER_MM = 6.0
MARGIN = 5  # voxels around what was drawn: more than any rule but the image's own edge looks at
DROPPED_ML = 5.0  # worth saying


@dataclass(frozen=True)
class Decision:
    """probability: (3, I, J, K) float32 that agrees with labels. labels: uint8, 1 right, 2 left. confidence: 0 to 1."""

    probability: NDArray[np.float32]
    labels: Labels
    flags: tuple[Flag, ...]
    confidence: dict[str, float]


def decide(
    probability: NDArray[np.float32],
    hu: NDArray[np.float32],
    spacing_mm: float,
    options: LungOptions = DEFAULTS,
    body: Labels | None = None,
) -> Decision:
    """Lungs from probability (3, I, J, K) of background, right and left lung, and hu (I, J, K), on one isotropic grid.

    body: of body_of, where it is known already.

    Flags: "no_lung" (alarm), "one_lung", "uneven_lungs", "small_lung_dropped", "pieces_dropped", "airway_removed",
    "gas_removed", "outside_removed", "sides_repaired", "cut_at_edge", "unsure".
    """
    probability = regain_aerated(probability, hu)
    drawn = (probability[0] < 0.5).astype(np.uint8)
    if not drawn.any():
        return Decision(probability.copy(), drawn, (_no_lung(),), {})
    box = box_around(drawn, MARGIN)
    between = between_body(body_of(hu, (spacing_mm,) * 3) if body is None else body)[box]
    inner = _decide_within(probability[(slice(None), *box)], hu[box], between, spacing_mm, options)
    cleaned, labels = probability.copy(), np.zeros_like(drawn)
    cleaned[(slice(None), *box)], labels[box] = inner.probability, inner.labels
    return replace(inner, probability=cleaned, labels=labels)


def _decide_within(
    probability: NDArray[np.float32],
    hu: NDArray[np.float32],
    between: Labels,
    spacing_mm: float,
    options: LungOptions,
) -> Decision:
    """As decide, for the box around what the network drew."""
    drawn = (probability[0] < 0.5).astype(np.uint8)
    lung_probability = 1 - probability[0]
    inside = within_body(drawn, between)
    labels, side_flags = sort_sides(inside, probability, spacing_mm)
    labels, air_flags = _without_air(labels, hu, spacing_mm, options)
    labels, dropped = keep_pieces(labels, lung_probability, hu, spacing_mm, options.min_pocket_ml)
    labels = _filled(labels, spacing_mm, options.max_hole_ml)
    labels, small_flags = _without_small(labels, spacing_mm, options.min_lung_ml)
    cleaned = _agreeing(probability, drawn, labels)
    confidence = _confidence(probability, drawn, labels, spacing_mm)
    outside_ml = np.count_nonzero(drawn & (1 - inside)) * spacing_mm**3 / 1000
    flags = (*_outside(outside_ml), *side_flags, *air_flags, *_said(dropped.pieces, dropped.ml), *small_flags)
    return Decision(cleaned, labels, (*flags, *_doubts(labels, spacing_mm, confidence)), confidence)


def _no_lung() -> Flag:
    return Flag("no_lung", "no lung was found", "alarm")


def _outside(ml: float) -> tuple[Flag, ...]:
    if ml < DROPPED_ML:
        return ()
    what = f"{ml:.0f} ml outside the body, as of a table or clothes, were taken for lung and removed"
    return (Flag("outside_removed", what, "note"),)


def _said(pieces: int, ml: float) -> tuple[Flag, ...]:
    if ml < DROPPED_ML:
        return ()
    return (Flag("pieces_dropped", f"{pieces} pieces away from the lungs, {ml:.0f} ml, were dropped", "note"),)


def _without_air(
    labels: Labels, hu: NDArray[np.float32], spacing_mm: float, options: LungOptions
) -> tuple[Labels, tuple[Flag, ...]]:
    found = [("gas_removed", "of gas below the lungs", gas_below(labels, hu, spacing_mm))]
    if not options.airways:
        found.append(("airway_removed", "of windpipe", windpipe(labels, hu, spacing_mm)))
    flags = []
    for code, what, where in found:
        if where.any():
            ml = np.count_nonzero(where) * spacing_mm**3 / 1000
            flags.append(Flag(code, f"{ml:.0f} ml {what} were taken for lung and removed", "note"))
            labels = labels * (1 - where)
    return labels, tuple(flags)


def _filled(labels: Labels, spacing_mm: float, max_hole_ml: float) -> Labels:
    """labels with holes up to max_hole_ml closed; a larger hole is a mass and stays."""
    import cc3d
    import fill_voids

    mask = (labels > 0).astype(np.uint8)
    holes = fill_voids.fill(mask, in_place=False).astype(np.uint8) - mask
    if not holes.any():
        return labels
    small = holes - cc3d.dust(holes, threshold=int(max_hole_ml * 1000 / spacing_mm**3) + 1, connectivity=6)
    return flood(labels, small, max(labels.shape))


def _without_small(labels: Labels, spacing_mm: float, min_lung_ml: float) -> tuple[Labels, tuple[Flag, ...]]:
    flags = []
    for side, name in NAMES.items():
        ml = np.count_nonzero(labels == side) * spacing_mm**3 / 1000
        if 0 < ml < min_lung_ml:
            labels = np.where(labels == side, 0, labels).astype(np.uint8)
            what = f"{ml:.0f} ml of {name} were dropped: a lung of less than {min_lung_ml:g} ml is taken for a mistake"
            flags.append(Flag("small_lung_dropped", what))
    return labels, tuple(flags)


def _agreeing(probability: NDArray[np.float32], drawn: Labels, labels: Labels) -> NDArray[np.float32]:
    """probability as it must be for `labels` to come out of it: all of a voxel's lung on its side, or none."""
    cleaned = probability.copy()
    near = spread(spread(labels, [0, 1, 2], True), [0, 1, 2], True)  # soft borders belong to the lung beside them
    lung = cleaned[1] + cleaned[2]
    for side in NAMES:
        cleaned[side] = np.where(near == side, lung, np.where(near > 0, 0, cleaned[side]))
    gone, added = (drawn > 0) & (labels == 0), (drawn == 0) & (labels > 0)
    cleaned[:, gone] = np.array([1, 0, 0], np.float32)[:, None]
    for side in NAMES:
        cleaned[:, added & (labels == side)] = np.eye(3, dtype=np.float32)[side][:, None]
    return cleaned


def _confidence(probability: NDArray[np.float32], drawn: Labels, labels: Labels, spacing_mm: float) -> dict[str, float]:
    """Per lung, m (1 - u): m the mean of the highest probability within BORDER_MM of the border, u the share of the
    lung's voxels, its outermost layer apart, whose highest probability is below UNCERTAIN. Closed holes don't count.
    """
    certain = probability.max(axis=0)
    spacing = (spacing_mm,) * 3
    confidence: dict[str, float] = {}
    for side, name in NAMES.items():
        lung = (labels == side).astype(np.uint8)
        if not lung.any():
            continue
        border = grow(lung, BORDER_MM, spacing) - shrink(lung, BORDER_MM, spacing)
        inner = (shrink(lung, spacing_mm, spacing) & drawn) > 0
        unsure = np.count_nonzero(certain[inner] < UNCERTAIN) / max(1, int(np.count_nonzero(inner)))
        at_border = float(certain[border > 0].mean()) if border.any() else 1.0
        confidence[name] = round(at_border * (1 - float(unsure)), 3)
    return confidence


def _doubts(labels: Labels, spacing_mm: float, confidence: dict[str, float]) -> tuple[Flag, ...]:
    ml: dict[int, float] = {side: int(np.count_nonzero(labels == side)) * spacing_mm**3 / 1000 for side in NAMES}
    there = [side for side in NAMES if ml[side]]
    if not there:
        return (_no_lung(),)
    flags = []
    if len(there) == 1:
        flags.append(Flag("one_lung", f"only {NAMES[there[0]]} was found, {ml[there[0]]:.0f} ml"))
    elif not RATIO[0] <= ml[RIGHT] / ml[LEFT] <= RATIO[1]:
        flags.append(Flag("uneven_lungs", f"the right lung has {ml[RIGHT]:.0f} ml, the left one {ml[LEFT]:.0f} ml"))
    return (*flags, *_cut_at_edge(labels, spacing_mm), *_unsure(confidence))


def _unsure(confidence: dict[str, float]) -> tuple[Flag, ...]:
    low = {name: value for name, value in confidence.items() if value < 0.6}
    told = ", ".join(f"{name} {value:.2f}" for name, value in low.items())
    return (Flag("unsure", f"the network is unsure of much of: {told}"),) if low else ()


def _cut_at_edge(labels: Labels, spacing_mm: float) -> tuple[Flag, ...]:
    """Which edges of the image cut a lung. The two outermost planes count: the last one is often padding."""
    edges: list[Any] = []
    for axis in range(3):
        for last in (False, True):
            planes = np.moveaxis(labels, axis, 0)[-2:] if last else np.moveaxis(labels, axis, 0)[:2]
            most = max(np.count_nonzero(plane) for plane in planes)
            if most * spacing_mm**2 > EDGE_MM2:
                edges.append(EDGES[2 * axis + last])
    if not edges:
        return ()
    return (Flag("cut_at_edge", f"the image ends within the lungs: {', '.join(edges)}"),)
