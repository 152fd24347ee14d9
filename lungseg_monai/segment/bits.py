"""Masks of one bit a voxel: they grow in an eighth of the memory, and 64 voxels at a time."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Step = tuple[list[int], bool]
ONE, TOP = np.uint64(1), np.uint64(63)


@dataclass(frozen=True, eq=False)
class Bits:
    """A mask (I, J, K). words: (I, J, K // 64 + 1), voxel k in bit k % 64 of word k // 64; bits from K on are 0."""

    words: Words
    length: int

    @classmethod
    def of(cls, mask: NDArray) -> "Bits":
        """What is not 0 in `mask`, (I, J, K) of any kind."""
        i, j, k = mask.shape
        packed = np.packbits(mask, axis=-1, bitorder="little")
        held = np.zeros((i, j, 8 * (k // 64 + 1)), np.uint8)
        held[..., : packed.shape[-1]] = packed
        return cls(held.view("<u8"), k)

    def mask(self) -> NDArray[np.uint8]:
        """(I, J, K), 1 where set."""
        return np.unpackbits(self.words.view(np.uint8), axis=-1, count=self.length, bitorder="little")

    def __and__(self, other: "Bits") -> "Bits":
        return Bits(self.words & other.words, self.length)

    def __or__(self, other: "Bits") -> "Bits":
        return Bits(self.words | other.words, self.length)

    def without(self, other: "Bits") -> "Bits":
        return Bits(self.words & ~other.words, self.length)

    def inverted(self) -> "Bits":
        return Bits(_cleared(~self.words, self.length), self.length)

    def spread(self, axes: list[int], diagonal: bool = False, within: "Bits | None" = None) -> "Bits":
        """Wider by a voxel along `axes`, one after the other if `diagonal`; `within`: where it may be."""
        grown = self.words
        for axis in axes:
            beside = _beside(grown if diagonal else self.words, axis, self.length)
            if within is not None:
                beside &= within.words
            grown = grown | beside
        return Bits(grown, self.length)

    def grown(self, steps: Iterable[Step], within: "Bits | None" = None) -> "Bits":
        """Spread step by step."""
        mask = self
        for axes, diagonal in steps:
            mask = mask.spread(axes, diagonal, within)
        return mask

    def shrunk(self, steps: Iterable[Step]) -> "Bits":
        """Without what lies within those steps of its border; the array's edge is no border."""
        return self.inverted().grown(steps).inverted()

    def planes(self, some: slice) -> "Bits":
        """A part along the first axis."""
        return Bits(self.words[some], self.length)


def levels_of(labels: NDArray[np.uint8]) -> list[Bits]:
    """Where labels are 1 or more, 2 or more, and so on up to the highest; at least one mask."""
    return [Bits.of(labels >= level) for level in range(1, max(int(labels.max(initial=1)), 1) + 1)]


def labels_of(levels: list[Bits]) -> NDArray[np.uint8]:
    """The way back from `levels_of`."""
    labels = levels[0].mask()
    for level in levels[1:]:
        labels += level.mask()
    return labels


def levels_spread(levels: list[Bits], step: Step, within: Bits | None = None) -> list[Bits]:
    """Labels by their levels: each 0 takes the largest label beside it, what is labelled stays as it is."""
    axes, diagonal = step
    first, *others = (level.spread(axes, diagonal, within) for level in levels)
    return [first, *(new.without(levels[0]) | old for new, old in zip(others, levels[1:], strict=True))]


def _beside(words: Words, axis: int, length: int) -> Words:
    """What is set before or after a voxel along an axis."""
    if axis < 2:
        out = np.zeros_like(words)
        here, there = (slice(None),) * axis + (slice(1, None),), (slice(None),) * axis + (slice(None, -1),)
        out[here] = words[there]
        out[there] |= words[here]
        return out
    flat = words.reshape(-1)
    out, back = flat << ONE, flat >> ONE
    out[1:] |= flat[:-1] >> TOP  # from row to row it is the last bit of a row that goes over, which is 0
    back[:-1] |= flat[1:] << TOP
    out |= back
    return _cleared(out.reshape(words.shape), length)


def _cleared(words: Words, length: int) -> Words:
    """Itself, with the bits from `length` on set to 0."""
    words[..., -1] &= np.uint64(2 ** (length % 64) - 1)
    return words
