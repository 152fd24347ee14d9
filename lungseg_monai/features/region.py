"""A region of a 2D slice, checked, and the box around it."""

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ConfigError


def checked(image: NDArray, region: NDArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The slice as float64 and the region as bool, both (rows, columns).

    Raises ConfigError where they are not of one 2D shape, the region is empty or no mask of 0 and 1, or a grey value in
    the slice is not finite.
    """
    image, region = np.asarray(image), np.asarray(region)
    if image.ndim != 2 or image.shape != region.shape:
        raise ConfigError(
            f"a slice of {image.shape} with a region of {region.shape}; wanted both (rows, columns), of one shape"
        )
    if region.dtype != np.bool_ and not np.isin(region, (0, 1)).all():
        raise ConfigError(f"a region with values from {region.min():.4g} to {region.max():.4g}; wanted 0 and 1: give "
                          "one label's mask, labels == 1")  # fmt: skip
    region = region.astype(np.bool_)
    if not region.any():
        raise ConfigError("the region is empty, which has no features: leave out slices without a segmented pixel")
    image = image.astype(np.float64)
    if not np.isfinite(image).all():
        raise ConfigError("the slice holds values that are not finite: fill them, for example with air's, first")
    return image, region


def box(region: NDArray[np.bool_], margin: int = 0) -> tuple[slice, slice]:
    """Rows and columns of the smallest box around `region`, `margin` pixels wider where the slice has them."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + 1 + margin),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + 1 + margin),
    )


def whole(name: str, value: int, low: int) -> None:
    """Raise ConfigError unless `value` is a whole number from `low`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise ConfigError(f"{name} is {value!r}; wanted a whole number from {low}")
