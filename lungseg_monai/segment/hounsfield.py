"""Whether the values of a CT are Hounsfield units, and what repairs them where it is plain how they went wrong."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.errors import ImageError
from lungseg_monai.segment.result import Flag

AIR_HU = -1024
OFFSET_HU = 1024  # what the DICOM rescale intercept takes off in nearly every CT
SAMPLE = 300_000  # voxels that the histogram is judged on
WANTED = "wanted Hounsfield units: air near -1000, soft tissue near 0"


@dataclass(frozen=True)
class Spread:
    """Shares of a sample of the voxels, padding below -1500 apart, by value ranges."""

    values: NDArray[np.float32]

    def share(self, low: float, high: float) -> float:
        if not self.values.size:
            return 0.0
        return float(np.count_nonzero((self.values >= low) & (self.values < high))) / self.values.size


def finite(array: NDArray[Any]) -> tuple[NDArray[Any], tuple[Flag, ...]]:
    """The array with air for NaN and infinity. Raises ImageError where nothing else is there."""
    if array.dtype.kind != "f" or (np.isfinite(array.min()) and np.isfinite(array.max())):
        return array, ()
    bad = ~np.isfinite(array)
    count = int(np.count_nonzero(bad))
    if count == array.size:
        raise ImageError(f"every one of the {count} voxels is NaN or infinite; {WANTED}; export the image again")
    repaired = array.copy()
    repaired[bad] = AIR_HU
    what = f"{count} voxels ({100 * count / array.size:.2g} %) were NaN or infinite and were taken for air"
    return repaired, (Flag("not_finite", what),)


def to_hounsfield(array: NDArray[Any]) -> tuple[NDArray[Any], tuple[Flag, ...]]:
    """int16 or float32 HU of at least -1024, and what was repaired. array: finite.

    An intercept of -1024 that was left out or applied twice is put right and named "hu_offset". Padding below -1024
    becomes -1024. Raises ImageError for a constant image, windowed or normalised values, and values with no air.
    """
    low, high = float(array.min()), float(array.max())
    _refuse_no_hu(low, high)
    offset = _offset(array, low)
    if offset:
        repaired = _typed(np.maximum(array, 0) if offset > 0 else array) - np.int16(offset)
        how = "were not taken off" if offset > 0 else "were taken off twice"
        what = f"values run from {low:g} to {high:g}: {OFFSET_HU} {how}, so {-offset:+d} were added to every voxel"
        return np.maximum(repaired, np.int16(AIR_HU), out=repaired), (Flag("hu_offset", what),)
    values = _typed(array)
    if low < AIR_HU:
        values = np.maximum(values, np.array(AIR_HU, values.dtype))
    return values, _doubts(array, low, high)


def _refuse_no_hu(low: float, high: float) -> None:
    came = f"values run from {low:g} to {high:g}"
    if low == high:
        raise ImageError(f"every voxel is {low:g}; wanted an image of a chest; check the file")
    if high - low < 50:
        raise ImageError(f"{came}: a mask or normalised values; {WANTED}; give the image before it was normalised")
    if (low > -60 and high < 320) or (low > -300 and high - low <= 255):
        raise ImageError(f"{came}: an 8-bit or windowed picture; {WANTED}; give the CT that it was made from")


def _offset(array: NDArray[Any], low: float) -> int:
    """What to take off: 1024, -1024 or 0."""
    values = _sample(array)
    if low < -1500:
        everything = Spread(values)
        bone_alone = everything.share(-300, np.inf) < 0.02
        if bone_alone and everything.share(-1224, -864) > 0.02 and everything.share(-2200, -1500) > 0.02:
            return -OFFSET_HU
        values = values[values >= -1500]
    spread = Spread(values)
    if spread.share(-np.inf, -300) > 0.001:  # there is air: these are HU
        return 0
    tissue, air, between = spread.share(864, 1224), spread.share(-60, 424), spread.share(424, 824)
    # tissue is one narrow peak in CT; in MR it is spread out, and in a CT without air this range is bone
    narrow = tissue > 2 * between and tissue > 0.6 * spread.share(424, np.inf)
    return OFFSET_HU if narrow and min(tissue, air) > 0.02 else 0


def _doubts(array: NDArray[Any], low: float, high: float) -> tuple[Flag, ...]:
    values = _sample(array)
    spread = Spread(values[values >= -1500] if low < -1500 else values)
    came = f"values run from {low:g} to {high:g}"
    if spread.share(-np.inf, -300) <= 0.001:
        if low >= -20:
            raise ImageError(f"{came} and none is air; {WANTED}; is this a CT? Give its HU, by slope and intercept")
        return (Flag("not_ct", f"{came} and almost none is as dark as air: no lung, or no CT", "alarm"),)
    if spread.share(-300, 400) < 0.001:
        return (Flag("not_ct", f"{came} and almost none is soft tissue: no CT of a body, or no HU", "alarm"),)
    return ()


def _sample(array: NDArray[Any]) -> NDArray[np.float32]:
    step = max(1, int((array.size / SAMPLE) ** (1 / 3)))
    steps = tuple(slice(None, None, step if length > 4 * step else 1) for length in array.shape)
    sampled: NDArray[np.float32] = array[steps].astype(np.float32).ravel()
    return sampled


def _typed(array: NDArray[Any]) -> NDArray[Any]:
    """int16 where every value fits, without a copy where nothing changes; else float32."""
    if array.dtype == np.int16 or array.dtype == np.float32:
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind in "iu" and array.min() >= -32768 and array.max() <= 32767:
        return array.astype(np.int16)
    return array.astype(np.float32)
