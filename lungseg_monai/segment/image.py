"""One image volume, as every step of segmentation takes it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Image:
    """array_ijk: (I, J, K), HU for CT, any real dtype. affine_ras: (4, 4) float64, index ijk -> mm in RAS.

    modality: "CT", "CR", ... ; None where a file does not say. phantom: whether it is known to be one of ours
    (`lungseg-prep phantom`), which weights that have seen nothing else may be used on.
    """

    array_ijk: NDArray[Any]
    affine_ras: NDArray[np.float64]
    modality: str | None = "CT"
    phantom: bool = False

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along i, j, k."""
        i, j, k = np.linalg.norm(self.affine_ras[:3, :3], axis=0).tolist()
        return i, j, k
