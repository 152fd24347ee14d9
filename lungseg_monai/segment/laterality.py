"""Whether right is right: what the anatomy says of the sides that the image's header gives. Axes LPS."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.result import Flag
from lungseg_monai.segment.spread import Labels

RIGHT, LEFT = 1, 2
WHOLE_MM = 150.0  # less of the lungs' height shows too little of heart and domes
SMALLEST_ML = 400.0  # of each lung: where one is collapsed the heart follows it
RATIO = (0.5, 2.0)  # of right to left volume, for the same reason
STRONG = -1.5  # the sum of all evidence at which the sides are doubted
AGAINST = 0.5  # one piece of evidence that says this much for the sides settles it


@dataclass(frozen=True)
class Evidence:
    """Each from -1 to 1, 0 where nothing can be said; above 0 as in most people, below 0 mirrored.

    dome: the right diaphragm stands higher. heart: it lies more to the left. gas: it lies below the left dome.
    aorta: beside the spine there is more on the left.
    """

    dome: float = 0.0
    heart: float = 0.0
    gas: float = 0.0
    aorta: float = 0.0

    @property
    def sum(self) -> float:
        return self.dome + self.heart + self.gas + self.aorta


def check_sides(labels: Labels, hu: NDArray[np.float32], spacing_mm: float) -> tuple[Flag, ...]:
    """An alarm where labels contradict their place, a "situs" flag where the anatomy looks mirrored.

    labels, hu: (I, J, K), axes to left, back and up. "sides_swapped" (alarm): the right lung lies on the left.
    "situs" (check): heart and domes look mirrored: a wrong header, or a patient with situs inversus.
    """
    right_x, left_x = (_middle(labels == side, 0) for side in (RIGHT, LEFT))
    if right_x is not None and left_x is not None and right_x > left_x:
        what = "the right lung lies to the left of the left one: the labels are swapped"
        return (Flag("sides_swapped", what, "alarm"),)
    found = evidence(labels, hu, spacing_mm)
    told = [name for name in ("dome", "heart", "gas", "aorta") if getattr(found, name) <= -0.5]
    for_it = max(found.dome, found.heart, found.gas, found.aorta)
    # a shifted mediastinum moves heart and aorta alike: something below the diaphragm must say it as well
    if found.sum > STRONG or for_it >= AGAINST or len(told) < 2 or not {"dome", "gas"} & set(told):
        return ()
    names = {"dome": "the left dome is higher", "heart": "the heart lies to the right"}
    names |= {"gas": "the stomach's gas lies right", "aorta": "the aorta lies right of the spine"}
    what = f"{', '.join(names[name] for name in told)}: the header may be mirrored, or the organs lie so"
    return (Flag("situs", what),)


def evidence(labels: Labels, hu: NDArray[np.float32], spacing_mm: float) -> Evidence:
    """What speaks for the sides; nothing where a lung is missing, small, or the image holds too little of them."""
    volumes = [int(np.count_nonzero(labels == side)) for side in (RIGHT, LEFT)]
    filled = np.flatnonzero(labels.any(axis=(0, 1)))
    if min(volumes) * spacing_mm**3 / 1000 < SMALLEST_ML or not RATIO[0] <= volumes[0] / volumes[1] <= RATIO[1]:
        return Evidence()
    if len(filled) * spacing_mm < WHOLE_MM:
        return Evidence()
    whole = not labels[:, :, :2].any()  # both domes are in the image
    return Evidence(
        dome=_dome(labels, spacing_mm) if whole else 0.0,
        heart=_heart(labels, spacing_mm, filled),
        gas=_gas(labels, hu, spacing_mm),
        aorta=_aorta(labels, spacing_mm, filled),
    )


def _dome(labels: Labels, spacing_mm: float) -> float:
    """Height of the right dome over the left one; 10 mm is clear."""
    right, left = (_dome_height(labels == side) for side in (RIGHT, LEFT))
    return float(np.clip((right - left) * spacing_mm / 10, -1, 1))


def _dome_height(lung: NDArray[np.bool_]) -> float:
    """The top of the surface that the lung stands on, in slices."""
    there = lung.any(axis=2)
    bottom = lung.argmax(axis=2)[there]
    height = lung.sum(axis=2)[there]
    deep = height > 0.4 * height.max()  # not the rim, nor the lung's slope over the heart
    return float(np.percentile(bottom[deep], 75))


def _heart(labels: Labels, spacing_mm: float, filled: NDArray[np.intp]) -> float:
    """How far to the left the gap between the lungs lies, in the lower third and the front half; 8 mm is clear."""
    low, high = int(np.quantile(filled, 0.2)), int(np.quantile(filled, 0.5))
    offset = _gap_offset(labels[:, :, low:high], slice(0.2, 0.55))
    return float(np.clip(offset * spacing_mm / 8, -1, 1))


def _aorta(labels: Labels, spacing_mm: float, filled: NDArray[np.intp]) -> float:
    """As _heart, in front of the spine."""
    low, high = int(np.quantile(filled, 0.35)), int(np.quantile(filled, 0.65))
    offset = _gap_offset(labels[:, :, low:high], slice(0.6, 0.8))
    return float(np.clip(offset * spacing_mm / 8, -1, 1))


def _gap_offset(labels: Labels, share: slice) -> float:
    """The gap's middle less the lungs' middle, in voxels to the left. share: of the lungs' depth, front to back."""
    columns = np.flatnonzero((labels > 0).any(axis=(0, 2)))
    front, depth = columns[0], columns[-1] - columns[0] + 1
    rows = slice(front + int(share.start * depth), front + int(share.stop * depth))
    right, left = labels == RIGHT, labels == LEFT
    outer = [_edges(right)[0], _edges(left)[1]]
    both = right[:, rows].any(axis=0) & left[:, rows].any(axis=0)
    if not both.any():
        return 0.0
    inner_right = right.shape[0] - 1 - right[::-1, rows].argmax(axis=0)
    inner_left = left[:, rows].argmax(axis=0)
    gap = (inner_right + inner_left)[both] / 2
    return float(np.median(gap)) - (outer[0] + outer[1]) / 2


def _edges(mask: NDArray[np.bool_]) -> tuple[float, float]:
    planes = np.flatnonzero(mask.any(axis=(1, 2)))
    return float(planes[0]), float(planes[-1])


def _gas(labels: Labels, hu: NDArray[np.float32], spacing_mm: float) -> float:
    """Gas within 80 mm below the lungs, left against right; 30 ml more is clear."""
    reach = round(80 / spacing_mm)
    ml = []
    for side in (RIGHT, LEFT):
        lung = labels == side
        there = lung.any(axis=2)
        bottom = lung.argmax(axis=2)
        k = np.arange(labels.shape[2])
        below = there[:, :, None] & (k < bottom[:, :, None] - 2) & (k >= bottom[:, :, None] - reach)
        ml.append(np.count_nonzero(below & (hu < -600) & (labels == 0)) * spacing_mm**3 / 1000)
    return float(np.clip((ml[1] - ml[0]) / 30, -1, 1))


def _middle(mask: NDArray[np.bool_], axis: int) -> float | None:
    others = tuple(a for a in range(3) if a != axis)
    counts = np.count_nonzero(mask, axis=others)
    return float(np.average(np.arange(len(counts)), weights=counts)) if counts.any() else None
