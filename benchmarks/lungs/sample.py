"""One image with known lungs, and the random numbers that it is drawn from."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

SEED = 777  # training draws from 0, validation from 1000003


@dataclass(frozen=True)
class Sample:
    """hu, truth: (I, J, K), truth 0, 1 right, 2 left. affine_ras: (4, 4), index to mm."""

    hu: NDArray[np.generic]
    truth: NDArray[np.uint8]
    affine_ras: NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """One table. rows: name -> what it is. make(row, number) -> the sample. shared: rows of a number share their chest.

    count: how many samples a row has in a full run, and quick in a quick one.
    """

    title: str
    about: str
    rows: dict[str, str]
    make: Callable[[str, int], Sample]
    count: int
    quick: int = 1
    shared: bool = False
    of_quick: tuple[str, ...] = field(default=())  # rows of a quick run; all where empty


def stream(*words: object) -> np.random.Generator:
    """Random numbers of a name: independent of every other name's, and the same on every machine."""
    return np.random.default_rng([SEED, crc32("/".join(map(str, words)).encode())])


def lps_affine(spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """affine_ras of axes to the left, the back and up."""
    i, j, k = spacing_mm
    return np.diag([-i, -j, k, 1.0])


def peek(random: np.random.Generator) -> np.random.Generator:
    """A copy, to look ahead with."""
    return deepcopy(random)
