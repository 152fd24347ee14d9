"""Where in a coarse CT the body is: what the network gets to see."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.segment.grid import box_of
from lungseg_monai.segment.spread import Labels, grow, shrink

TISSUE_HU = -300.0
LUNG_HU = -940.0  # above: lung, even where the image or a circular field of view ends inside it; foam is darker
SHARE = 0.05  # of the largest piece of tissue: chest walls may be apart from the rest in a cut, a table's frame is less
LUNG_ML = 30.0
THIN_MM = 6.0  # what is thinner, in any direction, is no body: shells of tables, clothes, cables
MARGIN_MM = 12.0
SHELL_MM = 4.0  # a table's shell is thinner than twice this, a body is not


def body_box(hu: NDArray[np.float32], spacing_mm: float) -> tuple[slice, slice, slice]:
    """The box of the body in a CT (I, J, K) of isotropic `spacing_mm`, with a margin; all of it where there is none.

    The body is the large pieces of soft tissue, and besides whatever looks like lung and is of some size: where the
    image ends inside the chest, lungs lie outside of all walls. Rather a table too much than a lung cut.
    """
    thin = max(1, round(THIN_MM / spacing_mm))
    tissue = _thick(hu > TISSUE_HU, thin)
    lung = _thick((hu > LUNG_HU) & (hu <= TISSUE_HU), thin)
    body = _large(tissue, lambda sizes: SHARE * sizes.max(initial=0))
    body |= _large(lung, lambda sizes: LUNG_ML * 1000 / spacing_mm**3)
    box = box_of(body, margin=thin // 2 + max(1, round(MARGIN_MM / spacing_mm)))
    return box or (slice(0, hu.shape[0]), slice(0, hu.shape[1]), slice(0, hu.shape[2]))


def _thick(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """What is left where a cube of `width` + 1 voxels is taken away all round; beyond the image all is set."""
    for axis in range(3):
        kept = mask.copy()
        before, after = np.moveaxis(mask, axis, 0), np.moveaxis(kept, axis, 0)
        for step in range(1, width // 2 + width % 2 + 1):
            after[step:] &= before[:-step]
            if step <= width // 2:
                after[:-step] &= before[step:]
        mask = kept
    return mask


def _large(mask: NDArray[np.bool_], least: Callable[[NDArray[np.intp]], float]) -> NDArray[np.bool_]:
    """The pieces with at least as many voxels as `least` says, given the sizes of all."""
    import cc3d

    pieces = cc3d.connected_components(np.ascontiguousarray(mask), connectivity=6)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    keep = sizes >= max(1.0, float(least(sizes)))
    return keep[pieces]


def body_of(hu: NDArray[np.float32], spacing_mm: tuple[float, float, float]) -> Labels:
    """1 in the largest piece of tissue and a little around it: the body without table, foam, cloth and room."""
    import cc3d

    tissue = shrink((hu > TISSUE_HU).view(np.uint8), SHELL_MM, spacing_mm)
    body = cc3d.largest_k(tissue, k=1, connectivity=6).astype(np.uint8)
    return grow(body, SHELL_MM + min(spacing_mm), spacing_mm)
