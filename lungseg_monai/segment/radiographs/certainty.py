"""How sure the network is of the lungs that it drew."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
BACKGROUND = 0.1  # thousands of pixels of next to nothing would outweigh a lung


def sure_share(probability: Floats) -> float:
    """The Dice that the map cut at 0.5 would have with a truth as its probabilities say; 0 where nothing is above."""
    inside = probability > 0.5
    total = float(probability[probability > BACKGROUND].sum())
    return 2 * float(probability[inside].sum()) / (np.count_nonzero(inside) + total) if inside.any() else 0.0


def confidence_of(probability: Floats, labels: NDArray[np.uint8], names: Mapping[int, str]) -> dict[str, float]:
    """By name, 0 to 1: the expected Dice of each label with a truth as the probabilities say.

    probability: (h, w) on the network's grid. labels: (H, W) on the picture's. What is likely lung and outside of all
    labels counts against the label that it is nearer to; what rules drew beyond the network's own (a lung completed
    behind the heart) does not count. 0.0 where a label is missing.
    """
    small = nearest_of(labels, (probability.shape[0], probability.shape[1]))
    likely = np.where(probability > BACKGROUND, probability, 0)
    owners = owners_of(small, names)
    found = dict.fromkeys(names.values(), 0.0)
    for label in np.unique(owners[owners > 0]).tolist():
        inside = (small == label) & (likely > 0)
        own = float(likely[inside].sum())
        beside = float(likely[(small == 0) & (owners == label)[None]].sum())
        found[names[label]] = float(2 * own / max(np.count_nonzero(inside) + own + beside, 1))
    return found


def owners_of(labels: NDArray[np.uint8], names: Mapping[int, str]) -> NDArray[np.int64]:
    """(columns,) which label of `names` each column of labels (h, w) is nearest to; 0 where there is none at all."""
    columns = np.arange(labels.shape[1], dtype=np.float64)
    middles = {one: float((columns * n).sum() / n.sum()) for one in names if (n := (labels == one).sum(0)).any()}
    if not middles:
        return np.zeros(len(columns), np.int64)
    return np.array(list(middles))[np.abs(columns[:, None] - np.array(list(middles.values()))).argmin(1)]


def nearest_of(labels: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """labels (H, W) on a grid of `shape` over the same picture."""
    rows, columns = (((2 * np.arange(n) + 1) * old) // (2 * n) for n, old in zip(shape, labels.shape, strict=True))
    return labels[np.ix_(rows, columns)]
