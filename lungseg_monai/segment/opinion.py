"""A second opinion on the lungs by the classical method: an alarm where both differ grossly."""

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.result import Flag
from lungseg_monai.segment.spread import Labels
from lungseg_monai.segment.threshold import threshold_lungs_lps

AGREE = 0.8  # Dice
DENSE_HU = -400.0  # lung that thresholds can't see
CODE = "disagrees_with_threshold"


def second_opinion(
    labels: Labels, hu: NDArray[np.float32], spacing_mm: float, body: Labels | None = None
) -> tuple[Flag, ...]:
    """A flag where labels (1 right, 2 left; axes LPS) and the threshold method have Dice below AGREE for a lung.

    body: of body_of, where it is known already. Dense lung, which thresholds miss by their nature, is left out of it.
    "check": where a lung is cut by the image's edge or open to other air it is the threshold method that is wrong.
    """
    return doubts_of(labels, threshold_lungs_lps(hu, (spacing_mm,) * 3, body), hu, spacing_mm)


def doubts_of(labels: Labels, other: Labels, hu: NDArray[np.float32], spacing_mm: float) -> tuple[Flag, ...]:
    """As second_opinion, where the threshold method's labels are known already."""
    told = []
    for side, name in ((1, "lung_right"), (2, "lung_left")):
        theirs = other == side
        ours = (labels == side) & ((hu < DENSE_HU) | theirs)
        total = np.count_nonzero(ours) + np.count_nonzero(theirs)
        dice = 2 * np.count_nonzero(ours & theirs) / total if total else 1.0
        if dice < AGREE:
            ml = [np.count_nonzero(mask) * spacing_mm**3 / 1000 for mask in (ours, theirs)]
            told.append(f"{name} {ml[0]:.0f} ml against {ml[1]:.0f} ml by threshold, Dice {dice:.2f}")
    return (Flag(CODE, "; ".join(told)),) if told else ()
