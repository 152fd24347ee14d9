"""A network on a whole volume: HU in, probabilities out. In one piece, or in overlapping blocks if it is huge."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
SIDE = 32  # every side of what the network gets divides by it
SHIFT_HU, SCALE_HU = 400.0, 600.0
MOST_VOXELS = 4_000_000  # at once; about 100 bytes each by OpenVINO
OVERLAP = 64


def probabilities(
    hu: Floats,
    network: Callable[[Floats], Floats],
    window_hu: tuple[float, float] = (-1024.0, 600.0),
    most_voxels: int = MOST_VOXELS,
) -> Floats:
    """(I, J, K) HU -> (C, I, J, K), which sum to 1.

    network: (1, 1, i, j, k) -> logits (1, C, i, j, k), sides that divide by 32; it gets (clip(HU, *window_hu) + 400) /
    600, with air beyond the far sides. More than `most_voxels`: in blocks along k that overlap, blended linearly.
    """
    given = np.full([-(-size // SIDE) * SIDE for size in hu.shape], window_hu[0], np.float32)
    given[: hu.shape[0], : hu.shape[1], : hu.shape[2]] = np.clip(hu, *window_hu)
    given += SHIFT_HU
    given /= SCALE_HU
    blocks = _blocks(given.shape, most_voxels)
    if len(blocks) == 1:
        return _inside(_softmax(network(given[None, None])[0]), hu.shape)
    total = np.zeros((1, *given.shape), np.float32)
    for block in blocks:
        found = _softmax(network(np.ascontiguousarray(given[:, :, block])[None, None])[0])
        if len(total) < len(found):  # how many classes there are, the first block says
            total = np.zeros((len(found), *given.shape), np.float32)
        total[..., block] += found * _share(block, blocks)
    return _inside(total, hu.shape)


def _blocks(shape: tuple[int, ...], most_voxels: int) -> list[slice]:
    """Along k, each as long as the others; neighbours overlap by OVERLAP or more."""
    plane, length = shape[0] * shape[1], shape[2]
    block = max(most_voxels // plane // SIDE * SIDE, 2 * OVERLAP)
    if length <= block:
        return [slice(0, length)]
    count = -(-(length - OVERLAP) // (block - OVERLAP))
    starts = np.round(np.linspace(0, length - block, count) / 2).astype(int) * 2
    return [slice(start, start + block) for start in starts.tolist()]


def _share(block: slice, blocks: list[slice]) -> Floats:
    """How much each k of a block counts, so that all blocks together count 1: ramps over the overlaps."""
    share = np.ones(block.stop - block.start, np.float32)
    at = blocks.index(block)
    if at > 0:
        width = blocks[at - 1].stop - block.start
        share[:width] = (np.arange(width) + 0.5) / width
    if at + 1 < len(blocks):
        width = block.stop - blocks[at + 1].start
        share[-width:] = 1 - (np.arange(width) + 0.5) / width
    return share


def _softmax(logits: Floats) -> Floats:
    logits = logits - logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits


def _inside(values: Floats, shape: tuple[int, ...]) -> Floats:
    return np.ascontiguousarray(values[:, : shape[0], : shape[1], : shape[2]])
