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
    shares = _shares(blocks, given.shape[2])
    for block, share in zip(blocks, shares, strict=True):
        found = _softmax(network(np.ascontiguousarray(given[:, :, block])[None, None])[0])
        if len(total) < len(found):  # how many classes there are, the first block says
            total = np.zeros((len(found), *given.shape), np.float32)
        total[..., block] += found * share
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


def _shares(blocks: list[slice], length: int) -> list[Floats]:
    """How much each k of each block counts, together 1: ramps up from where a block begins, and down to its end."""
    total = np.zeros(length, np.float32)
    shares = []
    for block in blocks:
        k = np.arange(block.start, block.stop) + 0.5
        rise = k - block.start if block.start > 0 else np.full(len(k), np.inf)
        fall = block.stop - k if block.stop < length else np.full(len(k), np.inf)
        shares.append(np.minimum(np.minimum(rise, fall), OVERLAP).astype(np.float32))
        total[block] += shares[-1]
    return [share / total[block] for share, block in zip(shares, blocks, strict=True)]


def _softmax(logits: Floats) -> Floats:
    logits = logits - logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits


def _inside(values: Floats, shape: tuple[int, ...]) -> Floats:
    return np.ascontiguousarray(values[:, : shape[0], : shape[1], : shape[2]])
