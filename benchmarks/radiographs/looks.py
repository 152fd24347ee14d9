"""What groups of appearance.py look like, in words and numbers: no picture of a patient goes into a page."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.radiographs.appearance import Numbers

PLAIN = 0.5  # standard deviations between a group's mean and that of all pictures that make a word
TRAITS = {  # what is said where there is little of it, and much
    "rows / columns": ("wide", "tall"),
    "mean grey": ("dark", "bright"),
    "deviation": ("low contrast", "high contrast"),
    "black": ("little black", "much black"),
    "white": ("little white", "much white"),
    "log sharpness": ("smooth", "sharp or grainy"),
    "border": ("no flat borders", "flat borders"),
    "below - above": ("dark below", "bright below"),
    "right - left": ("bright at the left", "bright at the right"),
}


def traits(features: Numbers) -> Numbers:
    """(N, 18) of appearance.py -> (N, 9), the columns of TRAITS."""
    ratio, black, white, mean, deviation, sharp = features[:, [0, 1, 8, 9, 10, 11]].T
    border, below, right = features[:, 12:16].mean(axis=1), features[:, 16], features[:, 17]
    return np.stack([np.exp(ratio), mean, deviation, black, white, sharp, border, below, right], axis=1)


def look_rows(features: Numbers, group: NDArray[np.intp]) -> list[list[str]]:
    """A row a group: its number, how many pictures, words, and the means of `traits`."""
    table = traits(features)
    mean, spread = table.mean(axis=0), table.std(axis=0)
    rows = []
    for number in range(int(group.max()) + 1):
        own = table[group == number]
        away = (own.mean(axis=0) - mean) / np.where(spread > 1e-9, spread, 1)
        order = [at for at in np.argsort(-abs(away)) if abs(away[at]) >= PLAIN]
        words = ", ".join(list(TRAITS.values())[at][int(away[at] > 0)] for at in order)
        rows.append([str(number), str(len(own)), words or "like most", *(f"{one:.2f}" for one in own.mean(axis=0))])
    return rows
