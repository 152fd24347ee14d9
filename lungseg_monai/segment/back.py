"""What the network found, on the image's own grid: labels by interpolated probabilities, in the lungs' box alone."""

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.grid import View, box_of, image_box, to_image_grid

Box = tuple[slice, slice, slice]
NEEDED = 2  # voxels of the network's grid round what is found, which interpolation beside it sees


def labels_on_image(
    probability: NDArray[np.float32], view: View, threads: int = 1
) -> tuple[NDArray[np.uint8], Box | None]:
    """The likeliest label of each voxel of the image, and the box in the image outside of which all are 0.

    probability: (C, I, J, K) on `view`, background first. Two labels alike: the lower one; a label only as likely as
    background: background. None instead of a box where nothing was found.
    """
    labels = _like_image(view, np.uint8)
    found_somewhere = probability[1] > probability[0]
    for other in probability[2:]:
        found_somewhere |= other > probability[0]
    box, wide = (box_of(found_somewhere, margin) for margin in (0, NEEDED))
    if box is None or wide is None:
        return labels, None
    lead = probability[(slice(1, None), *wide)] - probability[(slice(0, 1), *wide)]
    inside = image_box(view, box)
    for part, found in to_image_grid(lead, view.crop(wide), inside, threads):
        labels[part] = _likeliest(found)
    return labels, inside


def probability_on_image(probability: NDArray[np.float32], view: View, threads: int = 1) -> NDArray[np.float16]:
    """(C - 1, *shape of the image) float16: the probability of each label but background, linearly interpolated."""
    out = np.stack([_like_image(view, np.float16) for _ in probability[1:]])
    inside = image_box(view, tuple(slice(0, size) for size in view.hu.shape))
    for part, found in to_image_grid(probability[1:], view, inside, threads):
        out[(slice(None), *part)] = found
    return out


def _like_image(view: View, dtype: type) -> NDArray:
    """Zeros, laid out in memory as the image is; pages that stay empty cost none."""
    stored: NDArray = np.zeros([view.shape_ijk[axis] for axis in view.order], dtype)
    return stored.transpose(np.argsort(view.order))


def _likeliest(lead: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(C, ...) by how much each label is likelier than background -> label, 0 where none is."""
    best = lead[0]
    labels = (best > 0).view(np.uint8)
    for label, other in enumerate(lead[1:], start=2):
        wins = (other > best) & (other > 0)
        np.copyto(labels, np.uint8(label), where=wins)
        best = np.maximum(best, other) if label <= len(lead) - 1 else best
    return labels
