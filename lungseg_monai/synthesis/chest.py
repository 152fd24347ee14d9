"""A made chest before it is scanned, and the scan of it. Axes LPS: i to the patient's left, j to the back, k up."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

RIGHT, LEFT = 1, 2  # labels of the lungs


@dataclass
class Chest:
    """Arrays (I, J, K) on one isotropic grid; findings and scanner change them in place.

    x, y, z: where a voxel lies in the body's own frame, in mm: x to the left, y to the back, z up, the carina near
    (0, 15, 0). That frame is warped, so that image and labels deform together. lung: what counts as lung, 0, RIGHT or
    LEFT. cavity: the pleural cavities with all they hold. depth_mm: roughly how deep below the pleural surface a
    voxel lies, negative outside the cavities. body: inside the skin. hilum_mm: by label, in the body's frame.
    facts: what was drawn.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    z: NDArray[np.float32]
    spacing_mm: float
    hu: NDArray[np.float32]
    lung: NDArray[np.uint8]
    cavity: NDArray[np.uint8]
    depth_mm: NDArray[np.float32]
    body: NDArray[np.bool_]
    blood_hu: float = 45.0
    hilum_mm: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """What a scanner made of a chest. hu: (I, J, K) int16. lung: (I, J, K) uint8, 0, RIGHT or LEFT. Axes LPS."""

    hu: NDArray[np.int16]
    lung: NDArray[np.uint8]
    spacing_mm: float
    facts: dict[str, Any]
