"""Statistics of a region's grey-level co-occurrence matrix (GLCM): Haralick, Shanmugam and Dinstein (1973)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError
from lungseg_monai.features.region import box, checked, whole

ANGLES = (0.0, 45.0, 90.0, 135.0)  # degrees
OF_SKIMAGE = ("contrast", "dissimilarity", "homogeneity", "ASM", "energy", "correlation")
STATISTICS = (
    *OF_SKIMAGE, "mean", "variance", "std", "entropy", "autocorrelation", "cluster_tendency", "cluster_shade",
    "cluster_prominence", "maximum_probability", "sum_entropy", "difference_variance", "difference_entropy",
    "information_1", "information_2", "maximal_correlation", "inverse_difference", "inverse_difference_normalised",
    "inverse_difference_moment_normalised", "inverse_variance",
)  # fmt: skip


def glcm(
    image: NDArray,
    region: NDArray,
    grey_levels: int = 32,
    window: Sequence[float] | None = None,
    distance: int = 1,
) -> NDArray[np.float32]:
    """The 25 STATISTICS, in their order, of which grey levels lie beside which in a region.

    image: (rows, columns), any real dtype; region: the same shape, bool or 0 and 1. window: the grey values, in the
    image's unit, that become the first and the last level, what lies outside is clipped; None for the region's own
    least and greatest. Raises ConfigError for settings and arrays that can't be, also where no two pixels of the region
    are `distance` apart. Entropies are in bits.
    """
    return statistics(co_occurrence(image, region, grey_levels, window, distance))


def co_occurrence(
    image: NDArray, region: NDArray, grey_levels: int = 32, window: Sequence[float] | None = None, distance: int = 1
) -> NDArray[np.float64]:
    """(grey_levels, grey_levels), symmetric, sum 1: pairs of pixels `distance` apart, both in the region, all angles.

    The four angles' counts are added up, so that turning the slice by 90 degrees changes nothing. Along a diagonal the
    pair is distance / sqrt(2) rows and columns apart, rounded, as in scikit-image.
    """
    from skimage.feature import graycomatrix

    image, region = checked(image, region)
    whole("grey_levels", grey_levels, 2)
    whole("distance", distance, 1)
    inside = box(region)
    image, region = image[inside], region[inside]
    low, high = window_of(image[region], window)
    share = (np.clip(image, low, high) - low) / (high - low) if high > low else np.zeros(image.shape)
    levels = np.minimum((share * grey_levels).astype(np.uint16), grey_levels - 1)
    levels[~region] = grey_levels  # a level of its own, whose pairs are left out
    counts = graycomatrix(levels, [distance], np.deg2rad(ANGLES), grey_levels + 1, symmetric=True)
    pairs = counts[:-1, :-1, 0].sum(axis=-1, dtype=np.float64)
    if not pairs.any():
        raise ConfigError(
            f"no two pixels of the region of {int(region.sum())} are {distance} apart: leave out so small a region"
        )
    return pairs / pairs.sum()


def window_of(values: NDArray[np.float64], window: Sequence[float] | None) -> tuple[float, float]:
    if window is None:
        return float(values.min()), float(values.max())
    if len(window) != 2 or not window[0] < window[1]:
        raise ConfigError(f"window is {window!r}; wanted two grey values, the lower first, or None")
    return float(window[0]), float(window[1])


def statistics(p: NDArray[np.float64]) -> NDArray[np.float32]:
    """STATISTICS of a symmetric co-occurrence matrix p (levels, levels) of sum 1; of Haralick et al. and, for the names
    that they do not have, as the Image Biomarker Standardisation Initiative defines them. Levels count from 0."""
    from skimage.feature import graycoprops

    found = {name: float(graycoprops(p[:, :, None, None], name)[0, 0]) for name in OF_SKIMAGE}
    level = np.arange(len(p))
    i, j = level[:, None], level[None, :]
    of_one = p.sum(axis=0)
    mean = float(level @ of_one)
    variance = float((level - mean) ** 2 @ of_one)
    of_sum = np.bincount((i + j).ravel(), p.ravel()).astype(np.float64)  # as it is; numpy's type says whole numbers
    of_difference = np.bincount(abs(i - j).ravel(), p.ravel()).astype(np.float64)
    found |= {
        "mean": mean,
        "variance": variance,
        "std": variance**0.5,
        "entropy": entropy(p),
        "autocorrelation": float((i * j * p).sum()),
        **{name: float(((i + j - 2 * mean) ** power * p).sum())
           for power, name in ((2, "cluster_tendency"), (3, "cluster_shade"), (4, "cluster_prominence"))},
        "maximum_probability": float(p.max()),
        "sum_entropy": entropy(of_sum),
        "difference_variance": float((level - level @ of_difference) ** 2 @ of_difference),
        "difference_entropy": entropy(of_difference),
        "maximal_correlation": maximal_correlation(p),
        "inverse_difference": float((1 / (1 + level)) @ of_difference),
        "inverse_difference_normalised": float((1 / (1 + level / len(p))) @ of_difference),
        "inverse_difference_moment_normalised": float((1 / (1 + (level / len(p)) ** 2)) @ of_difference),
        "inverse_variance": float((1 / level[1:] ** 2) @ of_difference[1:]),
    }  # fmt: skip
    found["information_1"], found["information_2"] = information(p)
    return np.array([found[name] for name in STATISTICS], np.float32)


def entropy(p: NDArray[np.float64]) -> float:
    """In bits, with 0 log 0 = 0."""
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


def information(p: NDArray[np.float64]) -> tuple[float, float]:
    """Haralick's first and second information measure of correlation; 0 and 0 where there is one level alone."""
    of_one = p.sum(axis=0)
    alone, both = entropy(of_one), entropy(p)
    first = (both - 2 * alone) / alone if alone > 0 else 0.0  # apart, two levels would have twice the entropy of one
    return first, max(0.0, 1 - float(np.exp(-2 * (2 * alone - both)))) ** 0.5


def maximal_correlation(p: NDArray[np.float64]) -> float:
    """Haralick's fourteenth, the square root of Q's second largest eigenvalue; 1 where there is one level alone.

    Q of a symmetric p is the square of D p D with D = 1 / sqrt(of one level), so it is D p D's second singular value.
    """
    of_one = p.sum(axis=0)
    there = of_one > 0
    if there.sum() < 2:
        return 1.0
    scale = 1 / np.sqrt(of_one[there])
    return float(np.linalg.svd(scale[:, None] * p[np.ix_(there, there)] * scale, compute_uv=False)[1])
