"""Tumours found and missed, one connected piece at a time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.evaluation.metrics import BoolArray


@dataclass(frozen=True)
class LesionCounts:
    """reference: pieces there are. found: those that were met. false_positive: predicted pieces that meet none."""

    reference: int
    found: int
    false_positive: int


def lesion_counts(predicted: BoolArray, reference: BoolArray, least_overlap: float = 0.0) -> LesionCounts:
    """Count the pieces of two (I, J, K) masks; voxels that share a face, an edge or a corner are one piece (26).

    A piece of the reference is found when more than `least_overlap` (0 to 1) of its voxels is predicted: by default,
    when one voxel is. A predicted piece is a false positive when not one of its voxels is in the reference. A
    prediction that joins two tumours finds both; two pieces in one tumour find one.
    """
    tumours, covered = _pieces(reference, predicted)
    _, met = _pieces(predicted, reference)
    found = covered > least_overlap * tumours if least_overlap else covered > 0
    return LesionCounts(len(tumours), int(np.count_nonzero(found)), int(np.count_nonzero(met == 0)))


def _pieces(mask: BoolArray, other: BoolArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Voxels of each piece of `mask`, and how many of them are in `other`."""
    from scipy.ndimage import find_objects, label

    box = next(iter(find_objects(mask.view(np.uint8))), None)
    if box is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    labels, count = label(mask[box], structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return sizes, np.bincount(labels[other[box]], minlength=count + 1)[1:]
