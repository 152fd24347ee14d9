"""Features put in a row, with a name each; and half of them, drawn at random."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError
from lungseg_monai.features.glcm import STATISTICS, glcm
from lungseg_monai.features.lbp import RADII, lbp
from lungseg_monai.features.phog import phog

PHOG_BINS = (1, 2, 3)  # Khan et al.: 85, 170 and 255 values


def handcrafted(image: NDArray, region: NDArray) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Names and values of the paper's 771 handcrafted features of a region: 25 of GLCM, 236 of LBP, 510 of PHOG.

    image, region: (rows, columns) as in `glcm`, `lbp`, `phog`, which tell what they raise.
    """
    names, values = join(
        {
            "glcm": glcm(image, region),
            **{f"lbp_radius{radius}": lbp(image, region, (radius,)) for radius in RADII},
            **{f"phog_bins{bins}": phog(image, region, bins) for bins in PHOG_BINS},
        }
    )
    return (*(f"glcm_{name}" for name in STATISTICS), *names[len(STATISTICS) :]), values


def join(parts: Mapping[str, NDArray]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Names ("lbp_0", "lbp_1", ...) and values of all parts, one after the other as they come.

    Raises ConfigError where there is none, or one is no row of finite numbers.
    """
    if not parts:
        raise ConfigError("there are no features to join: give one part or more, {name: values}")
    for name, values in parts.items():
        if np.ndim(values) != 1 or not np.isfinite(values).all():
            raise ConfigError(f"the features {name} are of shape {np.shape(values)}; wanted a row of finite numbers")
    names = tuple(f"{name}_{index}" for name, values in parts.items() for index in range(len(values)))
    return names, np.concatenate([np.asarray(values, np.float32) for values in parts.values()])


def random_half(names: Sequence[str], seed: int = 0) -> NDArray[np.int64]:
    """Which half of the features is kept, rounded up, in order: the paper's reduction, drawn once for all cases.

    It looks at no value and no label, so it may come before the folds are cut. Raises ConfigError for no names.
    """
    if not len(names):
        raise ConfigError("there are no features to choose half of")
    chosen = np.random.default_rng(seed).choice(len(names), size=(len(names) + 1) // 2, replace=False)
    return np.sort(chosen).astype(np.int64)
