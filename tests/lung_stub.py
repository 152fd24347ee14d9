"""An oval trunk with two lungs on grids of all kinds, and a stand-in for the network that finds them."""

import numpy as np
from scipy.ndimage import binary_opening
from scipy.spatial.transform import Rotation

from data_prep.geometry import LPS_TO_RAS
from lungseg_monai.segment.image import Image

ROTATED = Rotation.from_euler("xyz", [9, -6, 14], degrees=True).as_matrix()
GRIDS = {  # directions (LPS), spacings, shape
    "axial": (np.eye(3), (2.5, 2.5, 4.0), (150, 112, 62)),
    "left-handed, back to front": (np.diag([1.0, -1.0, 1.0]), (2.5, 2.5, 4.0), (150, 112, 62)),
    "sagittal": (np.eye(3)[:, [1, 2, 0]], (2.5, 3.0, 5.0), (112, 84, 75)),
    "oblique": (ROTATED, (2.5, 2.5, 4.0), (160, 130, 80)),
}


class Stub:
    """Logits of one who knows: air inside is lung, right on the right half."""

    name, device, sha256 = "stub", "cpu", "0" * 64

    def __init__(self):
        self.notes = []

    def __call__(self, x):
        lung = binary_opening((x[0, 0] > -0.92) & (x[0, 0] < -0.3), iterations=2)  # half of each is no lung at the skin
        middle = np.argwhere(x[0, 0] > -0.3)[:, 0].mean() if (x > -0.3).any() else 0
        right = np.arange(x.shape[2])[:, None, None] < middle
        return np.stack([~lung, lung & right, lung & ~right])[None] * np.float32(8)


def chest(name, with_lungs=True):
    """An oval trunk with two lungs of different size, about (20, -30, -400) mm; the image and the truth on its grid."""
    directions, spacing, shape = GRIDS[name]
    affine = np.eye(4)
    affine[:3, :3] = directions @ np.diag(spacing)
    affine[:3, 3] = np.array([20.0, -30.0, -400.0]) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    points_mm = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3] - [20, -30, -400]
    x, y, z = np.moveaxis(points_mm, -1, 0)
    trunk = (x / 165) ** 2 + (y / 115) ** 2 < 1
    right = ((x + 75) / 58) ** 2 + (y / 85) ** 2 + (z / 105) ** 2 < 1
    left = ((x - 75) / 50) ** 2 + (y / 80) ** 2 + (z / 95) ** 2 < 1
    truth = (right + 2 * left).astype(np.uint8) * with_lungs
    hu = np.where(truth > 0, -850, np.where(trunk, 40, -1000)) + np.random.default_rng(0).normal(0, 12, shape)
    return Image(hu.astype(np.int16), LPS_TO_RAS @ affine), truth
