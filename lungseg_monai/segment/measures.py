"""What is measured in each lung: volume, and how its HU are spread."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

EMPHYSEMA_HU = -950  # the usual threshold of low attenuation; its share of the lung is "%LAA-950"
LOW_PERCENTILE = 15  # "Perc15"


def measure(
    labels_ijk: NDArray[np.uint8],
    hu_ijk: NDArray[Any],
    affine_ras: NDArray[np.float64],
    names: Mapping[int, str],
) -> dict[str, dict[str, Any]]:
    """Volume in ml, and mean, 15th percentile and share below -950 HU, of each label of `names`.

    labels_ijk, hu_ijk: (I, J, K) alike. affine_ras: (4, 4), index to mm. A label that isn't there has volume 0 and
    None for its HU. Returns {"volumes_ml": {name: ml}, "hu": {name: {"mean", "p15", "below_950_percent"}}}.
    """
    there = _box(labels_ijk)
    labels_ijk, hu_ijk = labels_ijk[there], hu_ijk[there]
    voxel_ml = abs(float(np.linalg.det(affine_ras[:3, :3]))) / 1000
    volumes: dict[str, Any] = {}
    hu: dict[str, Any] = {}
    for label, name in names.items():
        values = hu_ijk[labels_ijk == label]
        volumes[name] = round(values.size * voxel_ml, 3)
        hu[name] = _spread(values)
    return {"volumes_ml": volumes, "hu": hu}


def _box(labels: NDArray[np.uint8]) -> tuple[slice, ...]:
    """The smallest box round what is labelled; nothing of an array where nothing is."""
    flat = labels.max(axis=0, initial=0)
    along = (labels.any(axis=(1, 2)), flat.any(axis=1), flat.any(axis=0))
    found = [np.flatnonzero(one) for one in along]
    return tuple(slice(int(one[0]), int(one[-1]) + 1) if len(one) else slice(0, 0) for one in found)


def _spread(values: NDArray[Any]) -> dict[str, float | None]:
    if not values.size:
        return {"mean": None, "p15": None, "below_950_percent": None}
    return {
        "mean": round(float(values.mean(dtype=np.float64)), 2),
        "p15": round(float(np.percentile(values, LOW_PERCENTILE)), 2),
        "below_950_percent": round(100 * np.count_nonzero(values < EMPHYSEMA_HU) / values.size, 3),
    }
